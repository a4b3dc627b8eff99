"""Running saved workflows by name, and asking for what such a run gave."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

from aiohttp import web

from engine.server.idempotency import IDEMPOTENCY, read_key
from engine.server.large_bodies import BODIES
from engine.server.principals import principal_of
from engine.server.proxies import base_of
from engine.server.refusals import Refusal, json_response
from engine.server.routes.workflows import NAME, UNKNOWN_NAME
from engine.server.routing import Query, Route
from engine.server.watching import Listener
from engine.server.webhooks.delivery import Webhooks
from engine.server.workflows.answering import Answering, JobEvents
from engine.server.workflows.given import Given, read_given
from engine.server.workflows.library import SavedWorkflow
from engine.server.workflows.runner import RunService
from engine.server.workflows.wishes import JSON, Wishes, read_wishes


class CallRoutes:
    """Answers calls, and what is asked of them later."""

    def __init__(self, runs: RunService, webhooks: Webhooks, max_pixels: int) -> None:
        self._runs = runs
        self._webhooks = webhooks
        self._answering = Answering(runs, max_pixels)

    def routes(self) -> list[Route]:
        """Their declarations."""
        return [
            Route(
                method="POST",
                path="/api/v1/workflows/{name:.+}/run",
                handler=self.run,
                summary="Run a saved workflow with these parameters; waits for its result.",
                tag="workflows",
                query=(NAME, *OPTIONS, *RUN_OPTIONS),
                body={"type": "object", "description": "Parameter → value."},
                answer=CALL,
                api_only=True,
                refusals=RUN_REFUSALS,
            ),
            Route(
                method="GET",
                path="/api/v1/jobs/{job_id}",
                handler=self.job,
                summary="How a job stands, and what it gave: as JSON, as the file itself, or as events.",
                tag="workflows",
                query=(Query(name="job_id"), *OPTIONS),
                answer=CALL,
                api_only=True,
                refusals=JOB_REFUSALS,
            ),
            Route(
                method="POST",
                path="/api/v1/jobs/{job_id}/cancel",
                handler=self.cancel,
                summary="End a job that waits or runs.",
                tag="workflows",
                query=(Query(name="job_id"),),
                answer={"type": "object", "required": ["cancelled"], "properties": {"cancelled": {"type": "boolean"}}},
                api_only=True,
                refusals={404: "There is no such job."},
            ),
        ]

    async def run(self, request: web.Request) -> web.StreamResponse:
        wishes = read_wishes(request)
        workflow = await self._runs.library.get(request.match_info["name"])
        wishes.check_kinds(one.kind for one in workflow.signature.outputs)
        url = _webhook(request)
        if url is not None:
            self._webhooks.check(url)
        given = await read_given(request)
        if wishes.streams:
            return await self._streamed(request, workflow, given, wishes)
        async with self._once(request, workflow.name, given) as (job_id, is_new):
            if is_new:
                await self._start(request, workflow, given, job_id)
        return await self._answering.wait(request, job_id, wishes)

    async def _streamed(
        self, request: web.Request, workflow: SavedWorkflow, given: Given, wishes: Wishes
    ) -> web.StreamResponse:
        async with self._once(request, workflow.name, given) as (job_id, is_new):
            events = self._answering.events(request, job_id, wishes)
            if is_new:
                await self._start(request, workflow, given, job_id, events)
        return await self._followed(request, events, is_new)

    async def _followed(self, request: web.Request, events: JobEvents, is_listening: bool) -> web.StreamResponse:
        await events.begin(is_listening)
        return await self._answering.stream(events)

    async def _start(
        self,
        request: web.Request,
        workflow: SavedWorkflow,
        given: Given,
        job_id: str,
        listener: Listener | None = None,
    ) -> None:
        async with self._promised(request, job_id):
            await self._runs.start(
                workflow,
                given.arguments,
                client_id=request.query.get("client_id"),
                job_id=job_id,
                as_text=given.as_text,
                listener=listener,
            )
        given.arguments.clear()  # files are on disk now
        bodies = request.app.get(BODIES)
        if bodies is not None:
            bodies.let_go(request)

    @asynccontextmanager
    async def _promised(self, request: web.Request, job_id: str) -> AsyncIterator[None]:
        """Around the making of a job: what is to be told when it ends is on disk before."""
        url = _webhook(request)
        if url is None:
            yield
            return
        base = base_of(request)
        await self._webhooks.promise(job_id, url, base)
        try:
            yield
        except Exception:
            await self._webhooks.withdraw(job_id)
            raise
        self._webhooks.follow(job_id, url, base)

    @asynccontextmanager
    async def _once(self, request: web.Request, name: str, given: Given) -> AsyncIterator[tuple[str, bool]]:
        """The id of the job that a request makes, and whether it is still to be made: a request sent again makes none."""
        key = read_key(request)
        if key is None:
            yield str(uuid.uuid4()), True
            return
        scope = f"workflows of {principal_of(request).owner or ''}"
        async with request.app[IDEMPOTENCY].claim(scope, key, given.digest(name, _webhook(request) or "")) as claim:
            job_id = claim.job_id or str(uuid.uuid4())
            is_new = claim.answer is None and (claim.job_id is None or not await self._runs.knows(job_id))
            if is_new:
                await claim.hold(job_id)
            yield job_id, is_new
            if claim.answer is None:
                await claim.keep(b"{}")

    async def job(self, request: web.Request) -> web.StreamResponse:
        job_id = request.match_info["job_id"]
        wishes = read_wishes(request)
        result = await self._runs.result(job_id)
        if wishes.streams:
            return await self._followed(request, self._answering.events(request, job_id, wishes), False)
        if wishes.wait and result.is_active:
            return await self._answering.wait(request, job_id, wishes)
        if result.is_active and wishes.forms[0] != JSON:
            return self._answering.later(request, result, wishes)
        if wishes.forms[0] == JSON:
            return await self._answering.as_json(request, result, wishes)
        return await self._answering.answer(request, result, wishes)

    async def cancel(self, request: web.Request) -> web.Response:
        job_id = request.match_info["job_id"]
        cancelled = self._runs.cancel(job_id)
        if not cancelled:
            await self._runs.result(job_id)  # raises for one that is not known
        return json_response({"cancelled": cancelled})


def _webhook(request: web.Request) -> str | None:
    """The address that is to be told when the job has ended. Raises Refusal 400 for several."""
    given = request.headers.getall(WEBHOOK, []) + request.query.getall("webhook", [])
    if len(given) > 1:
        message = f"{WEBHOOK}: expected one address, in the header or as ?webhook=; got {len(given)}."
        raise Refusal(400, "invalid_webhook", message, field="webhook")
    return given[0] if given else None


WEBHOOK: Final = "Safelight-Webhook"
"""Header of a call."""

OPTIONS: Final = (
    Query(
        name="embed",
        doc="`base64`: files up to 32 MiB in all stand in the JSON.",
        schema={"enum": ["none", "base64"], "default": "none"},
    ),
    Query(
        name="on_disconnect",
        doc="What becomes of the job when the client goes away while it waits.",
        schema={"enum": ["continue", "cancel"], "default": "continue"},
    ),
    Query(
        name="previews",
        doc="Whether events bring intermediate pictures.",
        schema={"enum": ["true", "false"], "default": "true"},
    ),
)
RUN_OPTIONS: Final = (
    Query(name="client_id", doc="The websocket client that hears of the job."),
    Query(name="webhook", doc=f"An address to tell when the job has ended; better in the header {WEBHOOK}."),
)

_NUMBER: Final = {"type": ["number", "null"]}
_TEXT: Final = {"type": "string"}
_TEXTS: Final = {"type": "array", "items": _TEXT}

_FILE: Final = {
    "type": "object",
    "required": ["filename", "subfolder", "type", "media_type", "url"],
    "properties": {
        "filename": _TEXT,
        "subfolder": _TEXT,
        "type": _TEXT,
        "media_type": _TEXT,
        "url": _TEXT,
        "base64": _TEXT,
    },
}

CALL: Final[dict[str, Any]] = {
    "title": "Call",
    "type": "object",
    "required": ["job_id", "url", "state", "workflow", "values", "outputs", "created"],
    "properties": {
        "job_id": _TEXT,
        "url": _TEXT,
        "state": {"enum": ["queued", "running", "done", "failed", "cancelled"]},
        "workflow": _TEXT,
        "values": {"type": "object", "description": "Every parameter with the value that ran, drawn seeds among them."},
        "outputs": {
            "type": "object",
            "description": "Name → what the output gave.",
            "additionalProperties": {
                "type": "object",
                "required": ["kind", "files", "texts"],
                "properties": {"kind": _TEXT, "files": {"type": "array", "items": _FILE}, "texts": _TEXTS},
            },
        },
        "created": {"type": "number", "description": "Seconds since 1970, as the other times."},
        "started": _NUMBER,
        "ended": _NUMBER,
        "seconds": _NUMBER,
        "ran": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["node", "seconds"],
                "properties": {"node": _TEXT, "seconds": {"type": "number"}},
            },
        },
        "reused": {**_TEXTS, "description": "Nodes whose results came from the cache."},
        "notes": _TEXTS,
        "waits_for": _TEXT,
        "error": {"type": ["object", "null"]},
    },
}

JOB_REFUSALS: Final[Mapping[int, str]] = {
    404: "There is no such job.",
    406: "The job gave nothing of the kind that Accept asks for.",
    409: "The job was cancelled, and has no file.",
    410: "The file was deleted since.",
    500: "The job failed, and has no file; `error` of extra_info tells why.",
}
RUN_REFUSALS: Final[Mapping[int, str]] = {
    403: "The settings do not allow the webhook, or the token no runs.",
    404: UNKNOWN_NAME,
    406: "The workflow gives nothing of the kind that Accept asks for.",
    408: "The body came too slowly.",
    409: "The workflow lacks nodes or models here, or its file cannot be read; or the job was cancelled.",
    410: "A file was deleted as soon as it was there.",
    413: "The body or a file is too large.",
    415: "A form is compressed.",
    429: "The token has as many jobs as it may have; Retry-After says when to try again.",
    422: "Arguments are wrong: `problems` lists all; or the idempotency key stands for another body.",
    500: "The job failed; `error` of extra_info tells why.",
    503: "The server is ending, or has no worker to ask.",
    507: "The disk is full.",
}
