"""The saved workflows of a base directory, read and made into tools; read again when a file has changed."""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Final

import msgspec

from engine.graph.problems import GraphError, Problem
from engine.graph.schema import Catalogue, Files
from engine.graph.signature import Signature, media_kind, signature_of
from engine.graph.signature_schema import arguments_schema
from engine.mcp_tools.names import title_of, tool_names
from engine.mcp_tools.records import ToolOutput, WorkflowTool
from engine.media.errors import MediaError
from engine.media.graph_file import read_graph_file
from engine.media.model_files import FolderFiles
from engine.paths import Paths
from engine.saved_workflows import workflow_files

log = logging.getLogger("safelight.mcp")

FILE_HINT: Final = (
    "A file name of the input folder, a data URL (data:image/png;base64,…), or the address of an earlier output "
    "(safelight://output/…)."
)
SEED_HINT: Final = '"random" draws one; the result says which.'


class SavedGraph(msgspec.Struct, frozen=True):
    """A workflow as it was read: its tool, its signature, both forms, and what is wrong with the saved one."""

    tool: WorkflowTool
    signature: Signature
    prompt: dict[str, Any]
    workflow: dict[str, Any] | None
    problems: Sequence[Problem]


class SavedTools:
    """Reads the workflows below the folders of `paths`; `only` are patterns of names, none: all of them."""

    def __init__(self, paths: Paths, catalogue: Catalogue, only: Sequence[str] = ()) -> None:
        self._paths = paths
        self._catalogue = catalogue
        self._only = only
        self._read: dict[str, tuple[tuple[Any, ...], SavedGraph | None]] = {}

    def all(self) -> dict[str, SavedGraph]:
        """Tool name → workflow. What cannot be read, or gives nothing, is left out, and said once in the log."""
        files = {name: path for name, path in workflow_files(self._paths).items() if self._wanted(name)}
        names = tool_names(files)
        found: dict[str, SavedGraph] = {}
        for workflow, path in files.items():
            graph = self._graph(names[workflow], workflow, path)
            if graph is not None:
                found[names[workflow]] = graph
        self._read = {name: known for name, known in self._read.items() if name in files}
        return found

    def choices(self, files: Files) -> list[str]:
        """The files that an input may name now."""
        return self._paths.folder_files(files.folder)

    def _wanted(self, workflow: str) -> bool:
        return not self._only or any(fnmatchcase(workflow, pattern) for pattern in self._only)

    def _graph(self, name: str, workflow: str, path: Path) -> SavedGraph | None:
        try:
            facts = path.stat()
            key = (name, path, facts.st_mtime_ns, facts.st_size)
            known = self._read.get(workflow)
            if known is None or known[0] != key:
                known = self._read[workflow] = (key, self._opened(name, workflow, path))
        except (OSError, GraphError, MediaError) as error:
            if workflow not in self._read:
                log.warning("workflow left out", extra={"workflow": workflow, "problem": str(error)[:500]})
            self._read[workflow] = ((), None)
            return None
        graph = known[1]
        return self._with_choices(graph) if graph is not None else None

    def _opened(self, name: str, workflow: str, path: Path) -> SavedGraph | None:
        files = FolderFiles(self._paths.listing, self._paths.locate)
        loaded = read_graph_file(path.read_bytes(), self._catalogue, path.name, files).loaded
        signature = signature_of(loaded.prompt, self._catalogue, loaded.workflow)
        if not signature.outputs:
            return None  # nothing that it could give
        outputs = tuple(ToolOutput(name=one.name, kind=one.kind, doc=one.doc) for one in signature.outputs)
        tool = WorkflowTool(
            name=name,
            workflow=workflow,
            title=title_of(workflow),
            doc=signature.doc,
            arguments={},
            outputs=outputs,
        )
        return SavedGraph(tool, signature, loaded.prompt, loaded.workflow, loaded.problems)

    def _with_choices(self, graph: SavedGraph) -> SavedGraph:
        """With the schema of its arguments, which lists the files that are there now."""
        schema = told_schema(arguments_schema(graph.signature, self.choices), _media(graph.signature))
        return msgspec.structs.replace(graph, tool=msgspec.structs.replace(graph.tool, arguments=schema))


def told_schema(schema: Mapping[str, Any], media: Callable[[str], bool]) -> dict[str, Any]:
    """A workflow's schema for whoever knows nothing else: inputs for files say how one is named, seeds that one can be drawn."""
    told = copy.deepcopy(dict(schema))
    for name, one in told.get("properties", {}).items():
        if media(name):
            one.pop("format", None)  # a file name need not be an address
            one["description"] = f"{one.get('description', '')} {FILE_HINT}".strip()
        elif any(choice.get("const") == "random" for choice in one.get("anyOf", ())):
            one["description"] = f"{one.get('description', '')} {SEED_HINT}".strip()
    return told


def _media(signature: Signature) -> Callable[[str], bool]:
    takes = {one.name for one in signature.parameters if media_kind(one.spec) is not None}
    return takes.__contains__
