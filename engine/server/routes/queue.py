"""The queue: what runs, what waits, and what a person does about it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

import msgspec
from aiohttp import web

from engine.jobs.dispatch import Dispatcher
from engine.jobs.records import Job
from engine.jobs.store_errors import StoreError
from engine.server import wire
from engine.server.bodies import decode_json, read_body, read_json
from engine.server.principals import principal_of
from engine.server.refusals import json_response
from engine.server.routing import Route
from engine.server.streams import streamed_json

encode = msgspec.json.Encoder().encode


class QueueChange(msgspec.Struct, kw_only=True):
    """Body of POST /queue and POST /history."""

    clear: bool = False
    delete: list[str] = []


class Interrupt(msgspec.Struct, kw_only=True):
    """Body of POST /interrupt: the running job with this id, or every one that runs."""

    prompt_id: str | None = None


class Free(msgspec.Struct, kw_only=True):
    """Body of POST /free."""

    unload_models: bool = False
    free_memory: bool = False


class Move(msgspec.Struct, kw_only=True):
    """Body of POST /api/v1/queue/move: put the jobs, in this order, before another, at the front, or else at the end."""

    ids: list[str]
    before: str | None = None
    front: bool = False


class QueueRoutes:
    """Handlers around the dispatcher."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        self._dispatcher = dispatcher

    def routes(self) -> list[Route]:
        """Their declarations."""
        return [
            Route(
                method="GET",
                path="/queue",
                handler=self.show,
                summary="Jobs that run and jobs that wait, the next one first.",
                tag="queue",
                answer=_QUEUE,
            ),
            Route(
                method="POST",
                path="/queue",
                handler=self.change,
                summary="Take jobs that wait out of the queue: all (`clear`), or those in `delete`.",
                tag="queue",
                body=QueueChange,
            ),
            Route(
                method="POST",
                path="/interrupt",
                handler=self.interrupt,
                summary="Stop the job that runs; with `prompt_id`, only if it is that one.",
                tag="queue",
                body=Interrupt,
            ),
            Route(
                method="POST",
                path="/free",
                handler=self.free,
                summary="Have the workers drop loaded models, and values kept in memory.",
                tag="queue",
                body=Free,
                scope="admin",
            ),
            *self._own(),
        ]

    def _own(self) -> list[Route]:
        return [
            Route(
                method="GET",
                path="/api/v1/queue",
                handler=self.state,
                summary="Whether the queue is paused, and how many jobs wait and run.",
                tag="queue",
                answer=_STATE,
                api_only=True,
            ),
            Route(
                method="POST",
                path="/api/v1/queue/pause",
                handler=self.pause,
                summary="Start no further job until the queue is resumed; kept over restarts.",
                tag="queue",
                answer=_STATE,
                api_only=True,
                scope="admin",
            ),
            Route(
                method="POST",
                path="/api/v1/queue/resume",
                handler=self.resume,
                summary="Go on after a pause.",
                tag="queue",
                answer=_STATE,
                api_only=True,
                scope="admin",
            ),
            Route(
                method="POST",
                path="/api/v1/queue/move",
                handler=self.move,
                summary="Reorder jobs that wait.",
                tag="queue",
                body=Move,
                answer=_STATE,
                api_only=True,
                scope="admin",
            ),
        ]

    async def show(self, request: web.Request) -> web.StreamResponse:
        whose = principal_of(request)
        running, waiting = ([job for job in jobs if whose.owns(job.owner)] for jobs in self._dispatcher.listed())
        if any(job.long for job in (*running, *waiting)):
            pieces = self._one_by_one(running, waiting)
            return await streamed_json(request, b"{", pieces, b"]}", between=b"")
        return json_response(
            {"queue_running": [*map(queue_item, running)], "queue_pending": [*map(queue_item, waiting)]}
        )

    async def _one_by_one(self, running: Sequence[Job], waiting: Sequence[Job]) -> AsyncIterator[bytes]:
        """The same with texts that are on disk: read for one job after the other."""
        for name, jobs in (("queue_running", running), ("queue_pending", waiting)):
            yield b'"%s":[' % name.encode() if name == "queue_running" else b'],"%s":[' % name.encode()
            for index, job in enumerate(jobs):
                yield (b"," if index else b"") + await self._item(job)

    async def _item(self, job: Job) -> bytes:
        if not job.long:
            return encode(queue_item(job))
        async with self._dispatcher.turns.turn():
            try:
                return encode(queue_item(await self._dispatcher.store.whole(job)))
            except StoreError:  # taken out meanwhile
                return encode(queue_item(job))

    async def change(self, request: web.Request) -> web.Response:
        wish = await read_json(request, QueueChange)
        ids = [job.id for job in self._dispatcher.queue.unordered()] if wish.clear else wish.delete
        await self._dispatcher.remove(self._own_of(request, ids))
        return web.Response()

    async def interrupt(self, request: web.Request) -> web.Response:
        wish = await _read_optional(request, Interrupt)
        whose = principal_of(request)
        if wish.prompt_id is None:
            self._dispatcher.interrupt(whose.only)
        elif (running := self._dispatcher.running.get(wish.prompt_id)) is not None and whose.owns(running.job.owner):
            self._dispatcher.cancel(wish.prompt_id)
        return web.Response()

    def _own_of(self, request: web.Request, ids: Sequence[str]) -> list[str]:
        """Those of `ids` that wait and that who asks may change; others are passed over, as unknown ones are."""
        whose, queue = principal_of(request), self._dispatcher.queue
        return [id for id in ids if (job := queue.get(id)) is not None and whose.owns(job.owner)]

    async def free(self, request: web.Request) -> web.Response:
        wish = await _read_optional(request, Free)
        self._dispatcher.free(wish.unload_models, wish.free_memory)
        return web.Response()

    async def state(self, request: web.Request) -> web.Response:
        return self._told(request)

    async def pause(self, request: web.Request) -> web.Response:
        await self._dispatcher.pause(True)
        return self._told(request)

    async def resume(self, request: web.Request) -> web.Response:
        await self._dispatcher.pause(False)
        return self._told(request)

    async def move(self, request: web.Request) -> web.Response:
        wish = await read_json(request, Move)
        before = None if wish.before is None else next(iter(self._own_of(request, [wish.before])), None)
        self._dispatcher.move(self._own_of(request, wish.ids), before, front=wish.front)
        return self._told(request)

    def _told(self, request: web.Request) -> web.Response:
        """The state of the queue, with the numbers of the jobs that who asks may see."""
        whose, dispatcher = principal_of(request), self._dispatcher
        running = sum(whose.owns(one.job.owner) for one in dispatcher.running.values())
        waiting = len(dispatcher.queue)
        if whose.only is not None:
            waiting = sum(job.owner == whose.only for job in dispatcher.queue.unordered())
        return json_response({"paused": dispatcher.paused, "pending": waiting, "running": running})


def queue_item(job: Job) -> list[Any]:
    """A job as queue and history list it: `[number, id, prompt, extra_data, outputs]`."""
    return [wire.number(job.number), job.id, msgspec.Raw(job.prompt), msgspec.Raw(job.extra_data), job.outputs]


async def _read_optional(request: web.Request, type_: type[Any]) -> Any:
    """The body, or its defaults when there is none: scripts post these routes empty."""
    body = await read_body(request)
    return decode_json(body, type_) if body.strip() not in (b"", b"null") else type_()


_ITEMS: Final = {"type": "array", "items": {"type": "array"}}
_QUEUE: Final = {"type": "object", "properties": {"queue_running": _ITEMS, "queue_pending": _ITEMS}}
_STATE: Final = {
    "type": "object",
    "properties": {"paused": {"type": "boolean"}, "pending": {"type": "integer"}, "running": {"type": "integer"}},
}
