"""What is told of a run when it is over: of nodes that expansions added, a bounded part one by one, the rest joined.

A loop of a thousand passes is some thousands of nodes, of which nobody reads each; the node of the submitted graph that they
are shown on stands for them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any, Final

from engine.execute.calls import joined_ui
from engine.execute.events import NodeFailed
from engine.execute.result import NodeOutcome, RunResult

MOST_INNER: Final = 200
"""Expanded nodes of a run whose outcomes are told one by one."""

MOST_SHOWING: Final = 32
"""Expanded nodes on one node of the submitted graph whose `ui` is told by their own ids."""


def outcomes(result: RunResult) -> dict[str, Any]:
    """How the nodes ended, by id. With more expanded ones than `MOST_INNER`, those count in `inner` of what they are shown on."""
    inner = {node: outcome for node, outcome in result.nodes.items() if _is_inner(node, outcome)}
    if len(inner) <= MOST_INNER:
        return dict(result.nodes)
    told: dict[str, Any] = {
        node: {"status": outcome.status, "seconds": outcome.seconds, "display_node": outcome.display_node}
        for node, outcome in result.nodes.items()
        if node not in inner
    }
    for outcome in inner.values():
        shown_on = told.get(outcome.display_node)
        if shown_on is not None:
            counts = shown_on.setdefault("inner", {"seconds": 0.0})
            counts["seconds"] += outcome.seconds
            counts[outcome.status] = counts.get(outcome.status, 0) + 1
    return told


def shown(result: RunResult) -> dict[str, dict[str, Any]]:
    """What nodes showed, by id. Where more expanded ones than `MOST_SHOWING` belong to one node, theirs is joined to its own."""
    on: defaultdict[str, list[str]] = defaultdict(list)
    for node in result.ui:
        outcome = result.nodes.get(node)
        if outcome is not None and _is_inner(node, outcome):
            on[outcome.display_node].append(node)
    many = {display: nodes for display, nodes in on.items() if len(nodes) > MOST_SHOWING}
    if not many:
        return result.ui
    left_out = {node for nodes in many.values() for node in nodes}
    told: dict[str, dict[str, Any]] = {node: ui for node, ui in result.ui.items() if node not in left_out}
    for display, nodes in many.items():
        first: list[Mapping[str, Any]] = [told[display]] if display in told else []
        told[display] = joined_ui([*first, *(result.ui[node] for node in nodes)])
    return told


def failure_text(failure: NodeFailed, title: str) -> str:
    """A failed node that people call `title`, for people: where, what, and on lines of their own expected, got, what to do."""
    place = f', input "{failure.input}"' if failure.input else ""
    facts = (("expected", failure.expected), ("received", failure.got), ("hint", failure.hint))
    lines = [f"{title} (node {failure.node}){place} failed: {failure.message}"]
    return "\n".join([*lines, *(f"  {label}: {text}" for label, text in facts if text)])


def _is_inner(node: str, outcome: NodeOutcome) -> bool:
    """Whether an expansion added the node: those of the submitted graph are shown on themselves."""
    return node != outcome.display_node
