"""Loops without end: a loop is a node that expands into a copy of itself, so one that never ends would fill all memory.

What has bounds is what stays until the run is over (nodes, how deep they are nested, their constants) and what they keep.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from engine.cache.memory import size_of
from engine.execute.events import NodeFailed
from engine.execute.growth import MIB
from engine.execute.links import node_event
from engine.execute.run import Run
from engine.execute.state import NodeState
from engine.graph.prompt import Node

_NODE_BYTES: Final = 2048
"""About what a node costs besides its constants: its state, its place in the graph, its outcome."""


def constants_size(nodes: Iterable[Node]) -> int:
    """About how many bytes nodes take with their constants."""
    return sum([_NODE_BYTES + sum([size_of(value) for value in node.inputs.values()]) for node in nodes])


def beyond(run: Run, state: NodeState, nodes: int, size: int) -> NodeFailed | None:
    """The problem of `state` when `nodes` more in its expansion, of `size` bytes, would be more than a run may have."""
    limits = run.executor.expansion_limits
    inner = run.expanded.get(state.id)
    depth = 1 if inner is None else inner.depth + 1
    if depth > limits.depth:
        return _problem(run, state, f"are nested {depth:,} deep", f"{limits.depth:,}", f"depth = {2 * limits.depth}")
    total = run.growth.nodes + nodes
    if total > limits.nodes:
        return _problem(run, state, f"have {total:,} nodes", f"{limits.nodes:,}", f"nodes = {2 * limits.nodes}")
    total = run.growth.size + size
    if total > limits.bytes:
        most = limits.bytes // MIB
        return _problem(run, state, f"keep {total // MIB:,} MiB", f"{most:,} MiB", f"mib = {2 * most}")
    return None


def _problem(run: Run, state: NodeState, found: str, most: str, setting: str) -> NodeFailed:
    shown = run.prompt.get(state.display)
    name = f"{state.display} ({shown.class_type if shown is not None else state.node.class_type})"
    inside = "" if state.id == state.display else f", here as {state.id}"
    return NodeFailed(
        **node_event(state),
        class_type=state.node.class_type,
        message=f"Node {name}{inside}, expands without end: the expansions of this run {found}.",
        exception_type="ExpansionLimit",
        expected=f"at most {most}",
        got=found,
        hint=(
            "See why the loop does not end: a condition that never becomes false, or a list loop that is fed one picture. "
            f"If it would have ended, set `{setting}` under [expansion] in safelight.toml."
        ),
    )
