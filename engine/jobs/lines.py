"""Jobs of equal priority: one line for each client, and whose turn it is (`engine.jobs.shares`)."""

from __future__ import annotations

import bisect
import heapq
from typing import NamedTuple, TypeAlias

from engine.jobs.shares import Client, Shares


class Place(NamedTuple):
    """Where a job would stand if nobody took turns."""

    number: float
    sequence: int
    id: str


Entry: TypeAlias = tuple[float, Place, Client]
"""The account of a client, the head of its line, and who it is: the lowest is next, of equal ones whose job is oldest."""


class Lines:
    """The lines of some jobs. Which client is next is found anew each time, for which all lines are looked at."""

    def __init__(self, shares: Shares) -> None:
        self._shares = shares
        self.lines: dict[Client, list[Place]] = {}
        self.count = 0

    def add(self, client: Client, place: Place) -> None:
        """Put a job into the line of its client."""
        bisect.insort(self.lines.setdefault(client, []), place)
        self.count += 1

    def take(self, client: Client, place: Place) -> None:
        """Take one out that is there."""
        line = self.lines[client]
        del line[bisect.bisect_left(line, place)]
        self.count -= 1
        if not line:
            del self.lines[client]

    def entries(self) -> list[Entry]:
        """One for each client, the next first."""
        return sorted((self._shares.account(client), line[0], client) for client, line in self.lines.items())

    def first(self) -> Place:
        """The place before which nobody stands; there must be one."""
        return min(line[0] for line in self.lines.values())


class StandingLines(Lines):
    """The same, kept in order: of the many jobs that have no priority of their own the first few are asked for often."""

    def __init__(self, shares: Shares) -> None:
        super().__init__(shares)
        self._entries: list[Entry] = []
        self._of: dict[Client, Entry] = {}

    def add(self, client: Client, place: Place) -> None:
        super().add(client, place)
        self.look(client)

    def take(self, client: Client, place: Place) -> None:
        super().take(client, place)
        self.look(client)

    def look(self, client: Client) -> None:
        """The line or the account of a client has changed."""
        line = self.lines.get(client)
        entry = None if line is None else (self._shares.account(client), line[0], client)
        old = self._of.get(client)
        if entry == old:
            return
        if old is not None:
            del self._entries[bisect.bisect_left(self._entries, old)]
            del self._of[client]
        if entry is not None:
            bisect.insort(self._entries, entry)
            self._of[client] = entry

    def entries(self) -> list[Entry]:
        """As it is kept: not to be written into."""
        return self._entries

    def least(self, otherwise: float) -> float:
        """The lowest account of those who wait."""
        return self._entries[0][0] if self._entries else otherwise


class Walk:
    """Goes through lines in the order in which they will be served, each client being charged what its jobs took lately.

    `ahead` is what clients were charged on the way, shared by the walks through lines of several priorities. The lines must not
    change meanwhile.
    """

    def __init__(self, lines: Lines, shares: Shares, ahead: dict[Client, float]) -> None:
        self._lines = lines.lines
        self._shares = shares
        self._ahead = ahead
        self._entries = lines.entries()
        self._at = 0
        self._again: list[Entry] = []
        """A heap of those who were served on the way, or stand too far back."""
        self._served: dict[Client, int] = {}

    def next(self, before: Place | None = None) -> Place | None:
        """The next job; with `before`, only of those that stand before that place. None: there is none."""
        passed: list[Entry] = []
        found = None
        while found is None and (entry := self._lowest()) is not None:
            account, head, client = entry
            now = self._shares.account(client) + self._ahead.get(client, 0.0)
            if now > account:  # served meanwhile, among jobs of another priority
                heapq.heappush(self._again, (now, head, client))
            elif before is not None and head > before:
                passed.append(entry)
            else:
                found = head
                self._serve(client, now)
        for entry in passed:
            heapq.heappush(self._again, entry)
        return found

    def _lowest(self) -> Entry | None:
        fresh = self._entries[self._at] if self._at < len(self._entries) else None
        if self._again and (fresh is None or self._again[0] < fresh):
            return heapq.heappop(self._again)
        self._at += fresh is not None
        return fresh

    def _serve(self, client: Client, account: float) -> None:
        cost = self._shares.cost(client)
        self._ahead[client] = self._ahead.get(client, 0.0) + cost
        served = self._served[client] = self._served.get(client, 0) + 1
        line = self._lines[client]
        if served < len(line):
            heapq.heappush(self._again, (account + cost, line[served], client))
