"""Watching a job from within the server, beside the websocket client that posted it: for answers that wait, and event streams."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

from engine.execute.events import AnyEvent
from engine.jobs.messages import JobFinished, JobPreview
from engine.jobs.records import Job, Outcome
from engine.server.follow import JobFollower
from engine.server.hub import Hub
from engine.server.progress import ProgressCounter


class Watcher:
    """Hears what happens to a job, on the event loop. Methods must be quick and must not raise; override what is wanted."""

    def started(self) -> None:
        """An attempt begins."""

    def events(self, events: Sequence[AnyEvent], progress: ProgressCounter) -> None:
        """What happened in the run; `progress` has counted it already."""

    def preview(self, preview: JobPreview) -> None:
        """A node has an intermediate picture."""

    def waits(self, reason: str) -> None:
        """The job, which ran, waits again: its worker was lost, or lacked a pack."""

    def ended(self) -> None:
        """The job is an entry of the history now: the last that is heard of it."""

    def removed(self) -> None:
        """The job was taken out of the queue as if it had never been: the last that is heard of it."""


class Watchers:
    """Who watches which job, and how far those are that run."""

    def __init__(self) -> None:
        self._by_job: dict[str, list[Watcher]] = {}
        self._counters: dict[str, ProgressCounter] = {}

    def watch(self, job_id: str, watcher: Watcher) -> Callable[[], None]:
        """Have `watcher` hear of a job from now on; call what this gives to stop.

        Look after that whether the job has ended already: then nothing more is heard of it.
        """
        self._by_job.setdefault(job_id, []).append(watcher)

        def stop() -> None:
            watchers = self._by_job.get(job_id, [])
            if watcher in watchers:
                watchers.remove(watcher)
            if not watchers:
                self._by_job.pop(job_id, None)

        return stop

    def progress(self, job_id: str) -> ProgressCounter | None:
        """How far a job is; None when it does not run."""
        return self._counters.get(job_id)

    def of(self, job_id: str) -> Sequence[Watcher]:
        """Those who watch a job."""
        watchers = self._by_job.get(job_id)
        return list(watchers) if watchers else ()

    def removed(self, ids: Sequence[str]) -> None:
        """Jobs were taken out of the queue."""
        for id in ids:
            for watcher in self.of(id):
                watcher.removed()

    def began(self, job_id: str) -> ProgressCounter:
        """An attempt of a job begins: count it from its start."""
        counter = self._counters[job_id] = ProgressCounter()
        return counter

    def over(self, job_id: str) -> None:
        """The job does not run any more."""
        self._counters.pop(job_id, None)


class WatchedFollower(JobFollower):
    """Follows a job for its client, and tells those who watch it."""

    def __init__(self, job: Job, hub: Hub, watchers: Watchers) -> None:
        super().__init__(job, hub)
        self._watchers = watchers
        self._counter: ProgressCounter | None = None

    def started(self) -> None:
        super().started()
        self._counter = self._watchers.began(self.job.id)
        for watcher in self._watchers.of(self.job.id):
            watcher.started()

    def events(self, events: Sequence[AnyEvent]) -> None:
        super().events(events)
        if self._counter is not None:
            self._counter.feed(events)
            for watcher in self._watchers.of(self.job.id):
                watcher.events(events, self._counter)

    def preview(self, preview: JobPreview) -> None:
        super().preview(preview)
        if self._counter is not None:
            self._counter.preview = preview
        for watcher in self._watchers.of(self.job.id):
            watcher.preview(preview)

    def retried(self, reason: str) -> None:
        super().retried(reason)
        self._waits(reason)

    def held(self, reason: str) -> None:
        super().held(reason)
        self._waits(reason)

    def ended(
        self, status: Literal["done", "failed", "cancelled"], finished: JobFinished | None, reason: str
    ) -> Outcome:
        self._watchers.over(self.job.id)
        return super().ended(status, finished, reason)

    def recorded(self) -> None:
        super().recorded()
        for watcher in self._watchers.of(self.job.id):
            watcher.ended()

    def _waits(self, reason: str) -> None:
        self._counter = None
        self._watchers.over(self.job.id)
        for watcher in self._watchers.of(self.job.id):
            watcher.waits(reason)
