"""Services: what the program lends to nodes and to the executor."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

SaveImages: TypeAlias = Callable[..., Sequence[Mapping[str, Any]]]


def _no_file(folder: str, name: str) -> Path | None:
    return None


def _alone(path: Path) -> Sequence[Path]:
    return ()


def _no_ui_file(entry: Mapping[str, Any]) -> Path | None:
    return None


def _no_setting(table: str, name: str) -> bytes:
    return b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """Built once by the composition root; the defaults are a program without models and files."""

    models: Any = None
    """The model manager that nodes see as `ctx.models`; its `free()` is called when a node runs out of memory."""
    paths: Any = None
    """What nodes see as `ctx.paths`."""
    remote: Any = None
    """What nodes see as `ctx.remote`."""
    setting: Callable[[str, str], bytes] = _no_setting
    """(table, name) of an input that chooses a name of the settings → what results depend on of what it stands for."""
    find_file: Callable[[str, str], Path | None] = _no_file
    """(folder, name) of an input that chooses a file → where that file is; its content is part of the action key."""
    files_beside: Callable[[Path], Sequence[Path]] = _alone
    """That file → others that are read together with it, whose content is part of the key too."""
    ui_file: Callable[[Mapping[str, Any]], Path | None] = _no_ui_file
    """A `{filename, subfolder, type}` that a node reported → where that file is; None when that cannot be said."""
    save_images: SaveImages | None = None
    """(images, prefix, folder, prompt JSON, workflow JSON, more JSON by name) → one `{filename, subfolder, type}` each.

    By name, where they are not as usual: `embed`, whether the JSON goes inside, and `seal`, what is done to each whole file.
    """
    provenance: Any = None
    """What saved files tell of their making (`engine.media.provenance.sealing.Provenance`); None: the workflow, and no more."""
    keep_text: Callable[[str], Mapping[str, Any]] | None = None
    """A text that is too long to be shown → `{filename, subfolder, type}` of the file that holds it now."""
