"""Looks whether modules can be found."""

import importlib.util
from contextlib import suppress

FOUND = importlib.util.find_spec("comfy.unheard_four") is not None

with suppress(ImportError):
    import comfy.unheard_three

    FOUND = True
