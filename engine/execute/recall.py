"""What the nodes of a graph gave when they last ran: looked up in the cache, with nothing run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

from engine.cache.actions import SlotDigests
from engine.execute.links import need
from engine.execute.plan import settle
from engine.execute.run import Run
from engine.graph.prompt import NodeId

Recalled: TypeAlias = Mapping[NodeId, tuple[SlotDigests, ...]]
"""Node → digest of each of its outputs, for `Cache.get`."""


def outputs_of(run: Run) -> dict[NodeId, tuple[SlotDigests, ...]]:
    """The outputs of every node of a run that are known."""
    return {state.id: state.outputs for state in run.states.values() if state.outputs is not None}


def recall(run: Run, outputs: Sequence[NodeId]) -> Recalled:
    """Plan `outputs` as a run would, and say what is known without running anything. Blocking.

    Nodes that may not be reused, and all that follows them, are left out.
    """
    run.crew.end()  # what planning finds to be run is never begun
    with run.cache.actions.reading(), run.lock:
        for node_id in reversed(outputs):
            need(run, node_id)
        settle(run)
    return outputs_of(run)
