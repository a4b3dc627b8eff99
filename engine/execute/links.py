"""Links between states: who waits for whom, and whose values are still needed."""

from __future__ import annotations

from typing import Any

from engine.execute.events import NodeFailed
from engine.execute.facts import SpecFacts
from engine.execute.phases import FAILED
from engine.execute.run import Run
from engine.execute.state import ExpansionState, NodeState, StoredInput
from engine.graph.prompt import Link, Node, NodeId
from engine.graph.schema import NodeSpec

NOTHING = SpecFacts(NodeSpec(name=""))
"""Facts of a node that is not there or of unknown type."""


def need(run: Run, node_id: NodeId) -> NodeState:
    """The state of a node, made (with its links still to be followed) when it is needed for the first time.

    A node that is not there, or of a type that is not known, gets a state with a `problem`, which fails once settled.
    """
    state = run.states.get(node_id)
    if state is not None:
        return state
    display, parent = node_id, None
    node = run.prompt.get(node_id)
    if node is None and (inner := run.expanded.get(node_id)) is not None:
        node, display, parent = inner.node, inner.display, inner.parent
    facts = run.executor.facts(node.class_type) if node is not None else None
    state = NodeState(node_id, node or Node("", {}), facts or NOTHING, display, parent)
    if facts is None:
        state.node = Node(state.node.class_type, {})
        state.problem = _unknown(state, node)
    run.states[node_id] = state
    run.agenda.fresh.append(state)
    return state


def wait_for(state: NodeState, producer: NodeState) -> None:
    """Make `state` a consumer of `producer`, waiting if its digests are not known yet."""
    producer.uses += 1
    if producer.outputs is None:
        if producer.phase >= FAILED:
            state.upstream = producer
        else:
            if producer.consumers is None:
                producer.consumers = [state]
            else:
                producer.consumers.append(state)
            state.waiting += 1


def inputs_in_use(run: Run, state: NodeState) -> list[NodeState]:
    """The producers of the inputs of `state`, one for each link: of the lazy inputs, only those asked for."""
    lazy = state.facts.lazy
    found = []
    for name, value in state.node.inputs.items():
        if type(value) is Link:
            if not lazy or name not in lazy or (state.lazy is not None and name in state.lazy.needed):
                found.append(run.states[value.node])
        elif type(value) is StoredInput:
            found.append(run.states[value.owner])
    return found


def release_inputs(run: Run, state: NodeState) -> None:
    """`state` is through with its inputs: what no other state needs is let go."""
    if state.uses_inputs:
        state.uses_inputs = False
        if state.parent is not None:
            count_stashed(run, state, -1)
        for producer in inputs_in_use(run, state):
            release(run, producer)


def count_stashed(run: Run, state: NodeState, by: int) -> None:
    """Count the inputs of an expanded node that are values of the expansion: `by` 1 when it needs them, -1 afterwards."""
    assert state.parent is not None
    expansion = run.states[state.parent].expansion
    if expansion is None or not expansion.keeps:
        return
    for value in state.node.inputs.values():
        if type(value) is StoredInput:
            expansion = run.states[value.owner].expansion
            if expansion is not None:
                expansion.uses += by
                if expansion.uses <= 0 and expansion.passing:
                    _drop_stash(run, expansion)


def release_borrowed(run: Run, state: NodeState) -> None:
    """The same for the states that it used beyond its inputs."""
    if state.borrowed:
        for producer in state.borrowed:
            release(run, producer)
        state.borrowed = None


def release(run: Run, producer: NodeState) -> None:
    """One use of `producer` less; after the last its values are let go."""
    producer.uses -= 1
    if producer.uses <= 0:
        producer.held = None
        if producer.expansion is not None:
            _drop_stash(run, producer.expansion)


def _drop_stash(run: Run, expansion: ExpansionState) -> None:
    run.growth.drop(expansion.stash)
    expansion.stash = {}


def node_event(state: NodeState) -> dict[str, Any]:
    """The fields that say which node an event is about."""
    return {"node": state.id, "display_node": state.display, "parent": state.parent}


def _unknown(state: NodeState, node: Node | None) -> NodeFailed:
    if node is None:
        return NodeFailed(
            **node_event(state),
            class_type="",
            message=f"Node {state.id} is linked to but is not in the graph.",
            hint="Remove the link, or add the node.",
        )
    return NodeFailed(
        **node_event(state),
        class_type=node.class_type,
        message=f"There is no node type {node.class_type!r}.",
        hint="Check the spelling, or install the node pack that has it.",
    )
