# ruff: noqa
from .second import SECOND

FIRST = SECOND
