"""Agenda: what planning has still to look at, and what it found."""

from __future__ import annotations

from collections import deque

from engine.execute.state import NodeState


class Agenda:
    """The states before `plan.settle`, and those whose keys it knows. Changed only under the lock of the run."""

    __slots__ = ("_followers", "cached_at_start", "found_ready", "fresh", "leaders", "queue")

    def __init__(self) -> None:
        self.fresh: list[NodeState] = []
        """States whose links are not yet followed."""
        self.queue: deque[NodeState] = deque()
        """States to settle."""
        self.found_ready: list[NodeState] = []
        """States that must run, in the order in which that was found."""
        self.leaders: dict[bytes, NodeState] = {}
        """Key → the first state with it, of those that run."""
        self._followers: dict[str, list[NodeState]] = {}
        self.cached_at_start: list[NodeState] = []
        """What was reused before anything ran."""

    def take_ready(self) -> list[NodeState]:
        """The states that must run, for the right end of `Crew.ready`: threads take from there, the first found first.

        So chains are finished before others begin.
        """
        ready, self.found_ready = self.found_ready, []
        ready.reverse()
        return ready

    def follow(self, state: NodeState, leader: NodeState) -> None:
        """`state` will be given what `leader` gives."""
        self._followers.setdefault(leader.id, []).append(state)

    def take_followers(self, leader: NodeState) -> list[NodeState]:
        """The states that follow `leader`; from now on none does."""
        return self._followers.pop(leader.id, [])
