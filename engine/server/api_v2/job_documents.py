"""Jobs as clients of the Comfy API v2 read them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Literal, TypeAlias
from weakref import WeakKeyDictionary

import msgspec

from engine.jobs.dispatch import Dispatcher
from engine.jobs.records import HistoryEntry, Job, Outcome
from engine.jobs.store import JobStore
from engine.server.api_v2.asset_files import AssetFiles
from engine.server.api_v2.asset_index import Asset, AssetIndex, JobNotes
from engine.server.api_v2.assets import output_document
from engine.server.api_v2.links import NEVER, iso, job_url
from engine.server.follow import JobFollower
from engine.server.principals import asking
from engine.server.progress import ProgressCounter

Status: TypeAlias = Literal["queued", "running", "succeeded", "canceling", "canceled", "failed"]

ENDED: Final[Mapping[str, Status]] = {"done": "succeeded", "failed": "failed", "cancelled": "canceled"}
"""Our word → the contract's."""

STATUSES: Final = ("queued", "running", "succeeded", "canceling", "canceled", "failed", "expired")


class _Ran(msgspec.Struct):
    status: str = ""


class JobDocuments:
    """Reads jobs from the queue and the history, with their outputs as assets. Those of others are not there."""

    def __init__(self, dispatcher: Dispatcher, store: JobStore, index: AssetIndex, files: AssetFiles) -> None:
        self._dispatcher = dispatcher
        self._store = store
        self._index = index
        self._files = files
        self._known: WeakKeyDictionary[ProgressCounter, dict[str, Any]] = WeakKeyDictionary()
        """What of what running jobs have shown is among the assets: files are read once."""

    # -- where a job is

    def active(self, job_id: str) -> Job | None:
        """A job that waits or runs, or whose end is not written yet."""
        job = self._dispatcher.get(job_id) or self._dispatcher.ending.get(job_id)
        return job if job is not None and asking().owns(job.owner) else None

    async def entry(self, job_id: str) -> HistoryEntry | None:
        """A job that has ended."""
        entry = await self._store.history_entry(job_id)
        return entry if entry is not None and asking().owns(entry.job.owner) else None

    def status(self, job: Job) -> Status:
        """The status of an active job."""
        if job.id in self._dispatcher.queue:
            return "queued"
        running = self._dispatcher.running.get(job.id)
        cancelled = running.cancelled if running is not None else job.status == "cancelled"
        return "canceling" if cancelled else "running"

    def position(self, job_id: str) -> int | None:
        """The place of a job that waits, the next one being 1."""
        if job_id not in self._dispatcher.queue:
            return None
        return next((place for place, job in enumerate(self._dispatcher.queue, 1) if job.id == job_id), None)

    def counter(self, job_id: str) -> ProgressCounter | None:
        """How far a job is that runs."""
        running = self._dispatcher.running.get(job_id)
        follower = running.follower if running is not None and running.started else None
        return follower.progress if isinstance(follower, JobFollower) else None

    # -- documents

    async def document(self, job_id: str, base: str) -> dict[str, Any] | None:
        """A whole job; None when there is none."""
        job = self.active(job_id)
        entry = None if job is not None else await self.entry(job_id)
        if entry is not None:
            notes = (await self._index.notes([job_id]))[job_id]
            return self._ended(entry, await self.outputs_of(entry, notes), notes, base)
        if job is None:
            return None
        notes = (await self._index.notes([job_id]))[job_id]
        return self._active(job, await self.outputs_so_far(job), notes, base)

    def _active(self, job: Job, outputs: Sequence[Asset], notes: JobNotes, base: str) -> dict[str, Any]:
        return {
            **_times(job, None),
            "id": job.id,
            "status": self.status(job),
            "queue_position": self.position(job.id),
            "progress": progress_document(self.counter(job.id)),
            "outputs": [output_document(asset, base) for asset in outputs],
            "error": None,
            "outputs_reused": False,
            "urls": _urls(base, job.id),
            **notes.labels,
        }

    def _ended(self, entry: HistoryEntry, outputs: Sequence[Asset], notes: JobNotes, base: str) -> dict[str, Any]:
        job, outcome = entry.job, entry.outcome
        progress, reused = ended_progress(outcome)
        return {
            **_times(job, outcome.ended),
            "id": job.id,
            "status": ENDED[outcome.status],
            "queue_position": None,
            "progress": progress,
            "outputs": [output_document(asset, base) for asset in outputs],
            "error": error_document(outcome.error),
            "outputs_reused": reused,
            "urls": _urls(base, job.id),
            **notes.labels,
        }

    def item(self, found: Job | HistoryEntry, notes: JobNotes, place: int | None, base: str) -> dict[str, Any]:
        """A job as it stands in a list."""
        job = found.job if isinstance(found, HistoryEntry) else found
        ended = found.outcome.ended if isinstance(found, HistoryEntry) else None
        status = ENDED[found.outcome.status] if isinstance(found, HistoryEntry) else self.status(job)
        times = _times(job, ended)
        return {
            **times,
            "id": job.id,
            "status": status,
            "create_time": times["created_at"],
            "update_time": iso(ended or job.started or job.created),
            "queue_position": place,
            "error": error_document(found.outcome.error) if isinstance(found, HistoryEntry) else None,
            "urls": _urls(base, job.id),
            **notes.labels,
        }

    # -- outputs

    async def outputs_of(self, entry: HistoryEntry, notes: JobNotes) -> list[Asset]:
        """The outputs of a job that has ended, those that were deleted left out."""
        job = entry.job
        if not notes.complete:
            shown = msgspec.json.decode(entry.outcome.outputs)
            found = await asyncio.to_thread(self._files.outputs, job, shown)
            await self._index.complete(job.id, found)
        return await self._index.of_job(job.id)

    async def outputs_so_far(self, job: Job) -> list[Asset]:
        """What the nodes of a job that runs have put out by now."""
        counter = self.counter(job.id)
        if counter is None or not counter.shown:
            return []
        known = self._known.setdefault(counter, {})
        new = {node: ui for node, ui in counter.shown.items() if known.get(node) is not ui}
        if new:
            await self._index.add(await asyncio.to_thread(self._files.outputs, job, new))
            known.update(new)
        return await self._index.of_job(job.id)


def progress_document(counter: ProgressCounter | None) -> dict[str, Any] | None:
    """How far a job is."""
    now = counter.now() if counter is not None else None
    return msgspec.structs.asdict(now) if now is not None and now.nodes_total else None  # not planned yet


def ended_progress(outcome: Outcome) -> tuple[dict[str, Any], bool]:
    """How far a job came that has ended, and whether some of its nodes were served from the cache."""
    nodes = msgspec.json.decode(outcome.nodes, type=dict[str, _Ran])
    done = sum(one.status in ("ran", "reused") for one in nodes.values())
    value = 1.0 if outcome.status == "done" else (done / len(nodes) if nodes else 0.0)
    reused = any(one.status == "reused" for one in nodes.values())
    return {"value": value, "nodes_done": done, "nodes_total": len(nodes)}, reused


def error_document(error: bytes | None) -> dict[str, Any] | None:
    """Why a job failed. `error` is the data of its `execution_error` message."""
    if error is None:
        return None
    told = msgspec.json.decode(error)
    lost = told.get("exception_type") == "WorkerLost"
    return {
        "code": "worker_lost" if lost else "node_execution_error",
        "message": told.get("exception_message", ""),
        "node_id": told.get("node_id"),
        "class_type": told.get("node_type"),
        "traceback": "".join(told.get("traceback") or ()) or None,
    }


def places(jobs: Iterable[Job]) -> dict[str, int]:
    """The place in the queue of each of the jobs that wait."""
    return {job.id: place for place, job in enumerate(jobs, 1)}


def _times(job: Job, ended: float | None) -> dict[str, Any]:
    running = (ended - job.started) if ended is not None and job.started is not None else None
    queued = (job.started - job.created) if job.started is not None else None
    return {
        "created_at": iso(job.created),
        "started_at": iso(job.started),
        "completed_at": iso(ended),
        "expires_at": NEVER,
        "metrics": {"queue_ms": _ms(queued), "execution_ms": _ms(running)},
    }


def _ms(seconds: float | None) -> int | None:
    return None if seconds is None else max(0, round(seconds * 1000))


def _urls(base: str, job_id: str) -> dict[str, str]:
    return {
        "self": job_url(base, job_id),
        "events": job_url(base, job_id, "events"),
        "cancel": job_url(base, job_id, "cancel"),
        "workflow": job_url(base, job_id, "workflow"),
    }
