"""The program's name and version, as files tell it."""

from __future__ import annotations

from functools import cache
from importlib.metadata import PackageNotFoundError, version


@cache
def agent() -> tuple[str, str]:
    """Name and version; "0" where the program runs from a folder that is not installed."""
    try:
        return "Safelight", version("safelight")
    except PackageNotFoundError:
        return "Safelight", "0"
