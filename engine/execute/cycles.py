"""Cycles: an expansion can link its nodes so that one waits for itself. Found when nothing else is left to do."""

from __future__ import annotations

from engine.execute.events import NodeFailed
from engine.execute.links import inputs_in_use, node_event
from engine.execute.phases import EXPANDED, FAILED, FOLLOWING, RAN, RUNNING
from engine.execute.plan import fail
from engine.execute.run import Run
from engine.execute.state import NodeState


def break_cycle(run: Run) -> bool:
    """Fail one node of a cycle, the expanded one if there is one; False when no state waits for itself.

    Called when no thread is at work: then each unfinished state waits for another, or for a coroutine that is not done.
    """
    sound: set[NodeState] = set()
    for state in run.states.values():
        if state.phase < RAN:
            cycle = _walk(run, state, sound)
            if cycle:
                _blame(run, cycle)
                return True
    return False


def _walk(run: Run, state: NodeState, sound: set[NodeState]) -> list[NodeState]:
    """Follow one unfinished dependency after the other until a state comes round again; add to `sound` if none does."""
    seen: dict[NodeState, int] = {}
    path: list[NodeState] = []
    following: NodeState | None = state
    while following is not None and following not in sound:
        if following in seen:
            return path[seen[following] :]
        seen[following] = len(path)
        path.append(following)
        following = _waits_on(run, following)
    sound.update(path)
    return []


def _waits_on(run: Run, state: NodeState) -> NodeState | None:
    if state.phase == FOLLOWING:
        return state.leader
    if state.phase == RUNNING:
        candidates = [p for e, owner in run.errand_owners.items() if owner is state for p in inputs_in_use(run, e)]
    else:
        candidates = [*(inputs_in_use(run, state) if state.phase != EXPANDED else ()), *(state.borrowed or ())]
    for producer in candidates:
        if producer.remaking or (producer.outputs is None and producer.phase < FAILED):
            return producer
    return None


def _blame(run: Run, cycle: list[NodeState]) -> None:
    state = next((state for state in cycle if state.phase == EXPANDED), cycle[0])
    path = " → ".join([*(member.id for member in reversed(cycle)), cycle[-1].id])
    problem = NodeFailed(
        **node_event(state),
        class_type=state.node.class_type,
        message=f"These nodes wait for each other in a circle: {path}.",
        exception_type="DependencyCycle",
        expected="links that lead from earlier to later nodes",
        got="a node that needs its own result",
        hint="Remove one of these links. If the node expanded into others, its expansion links back to what needs it.",
    )
    fail(run, state, problem)
