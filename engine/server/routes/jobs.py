"""Jobs in one list, whether they wait, run or have ended: what newer editors ask for in place of queue and history."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final

import msgspec
from aiohttp import web

from engine.jobs.dispatch import Dispatcher
from engine.jobs.records import HistoryEntry, Job
from engine.jobs.store import JobStore
from engine.server.bodies import read_json
from engine.server.principals import principal_of
from engine.server.refusals import Refusal, json_response
from engine.server.routes.history import whole_number
from engine.server.routing import Query, Route

STATUS: Final = {
    "queued": "pending",
    "running": "in_progress",
    "done": "completed",
    "failed": "failed",
    "cancelled": "cancelled",
}
"""Our word → the field's word."""

OURS: Final = {theirs: ours for ours, theirs in STATUS.items()}
MOST: Final = 1_000
SORTS: Final = ("created_at", "execution_duration")


class Cancel(msgspec.Struct, kw_only=True):
    """Body of POST /jobs/cancel."""

    job_ids: list[str] = []


class JobRoutes:
    """Handlers around dispatcher and store."""

    def __init__(self, dispatcher: Dispatcher, store: JobStore) -> None:
        self._dispatcher = dispatcher
        self._store = store

    def routes(self) -> list[Route]:
        """Their declarations."""
        return [
            Route(
                method="GET",
                path="/jobs",
                handler=self.show,
                summary="Jobs, newest first.",
                tag="jobs",
                query=_QUERY,
                answer=_JOBS,
                refusals={400: "A parameter is not one of those that are known."},
            ),
            Route(
                method="GET",
                path="/jobs/{job_id}",
                handler=self.one,
                summary="One job with its graph and outputs.",
                tag="jobs",
                answer=_JOB,
                refusals={404: "There is no such job."},
            ),
            Route(
                method="POST",
                path="/jobs/{job_id}/cancel",
                handler=self.cancel,
                summary="Cancel a job that waits or runs.",
                tag="jobs",
                answer=_CANCELLED,
                refusals={404: "There is no such job."},
            ),
            Route(
                method="POST",
                path="/jobs/cancel",
                handler=self.cancel_several,
                summary="Cancel several jobs.",
                tag="jobs",
                body=Cancel,
                answer=_CANCELLED,
            ),
        ]

    async def show(self, request: web.Request) -> web.Response:
        statuses = _statuses(request.query.get("status"))
        limit = whole_number(request, "limit", 100, least=0) or 0
        offset = whole_number(request, "offset", 0, least=0) or 0
        limit = min(limit, MOST)
        sort = _one_of(request, "sort_by", SORTS)
        descending = _one_of(request, "sort_order", ("desc", "asc")) == "desc"
        workflow_id = request.query.get("workflow_id")
        whose = principal_of(request)
        active = [job for job in self._active(statuses, workflow_id, descending) if whose.owns(job.owner)]
        # Whatever is written of these meanwhile: they stand once, among the active.
        unfinished = [job.id for job in (*self._dispatcher.active(), *self._dispatcher.queue.unordered())]
        listed = [_active_item(job) for job in active[offset : offset + limit]]
        ended = [status for status in ("done", "failed", "cancelled") if status in statuses]
        total = len(active)
        if ended:
            entries, count = await self._store.finished(
                ended,
                limit=limit - len(listed),
                offset=max(0, offset - total),
                sort=sort,
                descending=descending,
                workflow_id=workflow_id,
                owner=whose.only,
                without=unfinished,
            )
            listed += [_ended_item(entry) for entry in entries]
            total += count
        more = offset + len(listed) < total
        page = {"offset": offset, "limit": limit, "total": total, "has_more": more}
        return json_response({"jobs": listed, "pagination": page})

    async def one(self, request: web.Request) -> web.Response:
        job_id = request.match_info["job_id"]
        job = self._dispatcher.get(job_id) or self._dispatcher.ending.get(job_id)
        if job is not None and principal_of(request).owns(job.owner):
            return json_response({**_active_item(job), **_graph(await self._store.whole(job)), "outputs": {}})
        entry = await self._store.history_entry(job_id)
        if entry is None or not principal_of(request).owns(entry.job.owner):
            raise _unknown(job_id)
        return json_response(_whole_item(entry))

    async def cancel(self, request: web.Request) -> web.Response:
        job_id = request.match_info["job_id"]
        if not self._cancel(request, job_id):
            whose, ending = principal_of(request), self._dispatcher.ending.get(job_id)
            entry = None if ending is not None else await self._store.history_entry(job_id)
            job = ending if entry is None else entry.job
            if job is None or not whose.owns(job.owner):
                raise _unknown(job_id)
        return json_response({"cancelled": True})

    async def cancel_several(self, request: web.Request) -> web.Response:
        wish = await read_json(request, Cancel)
        found = [job_id for job_id in wish.job_ids if self._cancel(request, job_id)]
        return json_response({"cancelled": bool(found)})

    def _cancel(self, request: web.Request, job_id: str) -> bool:
        """Cancel a job that waits or runs; False when there is none that who asks may see."""
        job = self._dispatcher.get(job_id)
        return job is not None and principal_of(request).owns(job.owner) and self._dispatcher.cancel(job_id)

    def _active(self, statuses: Collection[str], workflow_id: str | None, descending: bool) -> list[Job]:
        found = [*self._dispatcher.active()] if "running" in statuses else []
        found += self._dispatcher.queue.unordered() if "queued" in statuses else []
        if workflow_id is not None:
            found = [job for job in found if job.workflow_id == workflow_id]
        return sorted(found, key=lambda job: job.sequence, reverse=descending)


def _active_item(job: Job) -> dict[str, Any]:
    status = STATUS["queued"] if job.status == "queued" else STATUS["running"]
    item: dict[str, Any] = {"id": job.id, "status": status, "create_time": _ms(job.created), "priority": job.number}
    if job.held:
        item["waits_for"] = job.held
    if job.started is not None:
        item["execution_start_time"] = _ms(job.started)
    return item | ({"workflow_id": job.workflow_id} if job.workflow_id else {})


def _ended_item(entry: HistoryEntry) -> dict[str, Any]:
    job, outcome = entry.job, entry.outcome
    item = {
        **_active_item(job),
        "status": STATUS[outcome.status],
        "execution_end_time": _ms(outcome.ended),
        "outputs_count": outcome.outputs_count,
    }
    if outcome.preview is not None:
        item["preview_output"] = msgspec.Raw(outcome.preview)
    if outcome.error is not None:
        item["execution_error"] = msgspec.Raw(outcome.error)
    return item


def _whole_item(entry: HistoryEntry) -> dict[str, Any]:
    outcome = entry.outcome
    return {
        **_ended_item(entry),
        **_graph(entry.job),
        "outputs": msgspec.Raw(outcome.outputs),
        "update_time": _ms(outcome.ended),
        "execution_status": {
            "status_str": "success" if outcome.status == "done" else "error",
            "completed": outcome.status == "done",
            "messages": msgspec.Raw(outcome.messages),
        },
        "execution_meta": msgspec.Raw(outcome.meta),
        "nodes": msgspec.Raw(outcome.nodes),
    }


def _graph(job: Job) -> dict[str, Any]:
    return {"workflow": {"prompt": msgspec.Raw(job.prompt), "extra_data": msgspec.Raw(job.extra_data)}}


def _statuses(text: str | None) -> set[str]:
    """Our words for the statuses asked for; all of them when none is named."""
    if not text:
        return set(STATUS)
    names = [name.strip() for name in text.split(",") if name.strip()]
    unknown = [name for name in names if name not in OURS]
    if unknown:
        known = ", ".join(OURS)
        raise Refusal(
            400, "invalid_query", f"status: expected some of {known}, got {unknown[0][:80]!r}.", field="status"
        )
    return {OURS[name] for name in names}


def _one_of(request: web.Request, name: str, choices: tuple[str, ...]) -> str:
    value = request.query.get(name, choices[0])
    if value not in choices:
        raise Refusal(
            400, "invalid_query", f"{name}: expected one of {', '.join(choices)}, got {value[:80]!r}.", field=name
        )
    return value


def _unknown(job_id: str) -> Refusal:
    return Refusal(
        404, "unknown_job", f"There is no job {job_id[:80]!r}: it never was, or was deleted from the history."
    )


def _ms(seconds: float) -> int:
    return int(seconds * 1000)


_QUERY: Final = (
    Query(
        name="status", doc="Some of pending, in_progress, completed, failed, cancelled, with commas; all when left out."
    ),
    Query(name="limit", schema={"type": "integer", "minimum": 0, "maximum": MOST}),
    Query(name="offset", schema={"type": "integer", "minimum": 0}),
    Query(name="sort_by", schema={"enum": list(SORTS)}),
    Query(name="sort_order", schema={"enum": ["desc", "asc"]}),
    Query(name="workflow_id", doc="Only jobs of the workflow with this id."),
)

_JOB: Final = {
    "type": "object",
    "required": ["id", "status", "create_time"],
    "properties": {
        "id": {"type": "string"},
        "status": {"enum": list(OURS)},
        "create_time": {"type": "integer", "description": "Milliseconds since 1970, as the other times."},
        "execution_start_time": {"type": "integer"},
        "execution_end_time": {"type": "integer"},
        "waits_for": {
            "type": "string",
            "description": "Why it waits though a worker is idle, such as a pack that is not loaded.",
        },
        "preview_output": {"type": "object"},
        "outputs_count": {"type": "integer"},
        "execution_error": {"type": "object"},
        "workflow_id": {"type": "string"},
        "priority": {"type": "number"},
    },
}

_JOBS: Final = {
    "type": "object",
    "required": ["jobs", "pagination"],
    "properties": {
        "jobs": {"type": "array", "items": _JOB},
        "pagination": {
            "type": "object",
            "properties": {
                "offset": {"type": "integer"},
                "limit": {"type": "integer"},
                "total": {"type": "integer"},
                "has_more": {"type": "boolean"},
            },
        },
    },
}

_CANCELLED: Final = {"type": "object", "properties": {"cancelled": {"type": "boolean"}}}
