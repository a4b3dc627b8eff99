"""Workflows called within this process: `engine.Workflow` and `engine.Engine`."""
