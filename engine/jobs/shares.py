"""What each client of the queue has had of the workers, so that those who ask for the same thing take turns.

Start-time fair queueing (Goyal, Vin and Cheng 1996): a client's *account* is the seconds that its jobs have taken. Whose
account is lowest is next. A client that comes, or comes back, begins where the others are (`floor`), neither punished for what
it used while nobody else wanted it nor paid for having been away. Accounts only grow, also over restarts: each job is stored
with the account of its client, and the newest of them are read back.

How long a job will take is not known. When it begins, its client is charged what its jobs took lately, and what it really
took when it has ended.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final, TypeAlias

from engine.jobs.records import Job

Client: TypeAlias = tuple[str, str]
"""Who takes turns: the owner of a token, or where none is asked for (and for the server's own) a client id."""

FIRST_GUESS: Final = 1.0
"""Seconds that the first job of all is thought to take."""

LEAST: Final = 1e-3
"""Seconds that any job counts: turns are taken also by those whose jobs are served from the cache."""

_NEWEST: Final = 0.3
"""Weight of the newest job in what a client's jobs take."""

_IDLE_KEPT: Final = 256
"""So many clients without jobs are remembered at least, those that have had most; others begin at the floor."""


def client_of(owner: str | None, client_id: str | None) -> Client:
    """Who takes turns with others by a job (`Job.owner`, `Job.client_id`)."""
    return ("token", owner) if owner is not None else ("client", client_id or "")


class Shares:
    """The accounts. Not safe among threads."""

    def __init__(self) -> None:
        self.floor = 0.0
        """Where those begin who come; it never falls."""
        self._used: dict[Client, float] = {}
        self._charged: dict[Client, float] = {}
        """For jobs that run."""
        self._takes: dict[Client, float] = {}
        """Seconds that a client's jobs took lately."""
        self._guess = FIRST_GUESS
        self._jobs: Counter[Client] = Counter()
        """How many wait and run."""

    def account(self, client: Client) -> float:
        """Seconds that a client has had, those included that its running jobs are thought to take."""
        return self.settled(client) + self._charged.get(client, 0.0)

    def settled(self, client: Client) -> float:
        """Seconds that a client has had, without those of jobs that still run."""
        used = self._used.get(client, 0.0)
        return used if client in self._jobs else max(used, self.floor)

    def cost(self, client: Client) -> float:
        """Seconds that the next job of a client is thought to take."""
        return max(LEAST, self._takes.get(client, self._guess))

    def join(self, client: Client) -> None:
        """A job of a client waits or runs."""
        if client not in self._jobs:
            self._used[client] = self.settled(client)
        self._jobs[client] += 1

    def leave(self, client: Client) -> None:
        """It does so no more."""
        self._jobs[client] -= 1
        if self._jobs[client] <= 0:
            del self._jobs[client]
            self._forget()

    def charge(self, client: Client, least: float) -> float:
        """A job of a client begins; `least` is the lowest account of those who wait. Gives what it is charged."""
        self.floor = max(self.floor, min(self.account(client), least))
        charge = self.cost(client)
        self._charged[client] = self._charged.get(client, 0.0) + charge
        return charge

    def settle(self, client: Client, charge: float, seconds: float, *, ended: bool) -> None:
        """It took `seconds`, in place of what it was charged. Not `ended`: it was given back, which says nothing of others."""
        left = self._charged.get(client, 0.0) - charge
        if left > LEAST / 2:
            self._charged[client] = left
        else:
            self._charged.pop(client, None)
        self._used[client] = self.settled(client) + max(seconds, LEAST if ended else 0.0)
        if ended:
            self._takes[client] = self._mixed(self._takes.get(client, seconds), seconds)
            self._guess = self._mixed(self._guess, seconds)

    def restore(self, waiting: Iterable[Job], ended: Sequence[tuple[Client, float]]) -> None:
        """Take the accounts up where they stood: of the jobs that wait, and of the newest that have ended."""
        for client, account in [*((client_of(job.owner, job.client_id), job.account) for job in waiting), *ended]:
            self._used[client] = max(account, self._used.get(client, 0.0))
        wait = {client_of(job.owner, job.client_id) for job in waiting}
        if self._used:
            self.floor = min(self._used[one] for one in wait) if wait else max(self._used.values())

    def _mixed(self, old: float, new: float) -> float:
        return (1 - _NEWEST) * old + _NEWEST * new

    def _forget(self) -> None:
        """Drop what nobody needs: all accounts when no job is left, for all begin anew then, and some when there are many."""
        if not self._jobs:
            self.floor = max(self.floor, *self._used.values(), 0.0)
            self._used.clear()
            if len(self._takes) > _IDLE_KEPT:
                self._takes.clear()
        elif len(self._used) > 2 * (len(self._jobs) + _IDLE_KEPT):
            idle = [(used, one) for one, used in self._used.items() if one not in self._jobs and used > self.floor]
            kept = {one: used for used, one in heapq.nlargest(_IDLE_KEPT, idle)}
            self._used = {one: used for one, used in self._used.items() if one in self._jobs or one in kept}
            self._takes = {one: takes for one, takes in self._takes.items() if one in self._used}
