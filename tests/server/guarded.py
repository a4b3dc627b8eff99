"""Requests to a server that is all guards: routes that answer little, and what comes back of one request."""

from __future__ import annotations

import asyncio

import aiohttp
from aiohttp import web

from engine.server.bodies import read_body
from engine.server.guards import Policy
from engine.server.refusals import Refusal, json_response
from engine.server.routing import Route
from tests.harness import PATIENCE

SECRET = "correct-horse-battery"
EXPOSED = Policy(listen=("0.0.0.0",), token=SECRET)


async def ok(request: web.Request) -> web.Response:
    return json_response({"ok": True})


async def _read(request: web.Request) -> web.Response:
    return json_response({"length": len(await read_body(request))})


async def _broken(request: web.Request) -> web.Response:
    raise KeyError("an error of our own, with /secret/paths in it")


async def _refuses(request: web.Request) -> web.Response:
    raise Refusal(409, "exists", f"{request.query.get('name', '')} is there already")


async def _slow(request: web.Request) -> web.Response:
    raise TimeoutError


async def _framed(request: web.Request) -> web.Response:
    return web.Response(text="x", headers={"Content-Security-Policy": "sandbox"})


async def _socket(request: web.Request) -> web.WebSocketResponse:
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    await socket.send_str("hello")
    await socket.close()
    return socket


async def _half(request: web.Request) -> web.StreamResponse:
    answer = web.StreamResponse()
    await answer.prepare(request)
    await answer.write(b"begun")
    raise ValueError("in the middle")


async def _left(request: web.Request) -> web.Response:
    assert request.transport is not None
    request.transport.close()
    raise ConnectionResetError("the client has gone")


def route(path, handler, method="GET"):
    return Route(method=method, path=path, handler=handler, summary="", tag="")


ROUTES = [
    route("/", ok),
    route("/view", ok),
    route("/health", ok),
    route("/prompt", _read, "POST"),
    route("/ws", _socket),
    route("/broken", _broken),
    route("/refuses", _refuses),
    route("/slow", _slow),
    route("/framed", _framed),
    route("/half", _half),
    route("/left", _left),
]


def ask(guarded, method, path, policy=None, limits=None, **request):
    """Status, headers and JSON (or None) of one request."""

    async def asked():
        async with (
            guarded(ROUTES, policy, limits) as client,
            client.request(method, path, allow_redirects=False, **request) as answer,
        ):
            value = await answer.json() if answer.content_type == "application/json" else None
            return answer.status, answer.headers, value

    return asyncio.run(asked())


def problem(guarded, method, path, policy=None, **request):
    """Status and type of the refusal of one request."""
    status, _, value = ask(guarded, method, path, policy, **request)
    return status, value["error"]["type"] if "error" in value else None


def raw(guarded, request: bytes, policy=None) -> bytes:
    """All that the server answers to these bytes."""

    async def sent():
        async with guarded(ROUTES, policy) as client:
            reader, writer = await asyncio.open_connection(client.host, client.port)
            writer.write(request)
            answer = await asyncio.wait_for(reader.read(), PATIENCE)
            writer.close()
            return answer

    return asyncio.run(sent())


def socket_status(guarded, policy=None, path="/ws", headers=None) -> int:
    async def opened():
        async with guarded(ROUTES, policy) as client:
            try:
                async with client.ws_connect(path, headers=headers) as socket:
                    assert await socket.receive_str() == "hello"
                    return 101
            except aiohttp.WSServerHandshakeError as error:
                return error.status

    return asyncio.run(opened())
