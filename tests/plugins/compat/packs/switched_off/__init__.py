# ruff: noqa
NODE_CLASS_MAPPINGS = {}
