"""NodeDefinition: a NodeSpec together with the code that runs it. Every front door makes one; the executor knows no other."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from engine.graph.prompt import Node
from engine.graph.schema import NodeSpec

T = TypeVar("T")

DEFINITION = "__safelight_node__"
"""Attribute under which a decorated function or class keeps its definition."""


class ExecutionBlocker:
    """A value that stops what receives it: such nodes are skipped and pass it on.

    With a `message`, the node that first receives it reports the message as its error; with None it is skipped silently.
    """

    __slots__ = ("message",)

    def __init__(self, message: str | None = None) -> None:
        self.message = message


class WithUi(Generic[T]):
    """Output values together with what editors show on the node, such as `{"images": [...]}`.

    Annotate the result as `WithUi[Image]`, or `WithUi[None]` for a node without outputs.
    """

    __slots__ = ("ui", "values")

    def __init__(self, *values: Any, ui: Mapping[str, Any]) -> None:
        self.values = values
        self.ui = ui


class Expand(Generic[T]):
    """A subgraph in place of a result: `nodes` to run, and `values` that are links into them or plain values."""

    __slots__ = ("nodes", "ui", "values")

    def __init__(self, nodes: Mapping[str, Node], *values: Any, ui: Mapping[str, Any] | None = None) -> None:
        self.nodes = dict(nodes)
        self.values = values
        self.ui = ui


@dataclass(slots=True)
class NodeResult:
    """What one call of a node gave, in the one form that the executor reads.

    `values` has one item per output (missing ones are None). With `expand`, values that are `Link` point into it.
    """

    values: tuple[Any, ...]
    ui: Mapping[str, Any] | None = None
    expand: dict[str, Node] | None = None


@dataclass(slots=True)
class NodeDefinition:
    """A runnable node.

    `run(ctx, **inputs)` (or `run(instance, ctx, **inputs)` when `make` is set: one instance per node id, kept between
    runs) gives a raw result that `read` turns into a NodeResult. `lazy_status(**inputs)` names the lazy inputs still
    wanted (class protocol); nodes of our own await `Lazy` inputs instead. `validate(**constants)` returns True or a
    message, and looks itself after range and choice of the `owned_inputs` (after types of links, if `input_types` is one).
    `fingerprint(**constants)` returns any value that changes when the outside state it reads does. `respec` declares the
    node anew, for its choices may have changed. `takes(name)` says whether it wants an undeclared constant. `trusted`: it
    is built in, and known never to write into what it was given or gave; any other is handed copies.
    """

    spec: NodeSpec
    run: Callable[..., Any]
    read: Callable[[NodeSpec, Any], NodeResult]
    is_async: bool = False
    wants_ctx: bool = True
    make: Callable[[], Any] | None = None
    lazy_status: Callable[..., Sequence[str]] | None = None
    validate: Callable[..., Any] | None = None
    fingerprint: Callable[..., Any] | None = None
    lazy_inputs: frozenset[str] = field(default_factory=frozenset)
    owned_inputs: Container[str] = ()
    takes: Callable[[str], bool] | None = None
    respec: Callable[[], NodeSpec] | None = None
    trusted: bool = False


def read_result(spec: NodeSpec, raw: Any) -> NodeResult:
    """Read what a node function of our own returned.

    Raises TypeError naming the node when the number of values does not fit its declared outputs.
    """
    if type(raw) is Expand:
        return NodeResult(_fit(spec, raw.values), raw.ui, raw.nodes)
    if type(raw) is WithUi:
        return NodeResult(_fit(spec, raw.values), raw.ui)
    if len(spec.outputs) == 1:
        return NodeResult(tuple(raw) if _of_one_field(raw) else (raw,))
    if not spec.outputs:
        return NodeResult(())
    return NodeResult(_fit(spec, raw if isinstance(raw, tuple) else (raw,)))


def _of_one_field(raw: Any) -> bool:
    """Whether this is a NamedTuple that names the one output, and not the output itself."""
    return isinstance(raw, tuple) and len(getattr(raw, "_fields", ())) == 1


def _fit(spec: NodeSpec, values: tuple[Any, ...]) -> tuple[Any, ...]:
    if len(values) == len(spec.outputs):
        return values
    if len(values) == 1 and isinstance(values[0], ExecutionBlocker):
        return values * len(spec.outputs)
    raise TypeError(
        f"{spec.name} returned {len(values)} value(s) where its signature declares {len(spec.outputs)} output(s): "
        f"{', '.join(output.name for output in spec.outputs) or 'none'}. Return one value per declared output."
    )
