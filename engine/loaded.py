"""Modules that others may have imported, looked at without importing them."""

from __future__ import annotations

import sys
from types import ModuleType


def loaded(name: str) -> ModuleType | None:
    """Return a module that is imported to its end, else None; never imports it.

    While another thread imports it, it stands in `sys.modules` already, and calls into it fail: `torch.get_default_dtype` is
    there before torch has any types.
    """
    module = sys.modules.get(name)
    return None if getattr(getattr(module, "__spec__", None), "_initializing", False) else module
