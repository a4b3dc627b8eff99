"""Imported when a node runs."""

WORD = "first"
