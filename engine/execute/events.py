"""Typed events: everything notable that happens in a run, for progress displays, the websocket, and tests.

Their number is linear in the number of nodes. Every event of a node carries its id, its display node (the node of the
submitted graph it belongs to) and, for expanded nodes, the node that expanded into it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, TypeAlias

import msgspec

Status: TypeAlias = Literal["done", "failed", "cancelled"]


class Counts(msgspec.Struct, frozen=True, gc=False):
    """How many nodes ended in which way. `remade` ones ran only because a value was gone; they count as reused too."""

    ran: int = 0
    reused: int = 0
    remade: int = 0
    failed: int = 0
    skipped: int = 0
    not_run: int = 0


class Event(msgspec.Struct, tag_field="type", tag=True, gc=False):
    """Base of all events."""


class RunStarted(Event):
    """Planning is over: `nodes_total` nodes are needed as far as is known (expansions and lazy inputs add more)."""

    nodes_total: int


class NodesCached(Event):
    """Nodes whose results are reused without anything having to run first."""

    nodes: list[str]
    ui: dict[str, dict[str, Any]] = {}
    """What those of them that show something showed when they ran."""
    inner: dict[str, str] = {}
    """Those of them that expansions made → the node of the submitted graph that each belongs to."""


class NodeEvent(Event, kw_only=True):
    """Base of the events of one node."""

    node: str
    display_node: str
    parent: str | None = None


class NodeReused(NodeEvent, kw_only=True):
    """A node was found unchanged after others had run (early cut-off, or an equal node of this run)."""

    ui: dict[str, Any] | None = None


class NodeStarted(NodeEvent, kw_only=True):
    """A node begins to run."""

    class_type: str


class NodeProgress(NodeEvent, kw_only=True):
    """`value` of `total` is done; at most some twenty a second for each node."""

    value: float
    total: float


class NodePreview(NodeEvent, kw_only=True):
    """An intermediate picture: uint8 RGB array (H, W, 3) or a PIL image."""

    image: Any


class NodePicture(NodeEvent, kw_only=True):
    """A finished picture for whoever submitted the run: the bytes of a PNG file. Unlike a preview, it is never left out."""

    data: bytes


class NodeText(NodeEvent, kw_only=True):
    """A text to be shown on the node while it works, in the place of the one before: what a language model has written so far."""

    text: str


class NodeMessage(NodeEvent, kw_only=True):
    """A message of the node's own for whoever watches, under a name that its pack chose."""

    event: str
    data: Any = None


class NodeFinished(NodeEvent, kw_only=True):
    """A node ran to its end.

    `seconds` is wall time. `peak_memory` is by how many bytes the process's peak of resident memory grew meanwhile (0: it
    stayed below an earlier peak), `device_memory` the peak in bytes allocated on the CUDA device, where there is one.
    """

    class_type: str
    seconds: float
    peak_memory: int = 0
    device_memory: int = 0
    ui: dict[str, Any] | None = None
    outputs: list[str] = []
    """A short description of each output, such as `Tensor (1, 64, 64, 3) float32`."""
    remade: bool = False
    expands: bool = False
    """It gave a subgraph in place of values: its outputs are there when that is through (`NodeCollected`)."""


class NodeSkipped(NodeEvent, kw_only=True):
    """A node did not run because of what it would have received: a blocked value, or nothing as `because` failed."""

    reason: Literal["blocked", "upstream_failed"]
    because: str | None = None


class NodeFailed(NodeEvent, kw_only=True):
    """A node failed. What needs none of its outputs goes on."""

    class_type: str
    message: str
    exception_type: str = ""
    input: str | None = None
    expected: str = ""
    got: str = ""
    hint: str = ""
    traceback: str = ""
    current_inputs: dict[str, str] = {}
    """A short description of each input value it had."""


class NodeExpanded(NodeEvent, kw_only=True):
    """A node gave a subgraph in place of values: these are the ids of its nodes."""

    nodes: list[str]


class NodeCollected(NodeEvent, kw_only=True):
    """The nodes that a node of the submitted graph expanded into have given what it gives: now it is done."""


class Warned(Event):
    """Something that did not stop the run but that a person should know; `node` where one is to blame."""

    message: str
    node: str | None = None


class RunFinished(Event):
    """The last event of a run."""

    status: Status
    counts: Counts
    seconds: float


AnyEvent: TypeAlias = (
    RunStarted
    | NodesCached
    | NodeReused
    | NodeStarted
    | NodeProgress
    | NodePreview
    | NodePicture
    | NodeText
    | NodeMessage
    | NodeFinished
    | NodeSkipped
    | NodeFailed
    | NodeExpanded
    | NodeCollected
    | Warned
    | RunFinished
)
"""The union to decode events with; `type` holds the class name."""

Sink: TypeAlias = Callable[[AnyEvent], None]
"""Receives events: one call at a time for each run, from the executor's threads. It must be quick and must not raise."""
