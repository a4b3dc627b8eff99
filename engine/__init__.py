"""The engine of Safelight. `Workflow` and `Engine`, imported when asked for, run workflows in this process."""

import sys as _sys

PLACES: tuple[str, ...] = tuple(entry for entry in _sys.path[0 if _sys.flags.safe_path else 1 :] if entry)
"""Where modules were looked for when the engine was imported, whatever the folder: without it, or that of the script."""

_LAZY = {"Workflow": "engine.local.workflow", "Engine": "engine.local.engine"}


def __getattr__(name: str) -> object:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_LAZY[name]), name)


def __dir__() -> list[str]:
    return [*globals(), *_LAZY]
