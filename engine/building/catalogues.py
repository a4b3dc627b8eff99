"""Which nodes and files there are, in the base directory that a script runs in; no torch is imported to say it."""

from __future__ import annotations

import functools
import os
from pathlib import Path

from engine.graph.schema import Catalogue, Files
from engine.graph.values import ChoicesOf


def base_of(base: str | Path | None) -> Path:
    """The base directory: the one given, else `$SAFELIGHT_BASE`, else the current folder. Raises FileNotFoundError."""
    found = Path(base or os.environ.get("SAFELIGHT_BASE") or Path.cwd()).expanduser().absolute()
    if not found.is_dir():
        raise FileNotFoundError(f"There is no folder {found}. Make it first, or give another `base`.")
    return found


def catalogue_here(base: str | Path | None = None) -> tuple[Catalogue, ChoicesOf]:
    """The nodes of a base directory, and the names of the files in its folders.

    They are read once for each; node packs that are new or have changed are imported first, which may take seconds.
    """
    return _catalogue(base_of(base))


@functools.cache
def _catalogue(base: Path) -> tuple[Catalogue, ChoicesOf]:
    from engine.__main__ import make_app

    app = make_app(base)
    library = app.stored_library(False) or app.load_library()

    def choices(files: Files) -> list[str]:
        return app.paths.folder_files(files.folder, files.kind)

    return library.catalogue, choices
