"""How calls of workflows look in Python, whether they run in this process (`engine.local`) or on a server (`engine.client`)."""
