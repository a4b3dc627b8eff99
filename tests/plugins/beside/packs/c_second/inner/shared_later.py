"""Imported when a node runs."""

WORD = "second"
