"""Answering the routes that packs declare with `@route`."""

from __future__ import annotations

import asyncio
import importlib
import inspect
from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, Any

from engine.authoring.routes import Route

if TYPE_CHECKING:
    from aiohttp import web


def offer_routes(routes: Iterable[Route]) -> None:
    """Add the routes to those of the one server that packs know; call it once the shim is installed."""
    routes = list(routes)
    if not routes:
        return
    table = importlib.import_module("server").PromptServer.instance.routes
    for one in routes:
        table.route(one.method, one.path)(_answer(one.handler))


def _answer(handler: Callable[[Any], Any]) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    """A handler as aiohttp wants it: it awaits, and gives a response."""

    async def answer(request: web.Request) -> web.StreamResponse:
        from aiohttp import web

        if inspect.iscoroutinefunction(handler):
            given = await handler(request)
        else:
            given = await asyncio.to_thread(handler, request)
        return given if isinstance(given, web.StreamResponse) else web.json_response(given)

    return answer
