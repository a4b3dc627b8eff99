"""Saved workflows by name: those of the base directory, those that an editor saved, those that come with the program.

A name is the path below its folder without `.json`, with `/` between folders: `portraits/soft_light`.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from engine.paths import Paths, contained, shipped

THUMBNAILS: Final = (".webp", ".png", ".jpg", ".jpeg")
"""Suffixes of the picture beside a workflow that shows what it makes."""

_DEEPEST: Final = 8


def workflow_files(paths: Paths) -> dict[str, Path]:
    """The files of all saved workflows by name; of two of one name the first folder has it."""
    found: dict[str, Path] = {}
    for folder in workflow_folders(paths):
        for path in sorted(_json_files(folder)):
            found.setdefault(path.relative_to(folder).with_suffix("").as_posix(), path)
    return found


def workflow_file(folders: Iterable[Path], name: str) -> Path | None:
    """The file of the workflow called `name` in `workflow_folders`, or None: without looking at all files."""
    if any(part.startswith(".") for part in name.split("/")) or name.count("/") > _DEEPEST:
        return None
    for folder in folders:
        try:
            path = contained(folder, f"{name}.json")
            if path.is_file():
                return path
        except (ValueError, OSError):
            continue
    return None


def workflow_folders(paths: Paths) -> Iterator[Path]:
    """Where saved workflows are looked for, in order."""
    yield paths.base / "workflows"
    yield paths.user / "workflows"
    yield paths.user / "default" / "workflows"
    yield shipped("workflows")


def thumbnail_of(path: Path) -> Path | None:
    """The picture beside the workflow at `path`, if there is one."""
    return next((found for suffix in THUMBNAILS if (found := path.with_suffix(suffix)).is_file()), None)


def _json_files(folder: Path) -> Iterator[Path]:
    """JSON files below `folder`, hidden ones apart; links are followed to a depth that no circle gets beyond.

    What is no file to be read to its end, such as a device or a pipe, is none; nor is a link to a file that is gone.
    """
    for root, names, files in os.walk(folder, followlinks=True):
        depth = len(Path(root).relative_to(folder).parts)
        names[:] = [name for name in names if not name.startswith(".")] if depth < _DEEPEST else []
        paths = (Path(root, name) for name in files if name.endswith(".json") and not name.startswith("."))
        yield from (path for path in paths if path.is_file())
