"""The phases of a node in a run, and the moves between them.

A value that is gone is made again by running its node once more, so a node that ran or was reused may become READY again; so
does one that runs, when its inputs were written into meanwhile. `NodeState.enter` is the one place where a phase changes;
the tests of this package hold every run of theirs against the table.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

PLANNING, FOLLOWING, READY, RUNNING, SUPPLY, EXPANDED = range(6)
"""Phases of a state that is not finished: its inputs are awaited; its leader is; it is queued; it runs; values it needs
are being remade; the nodes of its expansion are awaited."""
RAN, REUSED, SKIPPED, FAILED, NOT_RUN = range(6, 11)
"""Phases of a finished state."""

NAMES: Final = (
    *("planning", "following", "ready", "running", "supply", "expanded"),
    *("ran", "reused", "skipped", "failed", "not run"),
)

MOVES: Final[Mapping[int, frozenset[int]]] = {
    PLANNING: frozenset({FOLLOWING, READY, EXPANDED, REUSED, SKIPPED, FAILED, NOT_RUN}),
    FOLLOWING: frozenset({REUSED, FAILED, NOT_RUN}),
    READY: frozenset({READY, RUNNING, SUPPLY, FAILED}),
    RUNNING: frozenset({READY, EXPANDED, RAN, SKIPPED, FAILED, NOT_RUN}),
    SUPPLY: frozenset({READY, FAILED, NOT_RUN}),
    EXPANDED: frozenset({RAN, REUSED, FAILED, NOT_RUN}),
    RAN: frozenset({READY}),
    REUSED: frozenset({READY}),
    SKIPPED: frozenset(),
    FAILED: frozenset(),
    NOT_RUN: frozenset(),
}
"""Phase → the phases that may follow it."""
