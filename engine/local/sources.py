"""From whatever names or is a workflow to its graph."""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from engine.calls.errors import InvalidWorkflowError, UnknownWorkflowError
from engine.graph.formats import Loaded, load
from engine.graph.problems import GraphError, Problem
from engine.graph.schema import Catalogue
from engine.media.errors import MediaError
from engine.media.graph_file import read_graph_file
from engine.media.model_files import FolderFiles
from engine.paths import Paths
from engine.saved_workflows import workflow_files

_MOST: Final = 256 * 1024 * 1024


class Source(NamedTuple):
    """A graph as it was found, in both forms, and what is wrong with it."""

    name: str
    prompt: dict[str, Any]
    workflow: dict[str, Any] | None
    problems: list[Problem]


def read_source(source: Any, paths: Paths, catalogue: Catalogue) -> Source:
    """The graph of a name, a path, a dict, bytes, or a `Graph`. Raises UnknownWorkflowError, InvalidWorkflowError."""
    if hasattr(source, "prompt") and hasattr(source, "workflow") and callable(source.prompt):
        return Source("graph", source.prompt(), source.workflow(), [])
    name = "workflow"
    try:
        if isinstance(source, Mapping):
            return _source(name, load(source, catalogue))
        if isinstance(source, bytes | bytearray):
            data = bytes(source)
        else:
            path = _path(source, paths)
            name, data = path.stem, _read(path)
        found = read_graph_file(data, catalogue, name, FolderFiles(paths.listing, paths.locate), scripts=True)
    except (GraphError, MediaError) as error:
        problems = error.problems if isinstance(error, GraphError) else []
        raise InvalidWorkflowError(
            f"{name}: {error}", [{"type": one.type, "message": one.message} for one in problems]
        ) from error
    return _source(name, found.loaded)


def _source(name: str, loaded: Loaded) -> Source:
    return Source(name, loaded.prompt, loaded.workflow, loaded.problems)


def _path(source: Any, paths: Paths) -> Path:
    if not isinstance(source, str | os.PathLike):
        raise TypeError(f"A workflow is a name, a path, a dict, bytes or a Graph, and no {type(source).__name__}.")
    text = os.fspath(source)
    known = workflow_files(paths)
    if isinstance(source, str) and text in known:
        return known[text]
    path = Path(text).expanduser()
    try:
        if path.is_file():
            return path
    except (OSError, ValueError):
        pass
    near = difflib.get_close_matches(path.stem, known, n=3, cutoff=0.5)
    hint = f"Did you mean {' or '.join(near)}?" if near else f"There are: {', '.join(sorted(known)[:20]) or 'none'}."
    raise UnknownWorkflowError(f"There is no workflow and no file {text!r}. {hint}")


def _read(path: Path) -> bytes:
    if path.stat().st_size > _MOST and path.suffix.lower() in (".json", ".py"):
        raise InvalidWorkflowError(f"{path} has more than {_MOST // 1024**2} MiB; a workflow is far smaller.")
    return path.read_bytes()
