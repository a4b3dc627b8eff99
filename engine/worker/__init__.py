"""The worker process: it alone imports torch and the node packs."""
