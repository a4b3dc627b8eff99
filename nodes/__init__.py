"""The built-in nodes, one theme a file; loaded by the same loader as node packs.

Importing this package imports nothing else: the modules, and torch with them, come in when a node of theirs must run.
"""
