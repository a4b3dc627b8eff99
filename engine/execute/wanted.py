"""Output values that the caller of a run wants: collected last, so that no node can write into them afterwards."""

from __future__ import annotations

from typing import Any

from engine.cache.memory import Stored
from engine.execute.links import NOTHING
from engine.execute.run import Run
from engine.execute.state import Held, NodeState
from engine.graph.prompt import Link, Node, NodeId


def collect_wanted(run: Run) -> None:
    """Everything else is done: fetch (or have remade) the values of `run.wanted`. Under the lock; settle afterwards.

    To be called until nothing is wanted any more: what is remade for one value can, once more, write into another.
    """
    spoilt = [node_id for node_id, held in run.kept.items() if not all(map(_intact, held))]
    wanted, run.wanted = [*run.wanted, *spoilt], []
    for node_id in wanted:
        state = run.states[node_id]
        links: dict[str, Any] = {str(slot): Link(node_id, slot) for slot in range(state.facts.outputs)}
        errand = NodeState(node_id, Node("", links), NOTHING, state.display, state.parent)
        errand.errand = _Keep(run, node_id)
        run.agenda.fresh.append(errand)


def wanted_values(run: Run) -> dict[str, tuple[Any, ...]]:
    """What was collected, in copies: it is the caller's to write into."""
    copies = run.cache.copies
    return {node_id: copies.of_all(map(_plain, held)) for node_id, held in run.kept.items()}


class _Keep:
    """Keeps the output values of one node for the caller."""

    def __init__(self, run: Run, node_id: NodeId) -> None:
        self._run = run
        self._node_id = node_id

    def __call__(self, held: list[Held] | None) -> None:
        if held is not None and self._run.states[self._node_id].outputs is not None:
            self._run.kept[self._node_id] = held


def _plain(held: Held) -> Any:
    return held.value if isinstance(held, Stored) else [entry.value for entry in held]


def _intact(held: Held) -> bool:
    return held.intact if isinstance(held, Stored) else all(entry.intact for entry in held)
