"""The dispatcher: takes jobs in, gives them to workers, and sees each one to its end in the store.

All of it happens on the server's event loop. What a client hears of a job is made by the `Follower` that the server gives.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Literal, Protocol

import msgspec

from engine.execute.events import AnyEvent
from engine.jobs.affinity import choose
from engine.jobs.frames import body_of
from engine.jobs.messages import (
    CancelJob,
    DeviceState,
    FreeMemory,
    FromWorker,
    JobEvents,
    JobFinished,
    JobPreview,
    JobRefused,
    JobStarted,
    RunJob,
)
from engine.jobs.queue import JobQueue
from engine.jobs.records import MAX_ATTEMPTS, MAX_LOSSES, Job, Outcome, shortened
from engine.jobs.store import JobStore
from engine.jobs.store_errors import StoreError
from engine.jobs.turns import Turns
from engine.jobs.workers import Worker, WorkerPool

log = logging.getLogger("safelight.jobs")

CANCEL_GRACE = 5.0
"""Seconds that a cancelled job may go on before its worker is restarted, if other jobs wait for it…"""

CANCEL_PATIENCE = 30.0
"""… and if none does: a restart costs the models that it holds."""


SENT_SECONDS = 30.0
"""How long a worker may take to read a long job before others have their turn."""


class Follower(Protocol):
    """Hears all that happens to one job."""

    def started(self) -> None:
        """An attempt begins."""

    def events(self, events: Sequence[AnyEvent]) -> None:
        """What happened in the run, in order."""

    def preview(self, preview: JobPreview) -> None:
        """A node has an intermediate picture."""

    def retried(self, reason: str) -> None:
        """The worker was lost; the job waits for another attempt."""

    def held(self, reason: str) -> None:
        """The worker that got the job lacks a pack of its nodes; the job waits for one that has it."""

    def ended(
        self, status: Literal["done", "failed", "cancelled"], finished: JobFinished | None, reason: str
    ) -> Outcome:
        """The job has ended; `finished` is None when it had no worker then. The answer is what the history keeps."""

    def recorded(self) -> None:
        """The outcome is on disk: clients may be told."""


class _Embedded(msgspec.Struct):
    workflow: msgspec.Raw = msgspec.Raw()


class _Extra(msgspec.Struct):
    extra_pnginfo: _Embedded | None = None


class _Wishes(msgspec.Struct):
    preview_method: Literal["auto", "none", "latent2rgb", "taesd"] | None = None


_EXTRA = msgspec.json.Decoder(_Extra)
_WISHES = msgspec.json.Decoder(_Wishes)


def workflow_of(extra_data: bytes) -> bytes | None:
    """JSON of the workflow in `extra_data`, which is embedded in the pictures that the job saves."""
    try:
        embedded = _EXTRA.decode(extra_data).extra_pnginfo
    except msgspec.DecodeError:  # of another shape: then nothing is embedded
        return None
    workflow = bytes(embedded.workflow) if embedded is not None else b""
    return None if workflow in (b"", b"null") else workflow


def preview_method_of(extra_data: bytes) -> Literal["auto", "none", "latent2rgb", "taesd"] | None:
    """The preview method that the client chose for this job; None (also for "default"): the server's."""
    try:
        return _WISHES.decode(extra_data).preview_method
    except msgspec.DecodeError:
        return None


class Running:
    """A job in the hands of a worker."""

    __slots__ = (
        "cancelled",
        "cancelled_at",
        "charge",
        "follower",
        "given",
        "job",
        "killer",
        "sending",
        "started",
        "worker",
    )

    def __init__(self, job: Job, worker: Worker, follower: Follower, charge: float) -> None:
        self.job = job
        self.charge = charge
        """What its client was charged for it (`JobQueue.begin`)."""
        self.given = time.monotonic()
        self.worker = worker
        self.follower = follower
        self.started = False
        self.cancelled = False
        self.cancelled_at = 0.0
        self.sending = False
        """Its texts are still being read from the disk."""
        self.killer: asyncio.TimerHandle | None = None


_TOLD_TO_END = "told_to_end"


def _too_many_losses(job: Job) -> str:
    return (
        f"The server ended {job.losses} times while this job ran, without having been told to. It is not tried again: it may "
        "be more than this machine can take."
    )


class Totals:
    """Counts since the start of the server, for metrics."""

    def __init__(self) -> None:
        self.accepted = 0
        self.ended = {"done": 0, "failed": 0, "cancelled": 0}
        self.retried = 0
        self.seconds = 0.0
        self.nodes = {"ran": 0, "reused": 0, "remade": 0, "failed": 0, "skipped": 0}

    def mean_seconds(self) -> float:
        """Of the jobs that have ended; 0.0 before the first."""
        return self.seconds / max(1, sum(self.ended.values()))


class Dispatcher:
    """Holds the jobs that wait and that run. `follow` makes the follower of a job; `on_change` hears that the queue changed."""

    def __init__(
        self,
        store: JobStore,
        follow: Callable[[Job], Follower],
        on_change: Callable[[], None],
        *,
        preview_method: Literal["auto", "none", "latent2rgb", "taesd"] = "auto",
    ) -> None:
        self.store = store
        self.queue = JobQueue()
        self.running: dict[str, Running] = {}
        self.ending: dict[str, Job] = {}
        """Jobs that have ended but are not on disk as such yet."""
        self.held: Counter[str | None] = Counter()
        """How many jobs of each owner have not ended, those included that are just being accepted."""
        self.admit: Callable[[Job], None] = lambda job: None
        """Asked before a job is accepted; raises what `accept` then raises."""
        self.paused = False
        self.draining = False
        self.totals = Totals()
        self.pool: WorkerPool | None = None
        self.on_accepted: Callable[[Job], None] = lambda job: None
        """Hears of each job that is on disk and in the queue now, in the context of whoever brought it."""
        self.on_removed: Callable[[list[str]], None] = lambda ids: None
        """Hears which jobs were taken out of the queue for good."""
        self._follow = follow
        self._on_change = on_change
        self._preview_method = preview_method
        self._tasks: set[asyncio.Task[None]] = set()
        self.turns = Turns()

    # -- from the start

    async def load(self, unfinished: Sequence[Job]) -> None:
        """Take the jobs that the store still has to do.

        One that was running when the server ended has lost no attempt. But it may have been its end: a server that was not
        told to end counts as lost under each of them, and not for ever.
        """
        self.paused = bool(await self.store.get_state("paused"))
        told_to_end = bool(await self.store.get_state(_TOLD_TO_END))
        self.queue.shares.restore(unfinished, await self.store.accounts())
        for job in unfinished:
            if job.status == "running":
                job.status, job.attempts, job.started = "queued", max(0, job.attempts - 1), None
                job.losses += not told_to_end
                if job.losses >= MAX_LOSSES:
                    self._end(job, self._follow(job), "failed", None, _too_many_losses(job))
                    continue
                self.store.requeued(job)
            self.queue.add(job)
        self.held.update(job.owner for job in unfinished)
        if told_to_end:
            await self._note_end(False)

    # -- from routes

    @property
    def remaining(self) -> int:
        """How many jobs have not ended."""
        return len(self.queue) + len(self.running) + len(self.ending)

    def get(self, job_id: str) -> Job | None:
        """The job with this id, if it waits or runs."""
        running = self.running.get(job_id)
        return self.queue.get(job_id) if running is None else running.job

    def remaining_of(self, owner: str | None) -> int:
        """How many jobs of an owner have not ended, or (None) of everybody."""
        return self.remaining if owner is None else self.held[owner]

    def active(self) -> list[Job]:
        """The jobs that run, and those that are just being recorded."""
        return [*(one.job for one in self.running.values()), *self.ending.values()]

    def listed(self) -> tuple[list[Job], list[Job]]:
        """What runs and what waits, as clients see it: no more run than there are workers.

        A worker begins its next job while the end of the last one is being written, and some clients believe that one job
        runs at most: they see the next one waiting until then.
        """
        active = [*self.ending.values(), *(one.job for one in self.running.values())]
        places = max(1, len(self._workers()))
        return active[:places], [*active[places:], *self.queue]

    async def accept(self, job: Job) -> None:
        """Take a job in; it is on disk when this returns. Raises StoreFullError and DuplicateJobError, and what `admit` does."""
        self.admit(job)
        job.account = self.queue.account_of(job)
        self.held[job.owner] += 1
        try:
            await self.store.accept([job])
        except BaseException:
            self.held[job.owner] -= 1
            raise
        shortened(job)
        self.totals.accepted += 1
        self.queue.add(job)
        self.on_accepted(job)
        self._on_change()
        self.dispatch()

    async def remove(self, ids: Sequence[str]) -> list[str]:
        """Take jobs that wait out of the queue for good, as if they had never been; returns those that were there.

        Raises StoreError when the disk does not take it; then all stay.
        """
        taken = [job for job in (self.queue.take(one) for one in ids) if job is not None]
        if taken:
            try:
                await self.store.remove([job.id for job in taken])
            except StoreError:  # they are on disk still, and would run after a restart
                for job in taken:
                    self.queue.add(job)
                self.dispatch()
                raise
            self.held.subtract(job.owner for job in taken)
            self._on_change()
            self.on_removed([job.id for job in taken])
        return [job.id for job in taken]

    def cancel(self, job_id: str) -> bool:
        """Cancel a job that runs, or record one that waits as cancelled; False when there is no such job."""
        running = self.running.get(job_id)
        if running is not None:
            self._cancel_running(running)
            return True
        job = self.queue.take(job_id)
        if job is None:
            return False
        self._end(job, self._follow(job), "cancelled", None, "It was cancelled before it began.")
        return True

    def interrupt(self, owner: str | None = None) -> list[str]:
        """Cancel every job that runs, or those of an owner; returns their ids."""
        found = [one for one in self.running.values() if owner is None or one.job.owner == owner]
        for running in found:
            self._cancel_running(running)
        return [running.job.id for running in found]

    def move(self, ids: Sequence[str], before: str | None = None, *, front: bool = False) -> None:
        """Reorder jobs that wait; see `JobQueue.move`."""
        changed = self.queue.move(ids, before, front=front)
        if changed:
            self.store.moved(changed)
            self._on_change()

    async def pause(self, paused: bool) -> None:
        """Stop giving jobs to workers, or go on; kept over restarts. Raises StoreError, and then nothing has changed."""
        await self.store.set_state("paused", paused)
        self.paused = paused
        self._on_change()
        self.dispatch()

    def free(self, unload_models: bool, free_memory: bool) -> None:
        """Have every worker free memory, between its jobs."""
        for worker in self._workers():
            if worker.usable:
                worker.send(FreeMemory(unload_models, free_memory))

    # -- from workers

    def on_message(self, worker: Worker, message: FromWorker) -> None:
        """A worker said something."""
        if isinstance(message, JobEvents | JobPreview | JobStarted | JobFinished | JobRefused):
            running = self.running.get(message.job)
            if running is not None and running.worker is worker:
                self._on_job(running, message)
        elif isinstance(message, DeviceState):
            worker.device, worker.models = message.device, set(message.models)

    def on_worker(self, worker: Worker) -> None:
        """A worker has come or was lost."""
        if worker.state in ("lost", "stopped"):
            running: Running | None = worker.job
            worker.job, worker.models = None, set()
            if running is not None:
                self._on_lost(running, worker.lost_reason)
        self.dispatch()

    def _on_job(
        self, running: Running, message: JobEvents | JobPreview | JobStarted | JobFinished | JobRefused
    ) -> None:
        if type(message) is JobEvents:
            running.follower.events(message.events)
        elif type(message) is JobPreview:
            running.follower.preview(message)
        elif type(message) is JobStarted:
            self._on_started(running)
        elif type(message) is JobFinished:
            self._on_finished(running, message)
        elif type(message) is JobRefused:
            self._on_refused(running, message.reason)

    def _on_started(self, running: Running) -> None:
        job = running.job
        running.started = True
        job.attempts += 1
        job.started = time.time()
        self.store.began(job)
        running.follower.started()

    def _on_finished(self, running: Running, message: JobFinished) -> None:
        worker = running.worker
        self._let_go(running, ended=True)
        worker.models = set(message.models)
        worker.device = message.device or worker.device
        self.totals.seconds += message.seconds
        for name in self.totals.nodes:
            self.totals.nodes[name] += getattr(message.counts, name)
        if message.status == "cancelled" and not running.cancelled:  # the worker was told to end, not the job
            running.job.attempts -= running.started
            self._again(running.job)
            self.dispatch()
        else:
            self.dispatch()  # first: the worker has nothing to do until then
            status = "cancelled" if running.cancelled and message.status == "failed" else message.status
            self._end(running.job, running.follower, status, message, message.crash)

    def _on_refused(self, running: Running, reason: str) -> None:
        """The worker cannot run the job: it waits for another worker, or for this one once it was started again."""
        self._let_go(running)
        job, worker = running.job, running.worker
        if running.cancelled:
            self._end(job, running.follower, "cancelled", None, "It was cancelled.")
        else:
            if worker.pid is not None:
                job.refused |= {worker.pid}
            job.held = reason
            log.warning("job waits for a pack", extra={"job": job.id, "reason": reason})
            running.follower.held(reason)
            self._again(job)
        self.dispatch()

    def _on_lost(self, running: Running, reason: str) -> None:
        self._let_go(running)
        job = running.job
        blamed = running.started and not self.draining and not running.worker.replaced
        if running.cancelled:
            self._end(job, running.follower, "cancelled", None, "It was cancelled.")
        elif blamed and job.attempts >= MAX_ATTEMPTS:
            text = f"{reason} That was attempt {job.attempts} of {MAX_ATTEMPTS}."
            log.error("job failed", extra={"job": job.id, "reason": text})
            self._end(job, running.follower, "failed", None, text)
        else:
            if blamed:
                self.totals.retried += 1
                log.warning("job goes back to the queue", extra={"job": job.id, "reason": reason})
            elif running.started:
                job.attempts -= 1
            running.follower.retried(reason)
            self._again(job)

    def _let_go(self, running: Running, *, ended: bool = False) -> None:
        self.running.pop(running.job.id, None)
        self.queue.settle(running.job, running.charge, time.monotonic() - running.given, ended=ended)
        if running.worker.job is running:
            running.worker.job = None
        if running.killer is not None:
            running.killer.cancel()

    def _again(self, job: Job) -> None:
        job.status, job.started = "queued", None
        self.store.requeued(job)
        self.queue.add(job)
        self._on_change()

    # -- to workers

    def dispatch(self) -> None:
        """Give jobs that wait to workers that are idle."""
        if self.paused or self.draining:
            return
        while len(self.queue):
            idle = [one for one in self._workers() if one.job is None and one.usable]
            found = choose(self.queue, idle, self._workers())
            if found is None:
                return
            self._give(*found)

    def _give(self, job: Job, worker: Worker) -> None:
        charge = self.queue.begin(job)
        job.status, job.held = "running", ""
        running = Running(job, worker, self._follow(job), charge)
        self.running[job.id] = running
        worker.job = running
        if job.long:
            running.sending = True
            self._spawn(self._send_long(running))
        else:
            worker.send(self._message(job))

    def _message(self, job: Job) -> RunJob:
        return RunJob(
            job=job.id,
            checked=job.checked,
            outputs=job.outputs,
            prompt=job.prompt,
            workflow=workflow_of(job.extra_data),
            extra_data=job.extra_data,
            client_id=job.client_id,
            preview_method=preview_method_of(job.extra_data) or self._preview_method,
        )

    async def _send_long(self, running: Running) -> None:
        """Read what is on disk only and send it: one such job at a time, until the worker has taken it."""
        job, worker = running.job, running.worker
        async with self.turns.turn():
            body, problem = None, "It was cancelled."
            try:
                body = await asyncio.to_thread(body_of, self._message(await self.store.whole(job)))
            except (StoreError, ValueError) as error:  # taken out meanwhile, or too long for a message
                problem = str(error)
            if self.running.get(job.id) is not running:  # the worker was lost meanwhile
                return
            running.sending = False
            if body is not None and not running.cancelled:
                worker.send_body(body)
                body = None
                await worker.sent(SENT_SECONDS)
                return
        self._let_go(running)
        status: Literal["failed", "cancelled"] = "cancelled" if running.cancelled else "failed"
        self._end(job, running.follower, status, None, problem)
        self.dispatch()

    def _cancel_running(self, running: Running) -> None:
        if running.cancelled:
            return
        running.cancelled = True
        if running.sending:  # the worker does not know it yet, and will not
            return
        running.worker.send(CancelJob(running.job.id))
        loop = asyncio.get_running_loop()
        running.cancelled_at = loop.time()
        running.killer = loop.call_later(CANCEL_GRACE, self._insist, running)

    def _insist(self, running: Running) -> None:
        """Kill the worker of a job that goes on though it was cancelled: at once if others wait, else after a while."""
        if running.worker.job is not running:  # never in the middle of another job
            return
        loop = asyncio.get_running_loop()
        if len(self.queue) or loop.time() - running.cancelled_at >= CANCEL_PATIENCE:
            running.worker.kill()
        else:
            running.killer = loop.call_later(min(1.0, CANCEL_GRACE), self._insist, running)

    def _workers(self) -> Sequence[Worker]:
        return self.pool.workers if self.pool is not None else ()

    # -- to the end

    def _end(
        self,
        job: Job,
        follower: Follower,
        status: Literal["done", "failed", "cancelled"],
        finished: JobFinished | None,
        reason: str,
    ) -> None:
        outcome = follower.ended(status, finished, reason)
        outcome.ended = max(outcome.ended, job.started or 0.0)  # the clock may have been set back meanwhile
        job.status, job.ended = status, outcome.ended
        self.totals.ended[status] += 1
        self.ending[job.id] = job
        self._spawn(self._record(job, follower, outcome))

    async def _record(self, job: Job, follower: Follower, outcome: Outcome) -> None:
        try:
            await self.store.finish(job, outcome)
        except StoreError as error:  # the server ends on a full disk: the job runs again at the next start
            log.error("the end of a job could not be written", extra={"job": job.id, "problem": str(error)})
            return
        self.ending.pop(job.id, None)
        self.held[job.owner] -= 1
        follower.recorded()
        self._on_change()

    def _spawn(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # -- to the server's end

    async def drain(self, seconds: float) -> None:
        """Start no further job; give those that run `seconds` to end. What does not end waits on disk for the next start."""
        self.draining = True
        await self._note_end(True)
        end = time.monotonic() + seconds
        while self.running and time.monotonic() < end:
            await asyncio.sleep(0.05)

    async def _note_end(self, told: bool) -> None:
        """Keep whether this server was told to end, for whoever does not let it end in its own time."""
        try:
            await self.store.set_state(_TOLD_TO_END, told)
        except StoreError as error:
            log.warning("the end of the server could not be noted", extra={"problem": str(error)})

    async def settled(self, seconds: float | None = None) -> None:
        """Wait until everything that has ended is on disk, but no longer than `seconds`."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=seconds)
