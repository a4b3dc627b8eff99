"""The order of the jobs that wait, in memory; the store keeps what it follows from."""

from __future__ import annotations

import bisect
import itertools
import math
from collections.abc import Iterable, Iterator, Sequence

from engine.jobs.lines import Lines, Place, StandingLines, Walk
from engine.jobs.records import Job
from engine.jobs.shares import Client, Shares, client_of


class JobQueue:
    """Jobs that wait, lowest `number` first, equal ones in order of acceptance, and clients take turns. Not safe among threads.

    A job that nobody has given a number has that of its acceptance. All of those are of equal priority: among them it is the
    turn of the client that has had least (`engine.jobs.shares`), and so it is among jobs that were given the same number. A job
    with a number of its own goes before those of higher numbers and after those of lower ones.
    """

    def __init__(self, jobs: Iterable[Job] = ()) -> None:
        self.shares = Shares()
        self._jobs: dict[str, Job] = {}
        self._usual = StandingLines(self.shares)
        """Jobs without a number of their own, but for those whose number another job was given."""
        self._unnumbered: dict[float, Job] = {}
        """All jobs without a number of their own, by the one that they have."""
        self._shown: list[Job] | None = None
        """All in order, as long as nothing has changed: many clients ask for it at once, and it costs more than one dispatch."""
        self._numbers: list[float] = []
        self._numbered: dict[float, Lines] = {}
        for job in jobs:
            self.add(job)

    def __len__(self) -> int:
        return len(self._jobs)

    def __iter__(self) -> Iterator[Job]:
        """All jobs that wait, the next one first, as far as is known how long each takes."""
        if self._shown is None:
            self._shown = [self._jobs[place.id] for place in self._places()]
        return iter(self._shown)

    def __contains__(self, job_id: object) -> bool:
        return job_id in self._jobs

    def get(self, job_id: str) -> Job | None:
        """The job with this id, if it waits."""
        return self._jobs.get(job_id)

    def first(self, count: int) -> list[Job]:
        """The next `count` jobs, or as many as there are."""
        return [self._jobs[place.id] for place in itertools.islice(self._places(), count)]

    def unordered(self) -> list[Job]:
        """All jobs that wait, for those to whom their order is nothing: it costs less."""
        return list(self._jobs.values())

    def add(self, job: Job) -> None:
        """Put a job in its place."""
        client = _client(job)
        self._shown = None
        self._jobs[job.id] = job
        self.shares.join(client)
        self._lines(job).add(client, _place(job))
        if job.number == job.sequence:
            self._unnumbered[job.number] = job

    def take(self, job_id: str) -> Job | None:
        """Take a job out of the queue; None when it does not wait here."""
        job = self._jobs.pop(job_id, None)
        if job is not None:
            self._shown = None
            client, lines = _client(job), self._lines(job)
            lines.take(client, _place(job))
            if job.number == job.sequence:
                del self._unnumbered[job.number]
            if lines is not self._usual:
                self._tidy(job.number, lines)
            self.shares.leave(client)
        return job

    def account_of(self, job: Job) -> float:
        """What the client of a job has had of the workers, in seconds."""
        return self.shares.settled(_client(job))

    def begin(self, job: Job) -> float:
        """A job that waits here is run: take it out, and charge its client. Gives the charge, for `settle`."""
        client = _client(job)
        self.shares.join(client)
        self.take(job.id)
        charge = self.shares.charge(client, self._usual.least(math.inf))
        self._usual.look(client)
        return charge

    def settle(self, job: Job, charge: float, seconds: float, *, ended: bool = True) -> None:
        """It has run for `seconds`, to its end or to be given back."""
        client = _client(job)
        self._shown = None
        self.shares.settle(client, charge, seconds, ended=ended)
        job.account = self.shares.settled(client)
        self._usual.look(client)
        self.shares.leave(client)

    def move(self, ids: Sequence[str], before: str | None = None, *, front: bool = False) -> list[Job]:
        """Put the jobs `ids` that wait, in this order, before the job `before`, at the front, or else at the end.

        Returns the jobs whose `number` changed. Their numbers lie between those of their new neighbours; when there is no
        room left between two floats, as many of the neighbours as it takes are numbered anew, and all others keep theirs:
        jobs that run now may come back to their places, and what is put in front stays there. Where clients take turns, so that
        jobs of later numbers stand before the place, those are numbered as they stand: they wait for no turn any more.
        """
        shown = [*self]
        for job in shown:  # nobody's account is closed meanwhile
            self.shares.join(_client(job))
        moved = [job for job in (self.take(one) for one in dict.fromkeys(ids)) if job is not None]
        order = [job for job in shown if job.id in self._jobs]
        highest = [*itertools.accumulate((job.number for job in order), max)]
        lowest = [*itertools.accumulate((job.number for job in reversed(order)), min)][::-1]
        start = end = index = _index(order, before, front)
        while start > 0 and end < len(order) and highest[start - 1] > lowest[end]:
            start -= 1
        while (numbers := _room(highest, lowest, start, end, len(moved))) is None:
            further = 1 + end - start
            if end < len(order):  # the later ones first: what is in front is moved last
                end = min(end + further, len(order))
            else:
                start = max(start - further, 0)
        changed = [*order[start:index], *moved, *order[index:end]]
        for job in order[start:end]:
            self.take(job.id)
        for job, number in zip(changed, numbers, strict=True):
            # With the number of its acceptance it would take turns again, and leave the place that it was given.
            job.number = number if number != job.sequence else math.nextafter(number, -math.inf)
            self.add(job)
        for job in shown:
            self.shares.leave(_client(job))
        return changed

    def _places(self) -> Iterator[Place]:
        """In the order in which jobs will run. The queue must not change meanwhile."""
        ahead: dict[Client, float] = {}
        usual = Walk(self._usual, self.shares, ahead)
        for number in self._numbers:
            lines = self._numbered[number]
            before = lines.first()
            while (place := usual.next(before)) is not None:
                yield place
            walk = Walk(lines, self.shares, ahead)
            while (place := walk.next()) is not None:
                yield place
        while (place := usual.next()) is not None:
            yield place

    def _lines(self, job: Job) -> Lines:
        """The lines in which a job stands or will."""
        lines = self._numbered.get(job.number)
        if lines is None and job.number == job.sequence:
            return self._usual
        if lines is None:
            lines = self._numbered[job.number] = Lines(self.shares)
            bisect.insort(self._numbers, job.number)
            same = self._unnumbered.get(job.number)
            if same is not None:
                self._usual.take(_client(same), _place(same))
                lines.add(_client(same), _place(same))
        return lines

    def _tidy(self, number: float, lines: Lines) -> None:
        """A job of a number is gone. Where none that was given it is left, the number is no priority any more."""
        same = self._unnumbered.get(number)
        if lines.count > (same is not None):
            return
        del self._numbered[number]
        del self._numbers[bisect.bisect_left(self._numbers, number)]
        if same is not None:
            self._usual.add(_client(same), _place(same))


def _client(job: Job) -> Client:
    return client_of(job.owner, job.client_id)


def _place(job: Job) -> Place:
    return Place(job.number, job.sequence, job.id)


def _index(order: Sequence[Job], before: str | None, front: bool) -> int:
    found = next((at for at, job in enumerate(order) if job.id == before), None)
    return found if found is not None else 0 if front else len(order)


def _room(highest: Sequence[float], lowest: Sequence[float], start: int, end: int, more: int) -> list[float] | None:
    """Numbers for the jobs from place `start` to `end` and `more` others, between their neighbours; None without room.

    `highest` are the highest numbers up to each place, `lowest` the lowest from it on.
    """
    low = highest[start - 1] if start > 0 else None
    high = lowest[end] if end < len(lowest) else None
    return _between(low, high, end - start + more)


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
