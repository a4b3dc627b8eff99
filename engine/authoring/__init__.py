"""Declaring nodes: several ways in (decorated function, class, adapter of third-party classes), one NodeSpec out."""
