"""Graphs built by calling nodes as functions; `engine.build` is the way in."""
