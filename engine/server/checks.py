"""Checking posted graphs, and remembering what was found: the same graph is often posted again and again."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeAlias

import msgspec
import xxhash

from engine.graph.problems import Problem, node_errors, to_response
from engine.graph.prompt import NodeId, Prompt, prompt_to_json
from engine.graph.schema import Catalogue, Files
from engine.graph.validate import check
from engine.server.graph_source import Posted
from engine.server.refusals import Refusal

REMEMBERED: Final = 64
"""Graphs."""

REMEMBERED_BYTES: Final = 512 * 1024
"""Larger ones are not remembered."""


Used: TypeAlias = dict[tuple[str, str], Sequence[str]]
"""Names of files by their folder and kind."""


class GraphRefused(Refusal):
    """A graph of which nothing can run; the answer lists every problem of every node."""

    def __init__(self, body: Mapping[str, Any]) -> None:
        super().__init__(400, body["error"]["type"], body["error"]["message"])
        self._body = dict(body)

    def body(self) -> dict[str, Any]:
        """All problems at once."""
        return self._body


class CheckedGraph(NamedTuple):
    """A graph of which at least one output can run."""

    prompt: bytes
    """JSON of the prompt form as it came."""
    checked: bytes
    """The same with converted constants and defaults."""
    outputs: tuple[NodeId, ...]
    models: tuple[str, ...]
    """`folder/name` of each model file that a constant names."""
    node_errors: dict[str, Any]


class Checks:
    """Checks graphs against a catalogue. `listing` gives the files of a folder and kind: the same tuple until they change."""

    def __init__(self, listing: Callable[[str, str], Sequence[str]]) -> None:
        self._listing = listing
        self._known: OrderedDict[tuple[Any, ...], tuple[Catalogue, Used, CheckedGraph]] = OrderedDict()

    def check(self, posted: Posted, catalogue: Catalogue, targets: Any) -> CheckedGraph:
        """Check a graph. Raises GraphRefused when no output can run. Safe among threads."""
        prompt = encode(posted.prompt)
        key = (xxhash.xxh3_128_digest(prompt), encode(targets))
        known = self._known.get(key) if not posted.problems else None
        if known is not None and known[0] is catalogue and self._unchanged(known[1]):
            return known[2]
        used: Used = {}
        found = self._check(posted, prompt, catalogue, targets, used)
        if not posted.problems and not found.node_errors and len(prompt) <= REMEMBERED_BYTES:
            self._known[key] = (catalogue, used, found)
            while len(self._known) > REMEMBERED:
                self._known.popitem(last=False)
        return found

    def _unchanged(self, used: Used) -> bool:
        return all(self._listing(*folder) is names for folder, names in used.items())

    def _check(self, posted: Posted, prompt: bytes, catalogue: Catalogue, targets: Any, used: Used) -> CheckedGraph:
        def choices(files: Files) -> Sequence[str]:
            names = used[files.folder, files.kind] = self._listing(files.folder, files.kind)
            return names

        found = check(posted.prompt, catalogue, choices=choices, targets=targets)
        return graph_of(posted, prompt, catalogue, found.prompt, found.outputs, found.problems, found.dependents)


def graph_of(
    posted: Posted,
    prompt: bytes,
    catalogue: Catalogue,
    checked: Prompt,
    outputs: tuple[NodeId, ...],
    found: Sequence[Problem],
    dependents: Mapping[NodeId, list[NodeId]],
) -> CheckedGraph:
    """The graph as it was found to be. Raises GraphRefused when no output can run, or parts of the saved form cannot be read."""
    problems = [*posted.problems, *_new(found, posted.problems)]
    if not outputs or any(one.stops and one.node_id is None for one in posted.problems):
        raise GraphRefused(to_response(problems, dependents))
    return CheckedGraph(
        prompt,
        encode(prompt_to_json(checked)),
        outputs,
        tuple(dict.fromkeys(_models(checked, catalogue))),
        node_errors(problems, dependents),
    )


def encode(value: Any) -> bytes:
    """JSON; what has no JSON form as text."""
    return msgspec.json.encode(value, enc_hook=str)


def _new(found: Sequence[Problem], known: Sequence[Problem]) -> Iterator[Problem]:
    """Those that reading the graph did not find already."""
    told = {(one.type, one.node_id, one.input_name) for one in known}
    return (one for one in found if (one.type, one.node_id, one.input_name) not in told)


def _models(prompt: Prompt, catalogue: Catalogue) -> Iterator[str]:
    """`folder/name` of each model file that a constant names."""
    inputs: dict[str, list[tuple[str, str]]] = {}
    for node in prompt.values():
        named = inputs.get(node.class_type)
        if named is None:
            spec = catalogue.spec(node.class_type)
            named = inputs[node.class_type] = [
                (one.name, one.choices.folder)
                for one in (spec.inputs if spec is not None else ())
                if isinstance(one.choices, Files) and one.choices.folder not in ("input", "output", "temp")
            ]
        for name, folder in named:
            value = node.inputs.get(name)
            if type(value) is str:
                yield f"{folder}/{value}"
