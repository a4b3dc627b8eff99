"""Passing requests for routes of packs on to the worker that has their code."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final, TypeAlias

import aiohttp
from aiohttp import hdrs, web

from engine.server.bodies import body_chunks
from engine.server.limits import Limits
from engine.server.packs import Packs, Place
from engine.server.refusals import Refusal

SECRET_HEADER: Final = "X-Safelight-Worker"
PATIENCE: Final = 300.0
"""Seconds that a route of a pack may take before it answers, and between two parts of its answer."""

log = logging.getLogger("safelight.packs")

_BETWEEN_TWO: Final = frozenset(
    {"connection", "keep-alive", "transfer-encoding", "upgrade", "te", "trailer", "proxy-authorization", "host"}
    | {"content-length", "content-encoding", SECRET_HEADER.lower()}
)
"""Headers of one connection, and those that no longer fit a body that was unpacked on the way."""

_Socket: TypeAlias = web.WebSocketResponse | aiohttp.ClientWebSocketResponse


def pack_routes(packs: Packs, limits: Limits) -> Any:
    """A middleware for requests that no route of the server's own takes."""

    @web.middleware
    async def pass_on(
        request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        if not _is_nobodys(request):
            return await handler(request)
        place = packs.place_of(request.method, request.rel_url.raw_path)
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
    if request.headers.get(hdrs.UPGRADE, "").lower() == "websocket":
        return await _connected(request, url, headers, limits)
    body = _body(request, limits) if request.can_read_body else None
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=PATIENCE, sock_read=PATIENCE)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout, auto_decompress=False) as session,
            session.request(request.method, url, headers=headers, data=body, allow_redirects=False) as answer,
        ):
            return await _passed_back(request, answer)
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise _gone(request, error) from None


def _gone(request: web.Request, error: Exception) -> Refusal:
    message = f"The worker did not answer {request.path[:200]!r}, a route of a node pack: {type(error).__name__}."
    return Refusal(502, "pack_gone", f"{message} Try again in a few seconds.")


async def _connected(
    request: web.Request, url: str, headers: list[tuple[str, str]], limits: Limits
) -> web.StreamResponse:
    """Pass the messages of a websocket on in both directions until one end closes."""
    asked = request.headers.get(hdrs.SEC_WEBSOCKET_PROTOCOL, "")
    protocols = [one.strip() for one in asked.split(",") if one.strip()]
    headers = [(name, value) for name, value in headers if not name.lower().startswith("sec-websocket-")]
    async with aiohttp.ClientSession() as session:
        try:
            far = await session.ws_connect(
                url, headers=headers, protocols=protocols, max_msg_size=limits.max_upload_size, compress=0
            )
        except aiohttp.WSServerHandshakeError as error:
            message = f"The route {request.path[:200]!r} of a node pack opened no websocket."
            raise Refusal(error.status if error.status >= 400 else 502, "no_websocket", message) from None
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise _gone(request, error) from None
        near = web.WebSocketResponse(
            protocols=[far.protocol] if far.protocol else (), max_msg_size=limits.max_upload_size, compress=False
        )
        await near.prepare(request)
        both = [asyncio.ensure_future(_pumped(near, far)), asyncio.ensure_future(_pumped(far, near))]
        try:
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in both:
                one.cancel()
            await asyncio.gather(*both, return_exceptions=True)
            await far.close(code=near.close_code or aiohttp.WSCloseCode.OK)
            await near.close(code=far.close_code or aiohttp.WSCloseCode.OK)
    return near


async def _pumped(source: _Socket, target: _Socket) -> None:
    """Pass the messages of `source` on until it closes."""
    async for message in source:
        if message.type is aiohttp.WSMsgType.TEXT:
            await target.send_str(message.data)
        elif message.type is aiohttp.WSMsgType.BINARY:
            await target.send_bytes(message.data)


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
    try:
        async for chunk in answer.content.iter_any():
            await found.write(chunk)
    except (aiohttp.ClientError, TimeoutError) as error:
        log.warning("a route of a node pack broke off", extra={"path": request.path[:200], "problem": str(error)})
        if request.transport is not None:
            request.transport.abort()  # an end in good order would say that this was all
        return found
    await found.write_eof()
    return found
