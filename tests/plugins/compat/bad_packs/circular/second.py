# ruff: noqa
from .first import FIRST

SECOND = FIRST
