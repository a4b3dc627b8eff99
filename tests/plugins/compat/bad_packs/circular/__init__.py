# ruff: noqa
from .first import FIRST

NODE_CLASS_MAPPINGS = {}
