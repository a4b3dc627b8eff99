"""`comfy_execution.graph_utils`: building the graph that an expanding node returns."""

from __future__ import annotations

from typing import Any, ClassVar

from engine.graph.prompt import Link
from engine.plugins.compat.running import next_graph


def is_link(obj: Any) -> bool:
    """Whether a value is a link `[node id, slot]`."""
    if isinstance(obj, Link):
        return True
    if not isinstance(obj, list) or len(obj) != 2:
        return False
    return isinstance(obj[0], str) and type(obj[1]) in (int, float)


class Node:
    """A node of a graph under construction."""

    def __init__(self, id: str, class_type: str, inputs: dict[str, Any]) -> None:
        self.id = id
        self.class_type = class_type
        self.inputs = inputs
        self.override_display_id: str | None = None

    def out(self, index: int) -> list[Any]:
        """A link to an output."""
        return [self.id, index]

    def set_input(self, key: str, value: Any) -> None:
        """Set an input; None takes it away."""
        if value is None:
            self.inputs.pop(key, None)
        else:
            self.inputs[key] = value

    def get_input(self, key: str) -> Any:
        """The value or link of an input; None when it is not set."""
        return self.inputs.get(key)

    def set_override_display_id(self, override_display_id: str) -> None:
        """Report this node's progress and errors on another."""
        self.override_display_id = override_display_id

    def serialize(self) -> dict[str, Any]:
        """The node as JSON of a prompt."""
        made: dict[str, Any] = {"class_type": self.class_type, "inputs": self.inputs}
        if self.override_display_id is not None:
            made["override_display_id"] = self.override_display_id
        return made


class GraphBuilder:
    """Nodes whose ids begin with a prefix, counted in each call of a node, so that equal expansions have equal ids."""

    _default_prefix_root: ClassVar[str] = ""
    _default_prefix_call_index: ClassVar[int] = 0
    _default_prefix_graph_index: ClassVar[int] = 0

    def __init__(self, prefix: str | None = None) -> None:
        self.prefix = self.alloc_prefix() if prefix is None else prefix
        self.nodes: dict[str, Node] = {}
        self.id_gen = 1

    @classmethod
    def set_default_prefix(cls, prefix_root: str, call_index: int, graph_index: int = 0) -> None:
        """Begin the ids of the graphs that follow with these."""
        cls._default_prefix_root = prefix_root
        cls._default_prefix_call_index = call_index
        cls._default_prefix_graph_index = graph_index

    @classmethod
    def alloc_prefix(
        cls, root: str | None = None, call_index: int | None = None, graph_index: int | None = None
    ) -> str:
        """A prefix for one graph; several graphs of one call of a node are counted.

        The executor puts the node's id before it, so the prefix need only keep apart these ids and those of the graph around.
        """
        if root is None and not cls._default_prefix_root and (made := next_graph()) is not None:
            return f"g{made}."
        root = cls._default_prefix_root if root is None else root
        call_index = cls._default_prefix_call_index if call_index is None else call_index
        if graph_index is None:
            graph_index = cls._default_prefix_graph_index
            cls._default_prefix_graph_index += 1
        return f"{root}.{call_index}.{graph_index}."

    def node(self, class_type: str, id: str | None = None, **kwargs: Any) -> Node:
        """Add a node; its id is counted when none is given. An id that is there already gives that node."""
        if id is None:
            id = str(self.id_gen)
            self.id_gen += 1
        id = f"{self.prefix}{id}"
        if id not in self.nodes:
            self.nodes[id] = Node(id, class_type, kwargs)
        return self.nodes[id]

    def lookup_node(self, id: str) -> Node | None:
        """The node of that id without the prefix, or None."""
        return self.nodes.get(f"{self.prefix}{id}")

    def finalize(self) -> dict[str, Any]:
        """The graph as JSON of a prompt."""
        return {id: node.serialize() for id, node in self.nodes.items()}

    def replace_node_output(self, node_id: str, index: int, new_value: Any) -> None:
        """Put a value or link in place of links to an output; None takes the inputs away."""
        link = [f"{self.prefix}{node_id}", index]
        for node in self.nodes.values():
            for key in [key for key, value in node.inputs.items() if is_link(value) and list(value) == link]:
                node.set_input(key, new_value)

    def remove_node(self, id: str) -> None:
        """Take a node out."""
        del self.nodes[f"{self.prefix}{id}"]


def add_graph_prefix(graph: dict[str, Any], outputs: Any, prefix: str) -> tuple[dict[str, Any], tuple[Any, ...]]:
    """The graph and its outputs with `prefix` before every id, links within it too."""
    changed = {}
    for id, node in graph.items():
        inputs = {key: _prefixed(value, graph, prefix) for key, value in node["inputs"].items()}
        changed[f"{prefix}{id}"] = {**node, "inputs": inputs}
    return changed, tuple(_prefixed(value, graph, prefix) for value in outputs)


def _prefixed(value: Any, graph: dict[str, Any], prefix: str) -> Any:
    return [f"{prefix}{value[0]}", value[1]] if is_link(value) and value[0] in graph else value


class ExecutionBlocker:
    """There for packs that import it from here; see `comfy_execution.graph`."""

    def __new__(cls, message: str | None = None) -> Any:
        """A blocker."""
        from engine.authoring.definition import ExecutionBlocker as Blocker

        return Blocker(message)
