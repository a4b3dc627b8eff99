"""A service of the OpenAI images API that answers as a test says, and remembers what it was asked."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import io
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, NamedTuple

from aiohttp import web
from aiohttp.test_utils import TestServer
from PIL import Image

from engine.config import ServiceSettings
from engine.remote.services import RemoteServices

KEY = "sk-very-secret-0123456789"

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Asked(NamedTuple):
    method: str
    path: str
    headers: dict[str, str]
    fields: dict[str, Any]


class Fake:
    """Answers the first request with the first of `answers` and so on; the last one stays."""

    def __init__(self, *answers: Answer) -> None:
        self.answers = list(answers)
        self.asked: list[Asked] = []
        self.left = asyncio.Event()
        """Set when a client goes away before it has its answer."""
        self.url = ""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(Asked(request.method, request.path, dict(request.headers), await _fields(request)))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        try:
            return await answer(request)
        except asyncio.CancelledError:
            self.left.set()
            raise


async def _fields(request: web.Request) -> dict[str, Any]:
    if request.content_type == "application/json":
        return dict(await request.json())
    found: dict[str, Any] = {}
    if request.content_type == "multipart/form-data":
        async for part in await request.multipart():
            value: Any = await part.read() if part.filename else await part.text()
            found[part.name] = [*found.get(part.name, []), value] if part.name.endswith("[]") else value
    return found


@contextlib.asynccontextmanager
async def serving(*answers: Answer, **settings: Any) -> AsyncIterator[tuple[Fake, RemoteServices]]:
    """A service that answers so, and the services that settings with it (`fake`) name."""
    fake = Fake(*answers)
    app = web.Application(handler_args={"handler_cancellation": True}, client_max_size=2**26)
    app.router.add_route("*", "/{path:.*}", fake.handle)
    async with TestServer(app) as server:
        fake.url = f"http://127.0.0.1:{server.port}/v1"
        told = ServiceSettings(url=fake.url, key=KEY, **settings)
        yield fake, RemoteServices({"fake": told}, {})


def png(width: int = 8, height: int = 6, colour: tuple[int, ...] = (255, 0, 128)) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGBA" if len(colour) == 4 else "RGB", (width, height), colour).save(buffer, "PNG")
    return buffer.getvalue()


def coded(data: bytes) -> str:
    return base64.b64encode(data).decode()


def said(body: Any, status: int = 200, **headers: str) -> Answer:
    """JSON, with `_` for `-` in the names of headers."""

    async def answer(request: web.Request) -> web.StreamResponse:
        text = body if isinstance(body, str) else json.dumps(body)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return web.Response(text=text, status=status, content_type="application/json", headers=named)

    return answer


def pictures(*data: bytes, **more: Any) -> Answer:
    return said({"created": 1, "data": [{"b64_json": coded(one)} for one in data or (png(),)], **more})


def refused(status: int, message: str = "no", code: str = "", param: str = "", **headers: str) -> Answer:
    return said({"error": {"message": message, "type": "some_error", "param": param, "code": code}}, status, **headers)


def streamed(*events: Any, cut: int = 7) -> Answer:
    """Events (`{type, …}`) as server-sent ones, in pieces of `cut` bytes."""

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for event in events:
            text = f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode()
            for start in range(0, len(text), cut):
                await response.write(text[start : start + cut])
        return response

    return answer


async def never(request: web.Request) -> web.StreamResponse:
    """No answer at all."""
    await asyncio.Event().wait()
    raise AssertionError


async def broken_off(request: web.Request) -> web.StreamResponse:
    """An answer that ends before it should."""
    response = web.StreamResponse(headers={"Content-Length": "1000", "Content-Type": "application/json"})
    await response.prepare(request)
    await response.write(b'{"data": [')
    assert request.transport is not None
    request.transport.abort()
    return response
