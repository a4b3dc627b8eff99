"""Watching single jobs from inside the server: what happens to a job, as it happens, and how it ended.

Jobs are watched by id, whoever posted them. Nothing here asks again and again: the follower of a job tells.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal, TypeAlias

import msgspec

from engine.execute.counting import NodeCount
from engine.execute.events import (
    AnyEvent,
    NodeCollected,
    NodeEvent,
    NodeFailed,
    NodeFinished,
    NodeProgress,
    NodeReused,
    NodeSkipped,
    NodeStarted,
    Warned,
)
from engine.jobs.messages import JobPreview
from engine.jobs.records import Job, Outcome


class Began(msgspec.Struct, frozen=True, tag="started"):
    """An attempt begins. Another one after it: the worker was lost, and the job runs again."""

    attempt: int


NodeState: TypeAlias = Literal["running", "finished", "reused", "failed", "skipped"]


class NodeChanged(msgspec.Struct, frozen=True, tag="node", omit_defaults=True):
    """A node of the submitted graph runs now, or came to its end. `done` of `total` nodes are through."""

    node: str
    state: NodeState
    done: int
    total: int
    class_type: str = ""
    seconds: float = 0.0
    message: str = ""


class Progressed(msgspec.Struct, frozen=True, tag="progress"):
    """`value` of `max` steps of a node are done, and `done` of `total` nodes."""

    node: str
    value: float
    max: float
    done: int
    total: int


class Previewed(msgspec.Struct, frozen=True, tag="preview"):
    """An intermediate picture, as a file."""

    node: str
    format: Literal["jpeg", "png"]
    data: bytes


class Told(msgspec.Struct, frozen=True, tag="notice"):
    """A sentence for people: a warning, or why the job waits again."""

    message: str


class Ended(msgspec.Struct, frozen=True, tag="ended"):
    """The job has ended, and is in the history; or (`removed`) it was taken out of the queue as if it had never been.

    `lost`: the server ends. The job is on disk, and goes on when the server is back.
    """

    status: Literal["done", "failed", "cancelled", "removed", "lost"]
    job: Job | None = None
    outcome: Outcome | None = None


JobEvent: TypeAlias = Began | NodeChanged | Progressed | Previewed | Told | Ended
Listener: TypeAlias = Callable[[JobEvent], None]
"""Hears the events of a job in order, on the event loop. It must be quick and must not raise."""


class _Watched:
    """A job that somebody watches."""

    def __init__(self) -> None:
        self.listeners: list[Listener] = []
        self.count = NodeCount()

    def tell(self, event: JobEvent) -> None:
        for listener in list(self.listeners):
            listener(event)


class Watches:
    """Who watches which job. Followers of jobs call `began`, `events`, `preview`, `told` and `ended`."""

    def __init__(self) -> None:
        self._watched: dict[str, _Watched] = {}
        self._closed = False

    def __len__(self) -> int:
        return len(self._watched)

    # -- for those that watch

    def watch(self, job_id: str, listener: Listener) -> Callable[[], None]:
        """Tell `listener` what happens to a job from now on; the answer ends that, and may be called more than once.

        It is not found out whether there is such a job: whoever watches one that has ended hears nothing.
        """
        if self._closed:
            listener(Ended("lost"))
            return lambda: None
        watched = self._watched.setdefault(job_id, _Watched())
        watched.listeners.append(listener)

        def forget() -> None:
            if listener in watched.listeners:
                watched.listeners.remove(listener)
            if not watched.listeners and self._watched.get(job_id) is watched:
                del self._watched[job_id]

        return forget

    def ending(self, job_id: str) -> asyncio.Future[Ended]:
        """A future of the end of a job, which must not have ended yet. Cancelling it is how to wait no longer."""
        future: asyncio.Future[Ended] = asyncio.get_running_loop().create_future()

        def hear(event: JobEvent) -> None:
            if isinstance(event, Ended) and not future.done():
                future.set_result(event)

        forget = self.watch(job_id, hear)
        future.add_done_callback(lambda _: forget())
        return future

    # -- for followers

    def began(self, job: Job) -> None:
        """An attempt begins."""
        watched = self._watched.get(job.id)
        if watched is not None:
            watched.count = NodeCount()
            watched.tell(Began(job.attempts))

    def events(self, job_id: str, events: Sequence[AnyEvent]) -> None:
        """What happened in the run, in order."""
        watched = self._watched.get(job_id)
        if watched is None:
            return
        for event in events:
            watched.count.take(event)
            translated = _translated(event, watched.count)
            if translated is not None:
                watched.tell(translated)

    def preview(self, preview: JobPreview) -> None:
        """A node has an intermediate picture."""
        watched = self._watched.get(preview.job)
        if watched is not None:
            watched.tell(Previewed(preview.display_node, preview.format, preview.data))

    def told(self, job_id: str, message: str) -> None:
        """A sentence about the job."""
        watched = self._watched.get(job_id)
        if watched is not None:
            watched.tell(Told(message))

    def ended(self, job: Job, outcome: Outcome) -> None:
        """The job is in the history."""
        self._end(job.id, Ended(outcome.status, job, outcome))

    def removed(self, job_ids: Iterable[str]) -> None:
        """Jobs were taken out of the queue for good."""
        for job_id in job_ids:
            self._end(job_id, Ended("removed"))

    def close(self) -> None:
        """The server ends: nobody waits any longer."""
        self._closed = True
        for job_id in list(self._watched):
            self._end(job_id, Ended("lost"))

    def _end(self, job_id: str, event: Ended) -> None:
        watched = self._watched.pop(job_id, None)
        if watched is not None:
            watched.tell(event)


def _translated(event: AnyEvent, count: NodeCount) -> JobEvent | None:
    """What those that watch hear of an event that was counted; of nodes that expansions made, only their progress."""
    if isinstance(event, Warned):
        return Told(event.message)
    if isinstance(event, NodeProgress):
        return Progressed(event.display_node, event.value, event.total, count.done, count.total)
    if isinstance(event, NodeFailed):
        return _changed(event.display_node, "failed", count, event.class_type, message=event.message)
    if not isinstance(event, NodeEvent) or event.parent is not None:
        return None
    if isinstance(event, NodeStarted):
        return _changed(event.node, "running", count, event.class_type)
    if isinstance(event, NodeCollected):
        return _changed(event.node, "finished", count)
    if isinstance(event, NodeFinished) and not event.expands:
        return _changed(event.node, "finished", count, event.class_type, seconds=event.seconds)
    if isinstance(event, NodeReused | NodeSkipped):
        return _changed(event.node, "reused" if isinstance(event, NodeReused) else "skipped", count)
    return None


def _changed(node: str, state: NodeState, count: NodeCount, class_type: str = "", **facts: Any) -> NodeChanged:
    return NodeChanged(node=node, state=state, done=count.done, total=count.total, class_type=class_type, **facts)
