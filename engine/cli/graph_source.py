"""From what was written on the command line to a graph: reading the file, taking the values, checking all of it."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from engine.cli import exits
from engine.cli.exits import CliError
from engine.cli.terminal import columns, say
from engine.graph.parameters import Parameter, parameters, set_value
from engine.graph.problems import GraphError, Problem, told
from engine.graph.schema import Catalogue, Files
from engine.graph.validate import Checked, check
from engine.media.containers.safetensors import head_length
from engine.media.errors import MediaError
from engine.media.graph_file import read_graph_file
from engine.media.model_files import FolderFiles
from engine.paths import Paths
from engine.saved_workflows import workflow_files

if TYPE_CHECKING:
    from engine.plugins.library import Library

MAX_BYTES: Final = 256 * 1024 * 1024
_BEGIN: Final = 16


@dataclass(frozen=True)
class Graph:
    """A graph as it was given: the prompt form as JSON, the saved form if there was one, problems of the latter."""

    name: str
    prompt: dict[str, Any]
    workflow: dict[str, Any] | None
    problems: list[Problem]
    notes: list[Problem]
    """What must be known about it, though it does not keep it from running."""
    path: Path | None = None
    """The file that it was read from."""
    set: list[Parameter] = field(default_factory=list)
    """What `--set` has set in it."""


def open_graph(source: str, values: Sequence[str], paths: Paths, catalogue: Catalogue) -> Graph:
    """Read the graph that `source` names and set `values` (`name=value`) in it, in both of its forms.

    Raises CliError: UNREADABLE for the file, INVALID for what is in it, USAGE for a value.
    """
    graph = read_graph(source, paths, catalogue)
    graph.set.extend(_set(graph, entry, catalogue) for entry in values)
    return graph


def read_graph(source: str, paths: Paths, catalogue: Catalogue) -> Graph:
    """Read the graph that `source` names. Raises CliError: UNREADABLE or INVALID."""
    name, data, path = _read(source, paths)
    try:
        found = read_graph_file(data, catalogue, name, FolderFiles(paths.listing, paths.locate), scripts=True)
    except MediaError as error:
        raise CliError(exits.INVALID, str(error)) from error
    except GraphError as error:
        raise invalid(name, error.problems) from error
    loaded = found.loaded
    return Graph(name, loaded.prompt, loaded.workflow, loaded.problems, found.notes, path)


def check_graph(graph: Graph, paths: Paths, catalogue: Catalogue, only: Sequence[str] | None) -> Checked:
    """Check the whole graph, here with the files that are here; the problems found when reading it come first."""

    def choices(files: Files) -> list[str]:
        return paths.folder_files(files.folder, files.kind)

    checked = check(graph.prompt, catalogue, choices=choices, targets=only)
    known = {(one.type, one.node_id, one.input_name) for one in graph.problems}
    found = [one for one in checked.problems if (one.type, one.node_id, one.input_name) not in known]
    return Checked(checked.prompt, checked.outputs, [*graph.problems, *found], checked.dependents)


def invalid(name: str, problems: Sequence[Problem]) -> CliError:
    """The refusal of a graph, which lists everything that is wrong with it."""
    number = len(told(problems))
    count = "1 problem" if number == 1 else f"{number} problems"
    text = GraphError(problems)
    return CliError(exits.INVALID, f"{name} cannot run: {count}.\n{text}", status="invalid", problems=list(problems))


def tell_broken_packs(library: Library, problems: Sequence[Problem]) -> None:
    """A missing node may be in a pack that failed to load."""
    if any(problem.type == "missing_node_type" for problem in problems):
        for broken in library.problems:
            say(f"Node pack {broken.pack} is not whole: {broken.message}")


def parameter_lines(known: Sequence[Parameter]) -> list[str]:
    """A line per parameter: name, type, the value it has."""
    return columns([(one.name, one.type, _short(one.default)) for one in known])


def _read(source: str, paths: Paths) -> tuple[str, bytes, Path | None]:
    """The name of the source for messages, its bytes, and its path if it is a file."""
    if source == "-":
        return "standard input", _bounded("standard input", sys.stdin.buffer.read(MAX_BYTES + 1)), None
    path = Path(source).expanduser()
    try:
        path = source_path(source, paths)
        with path.open("rb") as file:
            begin = file.read(_BEGIN)
            wanted = min(head_length(begin) or MAX_BYTES + 1, MAX_BYTES + 1)  # of tensors, only what stands before them
            return path.name, _bounded(path.name, begin + file.read(max(wanted - _BEGIN, 0))), path
    except OSError as error:
        raise CliError(exits.UNREADABLE, f"Cannot read {path}: {error.strerror or error}.") from error
    except ValueError as error:  # a name with a NUL byte
        raise CliError(exits.UNREADABLE, f"Cannot read {source!r}: {error}.") from error


def source_path(source: str, paths: Paths) -> Path:
    """The file that `source` names: a path, or the name of a saved workflow. Raises CliError UNREADABLE."""
    path = Path(source).expanduser()
    return path if path.exists() else _known_workflow(source, paths)


def _bounded(name: str, data: bytes) -> bytes:
    if len(data) > MAX_BYTES:
        raise CliError(exits.UNREADABLE, f"{name} has more than {MAX_BYTES // 1024**2} MiB; a workflow is far smaller.")
    return data


def _known_workflow(source: str, paths: Paths) -> Path:
    known = workflow_files(paths)
    if source in known:
        return known[source]
    near = difflib.get_close_matches(Path(source).stem, known, n=3, cutoff=0.5)
    hint = f" Did you mean {' or '.join(near)}?" if near else " `safelight workflows` lists what is at hand."
    raise CliError(exits.UNREADABLE, f"There is no file {source!r} and no workflow of that name.{hint}")


def _set(graph: Graph, entry: str, catalogue: Catalogue) -> Parameter:
    key, sign, text = entry.partition("=")
    if not sign or not key:
        raise CliError(exits.USAGE, f"--set {entry}: expected NAME=VALUE, such as --set seed=1.")
    try:
        return set_value(graph.prompt, key, text, catalogue, graph.workflow)
    except GraphError as error:
        known = parameters(graph.prompt, catalogue, graph.workflow)
        listed = "\n".join(parameter_lines(known))
        table = f"\nParameters of {graph.name} (name, type, value now):\n{listed}" if known else ""
        raise CliError(exits.USAGE, f"--set {entry}: {error}{table}", problems=error.problems) from error


def _short(value: Any) -> str:
    text = " ".join(str(value).split()) if value is not None else ""
    return text if len(text) <= 60 else f"{text[:59]}…"
