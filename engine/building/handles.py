"""What a call of a node gives: a handle of each output, to be given to further calls."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, overload

from engine.graph.entries import plain_name
from engine.graph.prompt import Link

if TYPE_CHECKING:
    from engine.graph.schema import NodeSpec


class Output:
    """One output of a node in a graph that is being built. `id` is its node, `slot` its number, `type` its socket type."""

    __slots__ = ("_graph", "id", "name", "slot", "type")

    def __init__(self, graph: object, id: str, slot: int, type: str, name: str) -> None:
        self._graph = graph
        self.id = id
        self.slot = slot
        self.type = type
        self.name = name

    def link_in(self, graph: object) -> Link:
        """The link that stands for it. Raises ValueError when it is of another graph than `graph`."""
        if graph is not self._graph:
            raise ValueError(f"{self!r} is of another graph: a node takes outputs of its own graph only.")
        return Link(self.id, self.slot)

    def __iter__(self) -> Iterator[Any]:
        raise TypeError(f"{self!r} is a single output: there is nothing to unpack.")

    def __bool__(self) -> bool:
        raise TypeError(
            f"{self!r} has no value while the graph is built. Choose between values with a node, such as Switch."
        )

    def __repr__(self) -> str:
        return f"<output {self.slot} ({self.name}: {self.type}) of node {self.id}>"


class Outputs:
    """The outputs of a node that has none or several: to be unpacked, by number, or by name (`loaded.VAE`)."""

    def __init__(self, graph: object, id: str, spec: NodeSpec) -> None:
        self.id = id
        self._class_type = spec.name
        declared = [(one.type, one.name) for one in spec.outputs]
        self._declared = len(declared)
        declared += [(spec.more_outputs, str(at)) for at in range(len(declared), spec.slots)]
        self._all = [Output(graph, id, at, type, name) for at, (type, name) in enumerate(declared)]
        self._names = {plain_name(one.name): one for one in reversed(self._all)}  # the first of a name has it

    def __len__(self) -> int:
        return self._declared

    def __iter__(self) -> Iterator[Output]:
        return iter(self._all[: self._declared])

    @overload
    def __getitem__(self, at: int) -> Output: ...
    @overload
    def __getitem__(self, at: slice) -> list[Output]: ...
    def __getitem__(self, at: Any) -> Any:
        try:
            return self._all[at]
        except IndexError:
            raise IndexError(f"Node {self.id} ({self._class_type}) has {len(self._all)} outputs.") from None

    def __getattr__(self, name: str) -> Output:
        if name.startswith("__") or "_names" not in self.__dict__:
            raise AttributeError(name)
        found = self._names.get(name)
        if found is None:
            near = difflib.get_close_matches(name, self._names, n=3, cutoff=0.5) or list(self._names)
            listed = f" Did you mean {' or '.join(near)}?" if near else " It has none."
            raise AttributeError(f"Node {self.id} ({self._class_type}) has no output {name!r}.{listed}")
        return found

    def __repr__(self) -> str:
        return f"<outputs of node {self.id} ({self._class_type}): {', '.join(self._names) or 'none'}>"
