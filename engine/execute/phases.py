"""The phases of a node in a run, and the moves between them.

A value that is gone is made again by running its node once more, so a finished node may become READY or SUPPLY again, and ends
as RAN, or FAILED when what it needs is not to be had any more. `NodeState.enter` is the one place where a phase changes;
`tests/execute/test_phases.py` holds runs of every kind against the table.
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

MOVES: Final[Mapping[int, frozenset[int]]] = {}
"""Phase → the phases that may follow it."""
