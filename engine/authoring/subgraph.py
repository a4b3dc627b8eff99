"""Subgraphs built by calling nodes as functions; what a node returns in `Expand`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar, overload

from engine.authoring.definition import DEFINITION, Expand
from engine.graph.prompt import Link, Node

if TYPE_CHECKING:
    from engine.authoring.context import Context

P = ParamSpec("P")
R = TypeVar("R")


class Subgraph:
    """Nodes with ids "0", "1", … in the order they are added, so that equal expansions have equal ids and cache."""

    def __init__(self) -> None:
        self.nodes: dict[str, Node] = {}

    @overload
    def add(self, node: Callable[Concatenate[Context, P], R], *args: P.args, **inputs: P.kwargs) -> R: ...
    @overload
    def add(self, node: Callable[P, R], *args: P.args, **inputs: P.kwargs) -> R: ...
    def add(self, node: Any, *args: Any, **inputs: Any) -> Any:
        """Add a call of `node`, a decorated function; the result stands for its output(s) and may feed further calls.

        Inputs are keyword arguments: constants, results of earlier calls, or the node's own input values.
        Raises TypeError for positional arguments and for functions that are not nodes.
        """
        definition = getattr(node, DEFINITION, None)
        if definition is None or args:
            raise TypeError("Subgraph.add takes a function decorated with @node and its inputs as keyword arguments.")
        links = self.add_named(definition.spec.name, len(definition.spec.outputs), inputs)
        return links[0] if len(links) == 1 else links

    def add_named(self, class_type: str, outputs: int, inputs: dict[str, Any]) -> tuple[Link, ...]:
        """Add a node by type name; returns a link per output."""
        node_id = str(len(self.nodes))
        self.nodes[node_id] = Node(class_type, inputs)
        return tuple(Link(node_id, slot) for slot in range(outputs))

    def result(self, *values: R) -> Expand[R]:
        """The `Expand` that ends the node: its outputs are `values`."""
        return Expand(self.nodes, *values)
