"""How much a token may ask for: jobs per minute, and jobs that wait and run at once.

Asked where jobs are accepted (`Dispatcher.accept`), so that every way of making one is counted.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from typing import Final

from engine.jobs.records import Job
from engine.server.principals import Principal, asking
from engine.server.refusals import Refusal

LONGEST_WAIT: Final = 60
"""Seconds that a client whose queue is full is told to wait at most: nobody knows when a job ends."""


class Bucket:
    """Tokens that come back with time (a token bucket): `rate` per minute, of which a minute's worth can be saved up."""

    def __init__(self, rate: float, now: float) -> None:
        self.rate = rate
        self._most = max(1.0, rate)
        self._left = self._most
        self._at = now

    def take(self, now: float) -> float:
        """Take one: 0.0, or the seconds until there is one, and then none is taken."""
        self._left = min(self._most, self._left + max(0.0, now - self._at) * self.rate / 60)
        self._at = now
        if self._left >= 1:
            self._left -= 1
            return 0.0
        return (1 - self._left) * 60 / self.rate


class Quotas:
    """`held`: how many jobs of each owner have not ended; `mean_seconds`: of a job, for guessing when one will have."""

    def __init__(
        self,
        held: Mapping[str | None, int],
        mean_seconds: Callable[[], float] = lambda: 1.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._held = held
        self._mean_seconds = mean_seconds
        self._clock = clock
        self._buckets: dict[str, Bucket] = {}

    def admit(self, job: Job) -> None:
        """Count a job of whoever asks. Raises Refusal 429 with what was used up, and when to come again."""
        principal = asking()
        held = self._held.get(job.owner, 0)
        if principal.queue is not None and held >= principal.queue:
            seconds = min(LONGEST_WAIT, max(1, math.ceil(self._mean_seconds())))
            message = (
                f"The token {principal.name!r} may have {principal.queue} jobs waiting and running, and has {held}. "
                f"Post again when one has ended, in about {seconds} s, or cancel one."
            )
            raise Refusal(429, "queue_quota", message, retry_after=seconds, limit=principal.queue, used=held)
        if principal.rate is not None and (wait := self._bucket(principal, principal.rate).take(self._clock())):
            seconds = math.ceil(wait)
            message = (
                f"The token {principal.name!r} may make {principal.rate:g} jobs a minute. Post again in {seconds} s."
            )
            raise Refusal(429, "rate_limit", message, retry_after=seconds, limit=principal.rate, used=principal.rate)

    def _bucket(self, principal: Principal, rate: float) -> Bucket:
        found = self._buckets.get(principal.name)
        if found is None or found.rate != rate:
            found = self._buckets[principal.name] = Bucket(rate, self._clock())
        return found
