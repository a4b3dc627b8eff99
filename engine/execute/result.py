"""What a run gives back."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec

from engine.cache.actions import SlotDigests
from engine.execute.events import Counts, NodeFailed, Status


class NodeOutcome(msgspec.Struct, frozen=True, gc=False):
    """How one node ended. `seconds` is what it took in this run (0 when reused)."""

    status: Literal["ran", "reused", "remade", "failed", "skipped", "not_run"]
    seconds: float
    display_node: str


@dataclass(slots=True)
class RunResult:
    """Outcome of a run; `status` is "failed" when any node failed, though other outputs may be there."""

    status: Status
    nodes: dict[str, NodeOutcome]
    """Every node that was needed, the expanded ones by their own ids."""
    ui: dict[str, dict[str, Any]]
    """What nodes showed, by node id; for reused nodes what they showed when they ran."""
    failures: list[NodeFailed]
    counts: Counts
    seconds: float
    values: dict[str, tuple[Any, ...]] = field(default_factory=dict)
    """Output values of the nodes that the caller asked for; an output that is a list of items is a list here."""
    digests: dict[str, tuple[SlotDigests, ...]] = field(default_factory=dict)
    """What each node gave, as digests for `Cache.get`: one for each output, a tuple of them where it is a list."""

    def place(self, node: str) -> str:
        """The node of the submitted graph that `node` is shown on: itself, unless an expansion made it."""
        outcome = self.nodes.get(node)
        return outcome.display_node if outcome is not None else node
