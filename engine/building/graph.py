"""A graph that is built by calling its nodes as functions; each call is checked by all that the catalogue knows."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from engine.building.catalogues import catalogue_here
from engine.building.handles import Output, Outputs
from engine.graph.canvas import redrawn
from engine.graph.entries import Entries, named_inputs, undeclared, unknown_input
from engine.graph.jsontext import parse_json
from engine.graph.problems import GraphError, Problem, one_of, problem
from engine.graph.prompt import Link, Node
from engine.graph.schema import Catalogue, NodeSpec
from engine.graph.validate import NodeChecks, check
from engine.graph.values import ChoicesOf


class UnknownNodeError(GraphError, AttributeError):
    """There is no node of this name; the nearest names are in the message."""


class GraphBase:
    """All of a graph but its nodes, which `Graph` has, and the typed class that `safelight export --stubs` writes.

    `catalogue` is what nodes there are, and `choices` which files there are to choose from: by default those of the base
    directory `base` (else `$SAFELIGHT_BASE`, else the current folder), read without torch. `titles`: whether every node
    has a title, as editors write them. Used as a context (`with Graph() as g`), the whole graph is checked at the end.
    """

    def __init__(
        self,
        catalogue: Catalogue | None = None,
        *,
        choices: ChoicesOf | None = None,
        base: str | Path | None = None,
        titles: bool = False,
    ) -> None:
        if catalogue is None:
            catalogue, files = catalogue_here(base)
            choices = choices or files
        self._catalogue = catalogue
        self._choices = choices or (lambda files: ())
        self._entries = Entries(catalogue, titles=titles)
        self._checks = NodeChecks(catalogue, choices=self._choices)
        self._nodes: dict[str, Node] = {}
        self._canvas: dict[str, Any] | None = None

    def node(
        self,
        class_type: str,
        inputs: Mapping[str, Any] | None = None,
        /,
        *places: Any,
        _id: str | None = None,
        _title: str | None = None,
        **named: Any,
    ) -> Any:
        """Add a node by the name of its class, for names that are no words of Python; `g.KSampler(…)` is the same.

        Values are constants and outputs of earlier calls; what the class declares a default for may be left out. Of what
        is given in the dict `inputs`, constants that the class does not declare are kept, as prompts keep them, and not
        read. `_id` is the node's id (default: the next number), `_title` its title.

        Returns the handle of its output, or of its several outputs. Raises GraphError with every problem of the call:
        unknown names with the nearest ones, wrong types, values and links, what is missing.
        """
        spec = self._catalogue.spec(class_type)
        if spec is None:
            raise self._unknown(class_type)
        node_id = self._entries.next_id() if _id is None else _id
        given = named_inputs(node_id, class_type, spec, places, {**(inputs or {}), **named})
        linked = {name: self._linked(value) for name, value in given.items()}
        for name in undeclared(spec, linked):
            if type(linked[name]) is Link or name not in (inputs or {}):
                raise unknown_input(node_id, spec, name, linked)
        defaults = {one.name: one.default for one in spec.inputs if one.required and one.default is not None}
        linked |= {name: value for name, value in defaults.items() if name not in linked}
        self._add(node_id, class_type, linked, _title)
        return self._handles(node_id, spec)

    def link(self, node_id: str | int, slot: int) -> Output:
        """Output `slot` of the node that has, or will have, this id: for links that no variable can say."""
        there = self._nodes.get(str(node_id))
        spec = self._catalogue.spec(there.class_type) if there is not None else None
        kind = spec.outputs[slot].type if spec is not None and 0 <= slot < len(spec.outputs) else "*"
        return Output(self, node_id, slot, kind, str(slot))  # type: ignore[arg-type]

    def entry(self, node_id: str, entry: Any) -> None:
        """Put an entry of the prompt form as it is, unchecked."""
        self._entries.put(node_id, entry)

    def order(self, *ids: str) -> None:
        """Have the prompt list these nodes first, in this order."""
        self._entries.order(ids)

    def drawn(self, canvas: str | Mapping[str, Any]) -> None:
        """Give the saved workflow (JSON) whose positions, groups and notes `workflow` takes over."""
        self._canvas = parse_json(canvas) if isinstance(canvas, str) else dict(canvas)

    def prompt(self) -> dict[str, Any]:
        """The graph as JSON in the form that runs (`POST /prompt`)."""
        return copy.deepcopy(self._entries.prompt())

    def workflow(self) -> dict[str, Any]:
        """The graph as JSON in the form that editors show: as `drawn` where that is the same graph, else laid out."""
        return redrawn(self._canvas, self._entries.prompt(), self._catalogue)

    def problems(self) -> list[Problem]:
        """All that is wrong with the graph as a whole."""
        return check(self._entries.prompt(), self._catalogue, choices=self._choices).problems

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Check the graph as a whole. Raises GraphError: no node that shows or saves anything, circles."""
        if error is None and (found := self.problems()):
            raise GraphError(found)

    def _linked(self, value: Any) -> Any:
        if isinstance(value, Output):
            return value.link_in(self)
        if isinstance(value, Outputs):
            raise TypeError(f"{value!r}: give one of them, such as the first, [0].")
        return value

    def _add(self, node_id: str, class_type: str, inputs: dict[str, Any], title: str | None) -> None:
        sources = {
            link.node: self._nodes[link.node]
            for link in inputs.values()
            if type(link) is Link and link.node in self._nodes
        }
        node = Node(class_type, inputs)
        problems, converted = self._checks.one(node_id, node, sources)
        if problems:
            raise GraphError(problems)
        for name, value in inputs.items():
            if type(value) is not Link and not _is_json(value):
                inputs[name] = converted.inputs.get(name, value)
                if not _is_json(inputs[name]):
                    place: dict[str, Any] = {"node_id": node_id, "class_type": class_type, "input_name": name}
                    raise GraphError([problem("invalid_input_type", expected="JSON", received=value, **place)])
        self._entries.add(node_id, class_type, inputs, title)
        self._nodes[node_id] = node

    def _handles(self, node_id: str, spec: NodeSpec) -> Output | Outputs:
        if len(spec.outputs) == 1 and not spec.more_outputs:
            return Output(self, node_id, 0, spec.outputs[0].type, spec.outputs[0].name)
        return Outputs(self, node_id, spec)

    def _unknown(self, class_type: str) -> UnknownNodeError:
        near = self._catalogue.nearest(class_type)
        hint = f"Did you mean {one_of(near)}?" if near else "`safelight nodes` lists all."
        return UnknownNodeError([problem("missing_node_type", received=class_type, details=class_type, hint=hint)])


class Graph(GraphBase):
    """A graph whose nodes are its methods: `model, clip, vae = g.CheckpointLoaderSimple(ckpt_name="…")`."""

    def __getattr__(self, class_type: str) -> Callable[..., Any]:
        if class_type.startswith("__") or "_catalogue" not in self.__dict__:
            raise AttributeError(class_type)
        if self._catalogue.spec(class_type) is None:
            raise self._unknown(class_type)

        def call(*places: Any, _id: str | None = None, _title: str | None = None, **named: Any) -> Any:
            return self.node(class_type, None, *places, _id=_id, _title=_title, **named)

        return call

    def __dir__(self) -> Sequence[str]:
        return [*super().__dir__(), *(spec.name for spec in self._catalogue if spec.name.isidentifier())]


def _is_json(value: Any) -> bool:
    if value is None or type(value) in (str, int, float, bool):
        return True
    if type(value) is list:
        return all(map(_is_json, value))
    return type(value) is dict and all(type(name) is str and _is_json(one) for name, one in value.items())
