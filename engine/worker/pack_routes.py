"""Answering the routes that packs add to the one server that they know."""

from __future__ import annotations

import asyncio
import functools
import hmac
import inspect
import logging
import re
from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from aiohttp import web

SECRET_HEADER: Final = "X-Safelight-Worker"
BEGUN: Final = "safelight_begun"
"""Key of requests whose answer has begun."""

MOST_BODY: Final = 1 << 30
"""Bytes of a request's body: the server has its own, lower limit."""

_log = logging.getLogger("safelight.packs")


async def serve_routes(server: Any, secret: str) -> tuple[int, list[tuple[str, str]]]:
    """Answer the packs' routes, also under `/api`, on a port of this machine; the port, and the routes.

    A route is (method or `*`, regular expression of paths). Only who sends `secret` in SECRET_HEADER is answered.
    """
    from aiohttp import web

    app: web.Application = server.app
    app.middlewares.insert(0, _guarded(secret))
    app._client_max_size = MOST_BODY  # the server's own limit comes before it
    app.on_response_prepare.append(_begin)
    app.on_startup[:] = [_surviving(hook) for hook in app.on_startup]
    _add_routes(app, list(server.routes))
    routes = [found for resource in app.router.resources() for found in _told(resource)]
    if not routes:
        return 0, []
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    return int(runner.addresses[0][1]), routes


async def _begin(request: web.Request, response: web.StreamResponse) -> None:
    """Note that an answer is being sent."""
    request[BEGUN] = True


def _surviving(hook: Callable[[Any], Awaitable[object]]) -> Callable[[Any], Awaitable[object]]:
    """What a pack wants done when its routes begin to be answered; an error in it stops no route."""

    async def start(app: Any) -> None:
        try:
            await hook(app)
        except Exception:
            _log.exception("A pack failed when its routes began to be answered.")

    return start


def _add_routes(app: web.Application, routes: Iterable[Any]) -> None:
    """Add routes one by one, also under `/api`; one that cannot be added (two packs with one path) stops no other."""
    from aiohttp import web

    for route in routes:
        if not isinstance(route, web.RouteDef):
            _added(route, app)
            continue
        handler = _awaiting(route.handler)
        for path in (route.path, f"/api{route.path}"):
            options = route.kwargs if path == route.path else _unnamed(route.kwargs)
            _added(web.RouteDef(route.method, path, handler, options), app)


def _added(route: web.AbstractRouteDef, app: web.Application) -> None:
    try:
        route.register(app.router)
    except Exception as error:
        _log.warning("The route %s of a pack is left out: %s", route, error)


def _unnamed(options: dict[str, Any]) -> dict[str, Any]:
    """The options of a route for one more path: two routes cannot have one name."""
    return {key: value for key, value in options.items() if key != "name"}


def _awaiting(handler: Any) -> Any:
    """A handler as aiohttp wants it; packs have plain functions too, and functions that return coroutines."""
    if inspect.iscoroutinefunction(handler) or inspect.isclass(handler):
        return handler

    @functools.wraps(handler)
    async def answer(request: Any) -> Any:
        given = handler(request)
        return await given if inspect.isawaitable(given) else given

    return answer


def _told(resource: Any) -> list[tuple[str, str]]:
    """(method, regular expression of paths) of each route of a resource."""
    from aiohttp import web

    if isinstance(resource, web.StaticResource):
        return [(method, re.escape(resource.canonical) + "/.*") for method in ("GET", "HEAD")]
    info = resource.get_info()
    if "app" in info:
        return [("*", re.escape(info["prefix"]) + "(/.*)?")]
    pattern = info["pattern"].pattern if "pattern" in info else re.escape(info.get("path", ""))
    return [(route.method, pattern) for route in resource]


def _guarded(secret: str) -> Any:
    """Answer nobody but the server; what a handler raises becomes an answer and is logged."""
    from aiohttp import web

    @web.middleware
    async def guard(request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> Any:
        if not hmac.compare_digest(request.headers.get(SECRET_HEADER, ""), secret):
            return web.Response(status=403)
        try:
            answer: Any = await handler(request)
        except web.HTTPException:
            raise
        except asyncio.CancelledError:
            raise
        except BaseException as error:  # sys.exit() among them
            _log.exception("The route %s %s of a pack failed.", request.method, request.path)
            if BEGUN in request and request.transport is not None:
                request.transport.abort()  # the answer has begun, and cannot become another
            return _problem(f"{type(error).__name__}: {error}")
        if isinstance(answer, web.StreamResponse):
            return answer
        _log.error("The route %s %s of a pack gave no response.", request.method, request.path)
        return _problem(f"The route gave {type(answer).__name__}, not a response of aiohttp.")

    return guard


def _problem(message: str) -> Any:
    from aiohttp import web

    problem = {"type": "pack_failed", "message": message, "details": ""}
    return web.json_response({"error": problem, "node_errors": {}}, status=500)
