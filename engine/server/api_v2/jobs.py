"""Jobs of the Comfy API v2: the jobs of the server, whoever posted them in which way."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import re
from typing import Any, Final

import msgspec
from aiohttp import web

from engine.jobs.dispatch import Dispatcher
from engine.jobs.records import HistoryEntry, Job
from engine.jobs.store import JobStore
from engine.server.api_v2.asset_index import AssetIndex
from engine.server.api_v2.events import JobEvents
from engine.server.api_v2.job_documents import ENDED, STATUSES, JobDocuments, places
from engine.server.api_v2.links import base_of
from engine.server.api_v2.problems import Problem
from engine.server.api_v2.submitting import Submitting
from engine.server.bodies import read_body
from engine.server.idempotency import IDEMPOTENCY, Claim, KeyReused, digest_of, read_key
from engine.server.principals import asking
from engine.server.refusals import json_response
from engine.server.watching import Watches

MOST: Final = 100
DEFAULT: Final = 50
LOOKED_AT: Final = 2_000
"""Jobs with labels that one request goes through for those that fit."""

CANCEL_SECONDS: Final = 2.0
"""How long the answer to a cancel waits for a job that has not begun to be recorded as canceled."""

_SCOPE: Final = "api/v2/jobs"
_FILTER: Final = re.compile(r"metadata\[(.+)\]")
_OURS: Final = {theirs: ours for ours, theirs in ENDED.items()}


class Jobs:
    """Handlers around queue, history and the notes of this API."""

    def __init__(
        self,
        dispatcher: Dispatcher,
        store: JobStore,
        watches: Watches,
        index: AssetIndex,
        documents: JobDocuments,
        submitting: Submitting,
    ) -> None:
        self._dispatcher = dispatcher
        self._store = store
        self._watches = watches
        self._index = index
        self._documents = documents
        self._submitting = submitting
        self._events = JobEvents(documents, watches, index)

    # -- handlers

    async def create(self, request: web.Request) -> web.Response:
        key = read_key(request)
        body = await read_body(request)
        if key is None:
            return await self._create(request, body, None)
        scope = f"{_SCOPE} {asking().owner or ''}"
        async with request.app[IDEMPOTENCY].claim(scope, key, digest_of(body)) as claim:
            if claim.answer is not None or (claim.job_id is not None and await self._is_known(claim.job_id)):
                raise KeyReused(
                    f"The Idempotency-Key {key[:80]!r} was used, and made the job {claim.job_id}. Ask for that job.",
                    claim.job_id,
                )
            return await self._create(request, body, claim)

    async def show(self, request: web.Request) -> web.Response:
        limit = _limit(request)
        statuses = _statuses(request)
        wanted = _wanted(request)
        cursor = _cursor(request, bool(wanted))
        base = base_of(request)
        found, following = (
            await self._labelled(wanted, statuses, limit, cursor)
            if wanted
            else await self._page(statuses, limit, cursor)
        )
        notes = await self._index.notes([_job(one).id for one in found])
        waiting = places(self._dispatcher.queue)
        items = [self._documents.item(one, notes[_job(one).id], waiting.get(_job(one).id), base) for one in found]
        more = {"next_cursor": _written(following, bool(wanted))} if following is not None else {}
        return json_response({"jobs": items, **more})

    async def get(self, request: web.Request) -> web.Response:
        return json_response(await self._document(request))

    async def workflow(self, request: web.Request) -> web.Response:
        """The graph as it ran, or with `format=save` as an editor saved it."""
        job_id, form = request.match_info["id"], request.query.get("format", "api")
        if form not in ("api", "save"):
            raise Problem(400, "invalid_request", f"format: expected api or save, got {form[:40]!r}.")
        job = await self._found(job_id)
        if form == "api":
            return json_response({"workflow": msgspec.Raw(job.prompt), "format": "api"})
        extra = msgspec.json.decode(job.extra_data)
        info = extra.get("extra_pnginfo") if isinstance(extra, dict) else None
        saved = info.get("workflow") if isinstance(info, dict) else None
        if not isinstance(saved, dict):
            raise Problem(404, "not_found", f"The job {job_id} was not made from a saved workflow. Ask for format=api.")
        return json_response({"workflow": saved, "format": "save"})

    async def cancel(self, request: web.Request) -> web.Response:
        job_id = request.match_info["id"]
        waits = job_id in self._dispatcher.queue and self._documents.active(job_id) is not None
        recorded = asyncio.Event()
        stop = self._watches.watch(job_id, lambda event: recorded.set())
        try:
            if self._documents.active(job_id) is not None:
                self._dispatcher.cancel(job_id)
            if waits:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(CANCEL_SECONDS):
                        await recorded.wait()
        finally:
            stop()
        return json_response(await self._document(request))

    async def events(self, request: web.Request) -> web.StreamResponse:
        job_id = request.match_info["id"]
        if not await self._is_known(job_id):
            raise _unknown(job_id)
        return await self._events.serve(request, job_id, base_of(request))

    # -- parts of them

    async def _create(self, request: web.Request, body: bytes, claim: Claim | None) -> web.Response:
        job, errors = await self._submitting.take(body, claim)
        base = base_of(request)
        document = await self._documents.document(job.id, base)
        if document is None:  # taken out of the queue before it could be told of
            raise _unknown(job.id)
        headers = {"Location": document["urls"]["self"]}
        answer = json_response(document | ({"node_errors": errors} if errors else {}), status=201)
        answer.headers.update(headers)
        return answer

    async def _document(self, request: web.Request) -> dict[str, Any]:
        job_id = request.match_info["id"]
        document = await self._documents.document(job_id, base_of(request))
        if document is None:
            raise _unknown(job_id)
        return document

    async def _is_known(self, job_id: str) -> bool:
        return self._documents.active(job_id) is not None or await self._documents.entry(job_id) is not None

    async def _found(self, job_id: str) -> Job:
        """A job with its texts. Raises Problem 404."""
        job = self._documents.active(job_id)
        if job is not None:
            return await self._store.whole(job)
        entry = await self._documents.entry(job_id)
        if entry is None:
            raise _unknown(job_id)
        return entry.job

    async def _page(
        self, statuses: set[str], limit: int, before: int | None
    ) -> tuple[list[Job | HistoryEntry], int | None]:
        """The newest jobs below a sequence, and that of the last one if there are more."""
        whose = asking()
        active = [*self._dispatcher.active(), *self._dispatcher.queue]
        unfinished = [job.id for job in active]
        fitting = [job for job in active if whose.owns(job.owner) and self._documents.status(job) in statuses]
        fitting = [job for job in fitting if before is None or job.sequence < before]
        ended = [_OURS[status] for status in statuses if status in _OURS]
        entries: list[HistoryEntry] = []
        if ended:
            entries, _ = await self._store.finished(
                ended, limit=limit + 1, offset=0, owner=whose.only, without=unfinished, before=before
            )
        found: list[Job | HistoryEntry] = sorted([*fitting, *entries], key=lambda one: -_job(one).sequence)
        more = _job(found[limit - 1]).sequence if len(found) > limit else None
        return found[:limit], more

    async def _labelled(
        self, wanted: dict[str, str], statuses: set[str], limit: int, before: int | None
    ) -> tuple[list[Job | HistoryEntry], int | None]:
        """The same of jobs that have the labels `wanted`, by the order in which they were noted."""
        rows = await self._index.labelled(before, LOOKED_AT)
        found: list[Job | HistoryEntry] = []
        last = before
        for number, job_id, labels in rows:
            metadata = labels.get("metadata")
            if not isinstance(metadata, dict) or any(metadata.get(key) != value for key, value in wanted.items()):
                continue
            if len(found) == limit:
                return found, last
            one = self._documents.active(job_id) or await self._documents.entry(job_id)
            if one is not None and self._status(one) in statuses:
                found.append(one)
                last = number
        return found, rows[-1][0] if len(rows) == LOOKED_AT else None

    def _status(self, one: Job | HistoryEntry) -> str:
        return ENDED[one.outcome.status] if isinstance(one, HistoryEntry) else self._documents.status(one)


def _job(one: Job | HistoryEntry) -> Job:
    return one.job if isinstance(one, HistoryEntry) else one


def _unknown(job_id: str) -> Problem:
    message = f"There is no job {job_id[:100]!r}: it never was, or was deleted from the queue or the history."
    return Problem(404, "not_found", message)


def _limit(request: web.Request) -> int:
    text = request.query.get("limit", str(DEFAULT))
    if not text.isascii() or not text.isdecimal() or len(text) > 9 or not 1 <= int(text) <= MOST:
        raise Problem(400, "invalid_request", f"limit: expected a whole number from 1 to {MOST}, got {text[:40]!r}.")
    return int(text)


def _statuses(request: web.Request) -> set[str]:
    names = [name.strip() for name in request.query.get("status", "").split(",") if name.strip()]
    for name in names:
        if name not in STATUSES:
            message = f"status: expected some of {', '.join(STATUSES)}, got {name[:40]!r}."
            raise Problem(400, "invalid_request", message)
    return set(names or STATUSES)


def _wanted(request: web.Request) -> dict[str, str]:
    """The labels that the jobs must have."""
    found = {}
    for name, value in request.query.items():
        if name.startswith("metadata"):
            match = _FILTER.fullmatch(name)
            if match is None:
                message = f"Expected metadata[NAME]=VALUE, got {name[:80]!r}."
                raise Problem(400, "invalid_metadata_filter", message)
            found[match[1]] = value
    return found


def _written(number: int, labelled: bool) -> str:
    return base64.urlsafe_b64encode(f"{'m' if labelled else 's'}{number}".encode()).decode().rstrip("=")


def _cursor(request: web.Request, labelled: bool) -> int | None:
    text = request.query.get("cursor")
    if not text:
        return None
    try:
        told = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True).decode("ascii")
        number = int(told[1:])
    except ValueError:
        told, number = "", -1
    if told[:1] != ("m" if labelled else "s") or not 0 <= number < 2**62:
        message = f"cursor: expected the next_cursor of an answer to the same question, got {text[:80]!r}."
        raise Problem(400, "invalid_cursor", message)
    return number
