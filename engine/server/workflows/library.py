"""The saved workflows that a server knows: read, converted, each with its signature, and kept while nothing changes.

What is kept has a bound in bytes of the files; those not asked for the longest are read anew. Files that are too large or cannot
be read are told as such, beside the others.
"""

from __future__ import annotations

import asyncio
import difflib
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeAlias

import msgspec

from engine.graph.a1111 import ModelFiles
from engine.graph.problems import GraphError, Problem, one_of
from engine.graph.schema import Catalogue
from engine.graph.signature import Signature, signature_of
from engine.media.errors import MediaError
from engine.media.graph_file import read_graph_file
from engine.paths import Paths
from engine.saved_workflows import workflow_file, workflow_files, workflow_folders
from engine.server.refusals import Refusal

LARGEST: Final = 8 * 1024**2
"""Bytes of a file of a workflow that may be called by name."""

KEPT_BYTES: Final = 32 * 1024**2
"""Of the files whose graphs are kept."""

KEPT_FILES: Final = 2_000
"""Files that are kept, whatever their size."""

_ON_THE_LOOP: Final = 256 * 1024
"""Bytes up to which a file is read at once: going to a thread takes longer."""

Stamp: TypeAlias = tuple[str, int, int, int]


class SavedWorkflow(msgspec.Struct, frozen=True, kw_only=True, eq=False, weakref=True):
    """A workflow that can be called. Its graph is never changed."""

    name: str
    path: Path
    prompt: dict[str, Any]
    workflow: dict[str, Any] | None
    """The saved form, where the file has it."""
    signature: Signature
    problems: tuple[Problem, ...]
    """What was wrong with the file; where one stops the run, `engine.server.acceptance` refuses it."""
    catalogue: Catalogue
    """The nodes that it was read with, and is to be called with."""
    size: int
    """Bytes of the file."""


class BrokenWorkflow(msgspec.Struct, frozen=True, kw_only=True):
    """A file among the workflows that cannot be called, and why: a sentence."""

    name: str
    path: Path
    message: str


class _Kept(NamedTuple):
    """What was read, and of what: the state of the file, the nodes that there were."""

    stamp: Stamp
    catalogue: Catalogue
    entry: SavedWorkflow | BrokenWorkflow

    @property
    def held(self) -> int:
        """Bytes of a file whose graph is kept."""
        return self.entry.size if isinstance(self.entry, SavedWorkflow) else 0


class WorkflowLibrary:
    """Workflows by name. `catalogue` gives the nodes that there are, `files` the model files that settings may name."""

    def __init__(
        self, paths: Paths, catalogue: Callable[[], Awaitable[Catalogue]], files: ModelFiles | None = None
    ) -> None:
        self._paths = paths
        self._folders = tuple(workflow_folders(paths))
        self._catalogue = catalogue
        self._files = files
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._bytes = 0

    async def get(self, name: str) -> SavedWorkflow:
        """The workflow called `name`. Raises Refusal 404 with the nearest names, 409 for a file that cannot be read."""
        found = await self.find(name)
        if isinstance(found, BrokenWorkflow):
            raise Refusal(409, "workflow_broken", found.message, workflow=name)
        return found

    async def find(self, name: str) -> SavedWorkflow | BrokenWorkflow:
        """As `get`, but what is wrong with a file is an answer."""
        catalogue = await self._catalogue()
        path = workflow_file(self._folders, name)
        if path is None:
            raise await asyncio.to_thread(self._unknown, name)
        return await self._entry(name, path, catalogue)

    async def all(self) -> list[SavedWorkflow | BrokenWorkflow]:
        """Every workflow, by name."""
        catalogue = await self._catalogue()
        files = await asyncio.to_thread(workflow_files, self._paths)
        found = []
        for name, path in sorted(files.items()):
            found.append(await self._entry(name, path, catalogue))
            await asyncio.sleep(0)  # many that were never read take a while: others have their turn
        return found

    def has(self, name: str) -> bool:
        """Whether there is a file of this name. Looks at the disk."""
        return workflow_file(self._folders, name) is not None

    def path(self, name: str) -> Path:
        """The file of a workflow. Raises Refusal 404 with the nearest names. Looks at the disk."""
        path = workflow_file(self._folders, name)
        if path is None:
            raise self._unknown(name)
        return path

    async def _entry(self, name: str, path: Path, catalogue: Catalogue) -> SavedWorkflow | BrokenWorkflow:
        try:
            stamp = _stamp(path)
        except OSError as error:
            return BrokenWorkflow(name=name, path=path, message=f"{name}: the file cannot be read: {error.strerror}.")
        kept = self._kept.get(name)
        if kept is not None and kept.stamp == stamp and kept.catalogue is catalogue:
            self._kept.move_to_end(name)
            return kept.entry
        if stamp[1] > _ON_THE_LOOP:
            read = await asyncio.to_thread(self._read, name, path, stamp[1], catalogue)
        else:
            read = self._read(name, path, stamp[1], catalogue)
        self._keep(name, _Kept(stamp, catalogue, read))
        return read

    def _read(self, name: str, path: Path, size: int, catalogue: Catalogue) -> SavedWorkflow | BrokenWorkflow:
        try:
            if size > LARGEST:
                message = f"{name}: the file has {size / 2**20:.1f} MiB; at most {LARGEST >> 20} MiB are taken."
                return BrokenWorkflow(name=name, path=path, message=message)
            with path.open("rb") as file:
                data = file.read(LARGEST + 1)  # it may have grown since
            found = read_graph_file(data, catalogue, path.name, self._files).loaded
            signature = signature_of(found.prompt, catalogue, found.workflow)
        except (GraphError, MediaError) as error:
            return BrokenWorkflow(name=name, path=path, message=f"{name}: it is no workflow that can be run. {error}")
        except OSError as error:
            return BrokenWorkflow(name=name, path=path, message=f"{name}: the file cannot be read: {error.strerror}.")
        return SavedWorkflow(
            name=name,
            path=path,
            prompt=found.prompt,
            workflow=found.workflow,
            signature=signature,
            problems=tuple(found.problems),
            catalogue=catalogue,
            size=size,
        )

    def _keep(self, name: str, kept: _Kept) -> None:
        self._drop(name)
        self._kept[name] = kept
        self._bytes += kept.held
        while self._bytes > KEPT_BYTES or len(self._kept) > KEPT_FILES:
            self._drop(next(iter(self._kept)))

    def _drop(self, name: str) -> None:
        kept = self._kept.pop(name, None)
        if kept is not None:
            self._bytes -= kept.held

    def _unknown(self, name: str) -> Refusal:
        names = sorted(workflow_files(self._paths))
        near = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
        hint = f"Did you mean {one_of(near)}?" if near else "GET /api/v1/workflows lists them."
        return Refusal(404, "unknown_workflow", f"There is no workflow {name[:200]!r}. {hint}", nearest=near)


def _stamp(path: Path) -> Stamp:
    """What tells one state of a file from another."""
    found = path.stat()
    return str(path), found.st_size, found.st_mtime_ns, found.st_ino
