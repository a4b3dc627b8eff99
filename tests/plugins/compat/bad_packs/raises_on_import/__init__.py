# ruff: noqa
from .helper import VALUE

NODE_CLASS_MAPPINGS = {}
