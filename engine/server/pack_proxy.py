"""Passing requests for routes of packs on to the worker that has their code."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final

import aiohttp
from aiohttp import web

from engine.server.bodies import body_chunks
from engine.server.limits import Limits
from engine.server.packs import Packs, Place
from engine.server.refusals import Refusal

SECRET_HEADER: Final = "X-Safelight-Worker"
PATIENCE: Final = 300.0
"""Seconds that a route of a pack may take."""

_BETWEEN_TWO: Final = frozenset(
    {"connection", "keep-alive", "transfer-encoding", "upgrade", "te", "trailer", "proxy-authorization", "host"}
    | {"content-length", "content-encoding", SECRET_HEADER.lower()}
)
"""Headers of one connection, and those that no longer fit a body that was unpacked on the way."""

_CHUNK: Final = 1 << 16


def pack_routes(packs: Packs, limits: Limits) -> Any:
    """A middleware for requests that no route of the server's own takes."""

    @web.middleware
    async def pass_on(
        request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        if not _is_nobodys(request):
            return await handler(request)
        place = packs.place_of(request.method, request.path)
        return await handler(request) if place is None else await _asked(request, place, limits)

    return pass_on


def _is_nobodys(request: web.Request) -> bool:
    """Whether no route takes the request, or only the one that takes every path."""
    info = request.match_info
    if info.http_exception is not None:
        return True
    resource = info.route.resource
    return resource is not None and resource.canonical == "/{file}"


async def _asked(request: web.Request, place: Place, limits: Limits) -> web.StreamResponse:
    url = f"http://127.0.0.1:{place.port}{request.rel_url}"
    headers = [(name, value) for name, value in request.headers.items() if name.lower() not in _BETWEEN_TWO]
    headers.append((SECRET_HEADER, place.secret))
    body = _body(request, limits) if request.can_read_body else None
    timeout = aiohttp.ClientTimeout(total=PATIENCE)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout, auto_decompress=False) as session,
            session.request(request.method, url, headers=headers, data=body, allow_redirects=False) as answer,
        ):
            return await _passed_back(request, answer)
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        message = f"The worker did not answer {request.path[:200]!r}, a route of a node pack: {type(error).__name__}."
        raise Refusal(502, "pack_gone", f"{message} Try again in a few seconds.") from None


async def _body(request: web.Request, limits: Limits) -> AsyncIterator[bytes]:
    async for chunk in body_chunks(request, limits.max_upload_size):
        yield chunk


async def _passed_back(request: web.Request, answer: aiohttp.ClientResponse) -> web.StreamResponse:
    skipped = _BETWEEN_TWO - {"content-encoding"}
    found = web.StreamResponse(status=answer.status, reason=answer.reason)
    for name, value in answer.headers.items():
        if name.lower() not in skipped:
            found.headers.add(name, value)
    await found.prepare(request)
    async for chunk in answer.content.iter_chunked(_CHUNK):
        await found.write(chunk)
    await found.write_eof()
    return found
