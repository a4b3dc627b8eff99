"""The engine of Safelight."""

import sys as _sys

PLACES: tuple[str, ...] = tuple(entry for entry in _sys.path[0 if _sys.flags.safe_path else 1 :] if entry)
"""Where modules were looked for when the engine was imported, whatever the folder: without it, or that of the script."""
