"""The routes, one theme a file."""
