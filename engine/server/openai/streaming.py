"""Pictures as server-sent events: unfinished ones on the way, then the finished."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from typing import Any, Final

from aiohttp import web

from engine.server.openai.errors import ApiError, as_api_error
from engine.server.openai.models import Model
from engine.server.openai.pictures import USAGE, Pictures, coded, told_quality
from engine.server.openai.requests import PictureRequest
from engine.server.openai.running import Runs
from engine.server.refusals import Refusal
from engine.server.sse import EventStream
from engine.server.watching import JobEvent, Previewed, Progressed

log = logging.getLogger("safelight.openai")

MOST_WAITING: Final = 256 * 1024**2
"""Bytes of events that may wait for a client: pictures are large."""

_NAMES: Final = {"generation": "image_generation", "edit": "image_edit"}


class PictureStream:
    """One streamed answer."""

    def __init__(self, request: web.Request, model: Model, wanted: PictureRequest, pictures: Pictures) -> None:
        self._stream = EventStream(request, most_waiting=MOST_WAITING)
        self._model = model
        self._wanted = wanted
        self._pictures = pictures
        self._name = _NAMES[wanted.operation]

    def listener(self) -> _Partials:
        """What hears of a run, and sends its unfinished pictures."""
        return _Partials(self, self._wanted.partial_images)

    async def serve(self, runs: Runs) -> web.StreamResponse:
        """Send until the runs, which have been started, have ended, or the client has gone."""
        telling = asyncio.create_task(self._tell(runs))
        try:
            return await self._stream.serve()
        finally:
            telling.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await telling

    async def _tell(self, runs: Runs) -> None:
        try:
            results = await runs.results()
            for one in await self._pictures.of(self._model, self._wanted, results):
                facts = {"b64_json": coded(one.data), "size": one.size, "output_format": self._wanted.format}
                self.send("completed", **facts, usage=USAGE, **({"seed": one.seed} if one.seed is not None else {}))
        except Refusal as error:
            self._fail(as_api_error(error))
        except Exception:
            log.exception("a streamed answer broke off")
            self._fail(ApiError(500, "server_error", "The server failed here; its log tells more."))
        finally:
            self._stream.close()

    def send(self, kind: str, **facts: Any) -> None:
        """Send `image_generation.KIND` or `image_edit.KIND`."""
        name = f"{self._name}.{kind}"
        size = f"{self._wanted.size[0]}x{self._wanted.size[1]}" if self._wanted.size else "auto"
        told = {"type": name, "created_at": int(time.time()), "size": size, "background": "opaque"}
        self._stream.send(name, told | {"quality": told_quality(self._wanted)} | facts)

    def _fail(self, error: ApiError) -> None:
        self._stream.send("error", {"type": "error", **error.body()})


class _Partials:
    """Hears of one run: of its previews, `most` are sent, spread over its steps."""

    def __init__(self, stream: PictureStream, most: int) -> None:
        self._stream = stream
        self._most = most
        self._sent = 0
        self._share: dict[str, float] = {}

    def __call__(self, event: JobEvent) -> None:
        if isinstance(event, Progressed):
            self._share[event.node] = event.value / event.max if event.max else 0.0
        elif isinstance(event, Previewed) and self._sent < self._most:
            due = self._sent / self._most
            if self._share.get(event.node, 1.0) >= due:
                self._stream.send(
                    "partial_image",
                    b64_json=coded(event.data),
                    output_format=event.format,
                    partial_image_index=self._sent,
                )
                self._sent += 1
