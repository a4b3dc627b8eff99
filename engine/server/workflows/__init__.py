"""Saved workflows as functions: known by name, called with arguments, answered with outputs."""
