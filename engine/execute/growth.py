"""Growth: how much expansions have added to a run, and how much they may."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from engine.cache.digests import Digest
from engine.cache.memory import Stored

MIB: Final = 1024**2


class ExpansionLimits(msgspec.Struct, frozen=True, kw_only=True):
    """How much the expansions of one run may add."""

    nodes: int = 100_000
    depth: int = 2_500
    """How many expansions may be nested: the passes of a loop."""
    bytes: int = 1024 * MIB
    """Of the nodes, their constants, and the values among their inputs that are no JSON while they wait for being read."""


class Growth:
    """What the expansions of a run have added. Changed under the lock of the run only."""

    __slots__ = ("_kept", "nodes", "size")

    def __init__(self) -> None:
        self.nodes = 0
        self.size = 0
        """Bytes."""
        self._kept: dict[Digest, int] = {}

    def add(self, nodes: int, size: int, stash: Mapping[Digest, Stored]) -> None:
        """Count an expansion: its nodes and their constants, and the values that it keeps; equal ones are counted once."""
        self.nodes += nodes
        self.size += size
        for name, entry in stash.items():
            kept = self._kept.get(name, 0)
            self._kept[name] = kept + 1
            if not kept:
                self.size += entry.size

    def drop(self, stash: Mapping[Digest, Stored]) -> None:
        """The values of an expansion are no longer kept."""
        for name, entry in stash.items():
            kept = self._kept.pop(name, 1) - 1
            if kept:
                self._kept[name] = kept
            else:
                self.size -= entry.size
