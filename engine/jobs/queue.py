"""The order of the jobs that wait, in memory; the store keeps the same on disk."""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from engine.jobs.records import Job


class _Place(NamedTuple):
    number: float
    sequence: int
    id: str


class JobQueue:
    """Jobs that wait, lowest `number` first, equal ones in order of acceptance. Not safe among threads."""

    def __init__(self, jobs: Iterable[Job] = ()) -> None:
        self._jobs: dict[str, Job] = {}
        self._places: list[_Place] = []
        for job in jobs:
            self.add(job)

    def __len__(self) -> int:
        return len(self._jobs)

    def __iter__(self) -> Iterator[Job]:
        """All jobs that wait, the next one first."""
        return (self._jobs[place.id] for place in list(self._places))

    def __contains__(self, job_id: object) -> bool:
        return job_id in self._jobs

    def get(self, job_id: str) -> Job | None:
        """The job with this id, if it waits."""
        return self._jobs.get(job_id)

    def first(self, count: int) -> list[Job]:
        """The next `count` jobs, or as many as there are."""
        return [self._jobs[place.id] for place in self._places[:count]]

    def add(self, job: Job) -> None:
        """Put a job in its place."""
        self._jobs[job.id] = job
        bisect.insort(self._places, _place(job))

    def take(self, job_id: str) -> Job | None:
        """Take a job out of the queue; None when it does not wait here."""
        job = self._jobs.pop(job_id, None)
        if job is not None:
            del self._places[bisect.bisect_left(self._places, _place(job))]
        return job

    def move(self, ids: Sequence[str], before: str | None = None, *, front: bool = False) -> list[Job]:
        """Put the jobs `ids` that wait, in this order, before the job `before`, at the front, or else at the end.

        Returns the jobs whose `number` changed. Their numbers lie between those of their new neighbours; when there is no
        room left between two floats, as many of the neighbours as it takes are numbered anew, and all others keep theirs:
        jobs that run now may come back to their places, and what is put in front stays there.
        """
        moved = [job for job in (self.take(one) for one in dict.fromkeys(ids)) if job is not None]
        start = end = index = self._index(before, front)
        while (numbers := self._room(start, end, len(moved))) is None:
            further = 1 + end - start
            if end < len(self._places):  # the later ones first: what is in front is moved last
                end = min(end + further, len(self._places))
            else:
                start = max(start - further, 0)
        order = [*self]
        changed = [*order[start:index], *moved, *order[index:end]]
        for job in order[start:end]:
            self.take(job.id)
        for job, number in zip(changed, numbers, strict=True):
            job.number = number
            self.add(job)
        return changed

    def _room(self, start: int, end: int, more: int) -> list[float] | None:
        """Numbers for the jobs from place `start` to `end` and `more` others, between their neighbours; None without room."""
        low = self._places[start - 1].number if start > 0 else None
        high = self._places[end].number if end < len(self._places) else None
        return _between(low, high, end - start + more)

    def _index(self, before: str | None, front: bool) -> int:
        if before is not None and (other := self._jobs.get(before)) is not None:
            return bisect.bisect_left(self._places, _place(other))
        return 0 if front else len(self._places)


def _place(job: Job) -> _Place:
    return _Place(job.number, job.sequence, job.id)


def _between(low: float | None, high: float | None, count: int) -> list[float] | None:
    """`count` growing numbers strictly between `low` and `high` (None: no limit), or None when there is no room."""
    if low is None and high is None:
        return [float(index) for index in range(1, count + 1)]
    if low is None:
        assert high is not None
        numbers = [high - count + index for index in range(count)]
    elif high is None:
        numbers = [low + index + 1 for index in range(count)]
    else:
        step = (high - low) / (count + 1)
        numbers = [low + step * (index + 1) for index in range(count)]
    steps = [*([low] if low is not None else []), *numbers, *([high] if high is not None else [])]
    return numbers if all(one < other for one, other in itertools.pairwise(steps)) else None
