"""Answering a call: the file itself, JSON, or events, once the job has ended or as it goes; and when the client has gone."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable, Coroutine
from typing import Any, Final, TypeVar

import msgspec
from aiohttp import web

from engine.server.inert import file_response, headers
from engine.server.proxies import prefix_of
from engine.server.refusals import Refusal, json_response
from engine.server.routes.view_renditions import FORMATS, Renditions, Wish
from engine.server.sse import EventStream
from engine.server.tokens import refuse_when_revoked
from engine.server.watching import Began, Ended, JobEvent, NodeChanged, Previewed, Progressed, Told
from engine.server.workflows.results import CallResult, ResultFile
from engine.server.workflows.runner import RunService
from engine.server.workflows.told import EMBEDDED, failure_of, job_url, result_json
from engine.server.workflows.wishes import EVENTS, JSON, Wishes

T = TypeVar("T")

LOOK: Final = 0.5
"""Seconds between two looks at whether a client that waits is still there."""

JOB_HEADER: Final = "Safelight-Job"
"""Header of answers: the job's id."""


class ClientGoneError(Exception):
    """Nobody is left to answer."""


class Answering:
    """Answers requests with what jobs give."""

    def __init__(self, runs: RunService, max_pixels: int) -> None:
        self._runs = runs
        self._renditions = Renditions(max_pixels)

    async def wait(self, request: web.Request, job_id: str, wishes: Wishes) -> web.StreamResponse:
        """The result once it is there, or after the time that the client waits, the job."""
        try:
            result = await self._waited(request, job_id, wishes)
        except ClientGoneError:
            if wishes.cancel_when_gone:
                self._runs.cancel(job_id)
            raise ConnectionResetError("the client has gone") from None
        except Refusal as refusal:
            refusal.extra_info.setdefault("url", prefix_of(request) + job_url(job_id))
            raise
        if result.is_active:
            return self.later(request, result, wishes)
        return await self.answer(request, result, wishes)

    async def _waited(self, request: web.Request, job_id: str, wishes: Wishes) -> CallResult:
        if wishes.wait == 0 or not self._runs.is_active(job_id):
            return await self._runs.result(job_id)
        return await while_there(request, self._runs.wait(job_id, wishes.wait))

    def later(self, request: web.Request, result: CallResult, wishes: Wishes) -> web.Response:
        """202: where to ask for the result."""
        answer = json_response(result_json(result, prefix_of(request)), status=202)
        self._name(answer, request, result)
        answer.headers["Location"] = prefix_of(request) + job_url(result.job_id)
        answer.headers["Retry-After"] = "1"
        if wishes.wait is not None:
            answer.headers["Preference-Applied"] = f"wait={wishes.wait:.0f}" if wishes.wait else "respond-async"
        return answer

    async def answer(self, request: web.Request, result: CallResult, wishes: Wishes) -> web.StreamResponse:
        """A result in the best form that it has. Raises Refusal for a job that did not end well, 406 when it has none."""
        failure = failure_of(result, prefix_of(request))
        if failure is not None:
            raise failure
        for form in wishes.forms:
            if form in (JSON, EVENTS):
                return await self.as_json(request, result, wishes)
            found = await self._as_file(request, result, form)
            if found is not None:
                return found
        gives = sorted({file.media_type for file in result.files()} | {JSON})
        message = f"The job gave {', '.join(gives)}; Accept asks for {', '.join(wishes.forms)}. Its result is kept."
        url = prefix_of(request) + job_url(result.job_id)
        raise Refusal(406, "not_acceptable", message, gives=gives, job_id=result.job_id, url=url)

    async def as_json(self, request: web.Request, result: CallResult, wishes: Wishes) -> web.Response:
        """A call as JSON, however it stands."""
        data = await self.embedded(result) if wishes.embed else None
        answer = json_response(result_json(result, prefix_of(request), data))
        self._name(answer, request, result)
        return answer

    async def embedded(self, result: CallResult) -> dict[str, bytes]:
        """Address → bytes of the files that fit into one answer."""
        return await asyncio.to_thread(self._read, result.files())

    def _read(self, files: list[ResultFile]) -> dict[str, bytes]:
        found: dict[str, bytes] = {}
        room = EMBEDDED
        for file in files:
            path = self._runs.path(file)
            if path is not None and path.stat().st_size <= room:
                found[file.url] = path.read_bytes()
                room -= len(found[file.url])
        return found

    # -- the file itself

    async def _as_file(self, request: web.Request, result: CallResult, form: str) -> web.StreamResponse | None:
        """The first file of a type, or the first picture in a form that it can be made into; None without one."""
        kind, _, subtype = form.partition("/")
        files = result.files(f"{kind}/")
        fitting = [file for file in files if subtype == "*" or file.media_type == form]
        answer: web.StreamResponse
        if fitting:
            chosen = fitting[0]
            answer = await self._file(chosen)
        elif files and kind == "image" and subtype in FORMATS:
            chosen = files[0]
            answer = await self._converted(chosen, subtype)
        else:
            return None
        self._name(answer, request, result)
        prefix = prefix_of(request)
        for file in result.files():
            if file is not chosen:
                answer.headers.add("Link", f'<{prefix}{file.url}>; rel="alternate"; type="{file.media_type}"')
        return answer

    async def _file(self, file: ResultFile) -> web.StreamResponse:
        path = await asyncio.to_thread(self._runs.path, file)
        if path is None:
            raise _gone(file)
        return await asyncio.to_thread(file_response, path)

    async def _converted(self, file: ResultFile, subtype: str) -> web.StreamResponse:
        path = await asyncio.to_thread(self._runs.path, file)
        if path is None:
            raise _gone(file)
        made = await self._renditions.get(path, Wish(format=subtype))
        if made is None:  # an animation
            return await asyncio.to_thread(file_response, path)
        return web.Response(body=made.data, headers=headers(made.kind, path.with_suffix(f".{subtype}").name))

    def _name(self, answer: web.StreamResponse, request: web.Request, result: CallResult) -> None:
        answer.headers[JOB_HEADER] = result.job_id
        answer.headers["Cache-Control"] = "no-store"
        answer.headers.add("Link", f'<{prefix_of(request)}{job_url(result.job_id)}>; rel="describedby"')

    # -- events

    async def stream(self, events: JobEvents) -> web.StreamResponse:
        """The events of a job to its end, its result in the last one."""
        try:
            return await events.stream.serve(headers={JOB_HEADER: events.job_id})
        finally:
            if events.stream.gone and not events.over and events.wishes.cancel_when_gone:
                self._runs.cancel(events.job_id)
            events.close()

    def events(self, request: web.Request, job_id: str, wishes: Wishes) -> JobEvents:
        """What hears a job for `stream`."""
        return JobEvents(request, self._runs, self, job_id, wishes)


class JobEvents:
    """Turns what is heard of a job into events of a stream. It is a listener (`engine.server.watching`)."""

    def __init__(
        self, request: web.Request, runs: RunService, answering: Answering, job_id: str, wishes: Wishes
    ) -> None:
        self.stream = EventStream(request)
        self.job_id = job_id
        self.wishes = wishes
        self.over = False
        """The job has ended."""
        self._prefix = prefix_of(request)
        self._runs = runs
        self._answering = answering
        self._ending: asyncio.Task[None] | None = None
        self._early: list[JobEvent] | None = []
        """What was heard before the stream has begun."""
        self._forget: Callable[[], None] = lambda: None

    def __call__(self, event: JobEvent) -> None:
        """Hear of the job."""
        if self._early is not None:
            self._early.append(event)
        else:
            self._hear(event)

    async def begin(self, is_listening: bool) -> None:
        """Tell how the job stands, and go on from there. `is_listening`: it hears of the job already.

        Raises Refusal 404 when there is no such job.
        """
        result = await self._runs.result(self.job_id)
        self.stream.send("accepted", result_json(result, self._prefix))
        early, self._early = self._early or [], None
        for event in early:
            self._hear(event)
        if not is_listening and self._runs.is_active(self.job_id):
            self._forget = self._runs.watch(self.job_id, self)
        elif not is_listening:
            self.over = True
            await self._finished(self._runs.result(self.job_id))

    def _hear(self, event: JobEvent) -> None:
        match event:
            case Began():
                self._send("started", {"attempt": event.attempt})
            case Progressed():
                self._send("progress", msgspec.to_builtins(event), replaces="progress")
            case NodeChanged():
                self._send("node", msgspec.to_builtins(event))
            case Previewed() if self.wishes.previews:
                data = base64.b64encode(event.data).decode()
                told = {"node": event.node, "media_type": f"image/{event.format}", "base64": data}
                self._send("preview", told, replaces="preview")
            case Told():
                self._send("notice", {"message": event.message})
            case Ended():
                self.over = True
                self._ending = asyncio.ensure_future(self._end(event))

    def close(self) -> None:
        """Nobody reads any more."""
        self._forget()
        if self._ending is not None:
            self._ending.cancel()

    async def _end(self, event: Ended) -> None:
        await self._finished(self._runs.result_of(self.job_id, event))

    async def _finished(self, coming: Coroutine[Any, Any, CallResult]) -> None:
        try:
            result = await coming
            data = await self._answering.embedded(result) if self.wishes.embed else None
            self.stream.send("finished", result_json(result, self._prefix, data))
        except Refusal as refusal:
            self.stream.send("refused", {"status": refusal.status, **refusal.body()})
        self.stream.close()

    def _send(self, event: str, data: dict[str, Any], replaces: str | None = None) -> None:
        data.pop("type", None)
        self.stream.send(event, {"job_id": self.job_id, **data}, replaces=replaces)


async def while_there(request: web.Request, work: Coroutine[Any, Any, T]) -> T:
    """What `work` gives. Ends it when the client goes away before (ClientGoneError), or its token does (Refusal 401)."""
    task = asyncio.ensure_future(work)
    try:
        while not task.done():
            await asyncio.wait({task}, timeout=LOOK)
            if task.done():
                break
            if request.transport is None or request.transport.is_closing():
                raise ClientGoneError
            refuse_when_revoked(request)
        return task.result()
    finally:
        task.cancel()


def _gone(file: ResultFile) -> Refusal:
    return Refusal(410, "file_gone", f"The file {file.filename!r} was deleted since the job ended.")
