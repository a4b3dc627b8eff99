"""Which job goes to which worker: in order, but rather to one that already holds the model."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

from engine.jobs.queue import JobQueue
from engine.jobs.records import Job
from engine.jobs.workers import Worker

WINDOW = 8
"""A job that waits for a busy worker with its model may be overtaken by at most the next seven."""

PATIENCE = 7
"""… and at most so often."""


def choose(queue: JobQueue, idle: Sequence[Worker], workers: Sequence[Worker]) -> tuple[Job, Worker] | None:
    """The next job and the idle worker for it, or None when there is none.

    The first job goes to the idle worker that holds most of its models. When none of these holds any but a busy worker
    does, another of the next few jobs whose models an idle worker holds goes first, so that two models in the queue do not
    chase each other through every worker's memory. Jobs that were put in front are never overtaken. A job that the idle
    workers have refused, as they lack a pack of its nodes, is passed over.
    """
    if not idle or not (window := _next(queue, idle, 1)):
        return None
    first = window[0]
    able = _able(first, idle)
    worker = max(able, key=lambda one: (_held(first, one), -one.index))
    if _held(first, worker) or first.number < 0 or first.overtaken >= PATIENCE:
        return first, worker
    if not any(_held(first, one) for one in workers if one.job is not None):
        return first, _emptiest(first, able)
    for job in _next(queue, idle, WINDOW)[1:]:
        fitting = max(_able(job, idle), key=lambda one: _held(job, one))
        if _held(job, fitting):
            first.overtaken += 1
            return job, fitting
    return first, _emptiest(first, able)


def _next(queue: JobQueue, idle: Sequence[Worker], count: int) -> list[Job]:
    """The next `count` jobs that at least one of the idle workers can run."""
    window = queue.first(count)
    if not any(job.refused for job in window):
        return window
    return list(islice((job for job in queue if _able(job, idle)), count))


def _able(job: Job, idle: Sequence[Worker]) -> Sequence[Worker]:
    return [one for one in idle if one.pid not in job.refused] if job.refused else idle


def _held(job: Job, worker: Worker) -> int:
    return len(worker.models.intersection(job.models))


def _emptiest(job: Job, idle: Sequence[Worker]) -> Worker:
    """The worker with the fewest other models, so that others keep theirs."""
    return min(idle, key=lambda one: (len(one.models) if job.models else 0, one.index))
