"""What packs do beside their nodes: routes of their own, messages to clients, a word in what is posted."""

from __future__ import annotations

import asyncio
import hmac
import logging
import re
import secrets
import sys
from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, Any, Final

import msgspec

from engine.jobs.messages import FromWorker, PackMessage, PacksOpened, RunJob
from engine.plugins.compat.host import Host, host_or_none
from engine.worker.parts import Engine
from engine.worker.plain import encoded_json

if TYPE_CHECKING:
    from aiohttp import web

SECRET_HEADER: Final = "X-Safelight-Worker"
MOST_BODY: Final = 1 << 30
"""Bytes of a request's body: the server has its own, lower limit."""

_log = logging.getLogger("safelight.packs")


class OpenPacks:
    """The packs of this process, imported. Belongs to the event loop."""

    def __init__(self, engine: Engine, send: Callable[[FromWorker], None], loop: asyncio.AbstractEventLoop) -> None:
        self._engine = engine
        self._send = send
        self._loop = loop
        self.opened = asyncio.Event()

    async def open(self) -> None:
        """Import the packs and tell the server what they bring; never raises."""
        found = PacksOpened()
        try:
            before = len(self._engine.library.problems)
            host = host_or_none()
            if host is not None:
                self._connect(host)
            await asyncio.to_thread(self._open_all)
            found = await self._surface()
            found.problems = [(one.pack, one.message) for one in self._engine.library.problems[before:]]
        except Exception:
            _log.exception("The packs could not be opened.")
        self._tell_report()
        self.opened.set()
        self._send(found)

    def job_begins(self, message: RunJob) -> None:
        """Let packs know whose job runs."""
        host = host_or_none()
        if host is not None:
            host.client_id, host.prompt_id = message.client_id, message.job

    def _open_all(self) -> None:
        if self._engine.library.foreign:
            self._engine.library.open_packs()

    def _tell_report(self) -> None:
        for record in self._engine.library.foreign:
            state = f"failed: {record.error}" if record.error else f"{len(record.specs)} nodes"
            _log.info("Pack %s: %s, %.2f s.", record.pack, state, record.seconds)

    def _connect(self, host: Host) -> None:
        host.send = self._say
        host.loop = self._loop
        host.models = lambda: self._engine.executor.services.models

    async def _surface(self) -> PacksOpened:
        host = host_or_none()
        if host is not None:
            self._connect(host)
        web = {record.pack: record.web for record in self._engine.library.foreign if record.web and not record.error}
        named = getattr(sys.modules.get("nodes"), "EXTENSION_WEB_DIRS", {}) if host is not None else {}
        web |= {str(name): str(folder) for name, folder in dict(named).items()}
        server = _prompt_server()
        if server is None:
            return PacksOpened(web=web)
        secret = secrets.token_urlsafe(24)
        port, routes = await _serve(server, secret)
        return PacksOpened(
            port=port, secret=secret, routes=routes, hears_prompts=bool(server.on_prompt_handlers), web=web
        )

    def _say(self, event: Any, data: Any, client_id: str | None = None) -> None:
        """Send a message to a client, or to all; from any thread."""
        if isinstance(event, int) and isinstance(data, bytes | bytearray):
            message = PackMessage("", bytes(data), client_id, int(event))
        else:
            message = PackMessage(str(event), encoded_json(data), client_id)
        self._loop.call_soon_threadsafe(self._send, message)


def heard_prompt(posted: bytes | None) -> dict[str, Any] | None:
    """What packs make of what was posted; None when none of them wants to see it."""
    server = _prompt_server()
    if posted is None or server is None or not server.on_prompt_handlers:
        return None
    data = msgspec.json.decode(posted)
    try:
        changed = server.trigger_on_prompt(data)
    except Exception:
        _log.exception("A pack failed to handle a posted prompt.")
        return None
    return changed if isinstance(changed, dict) else None


def _prompt_server() -> Any:
    """The server as packs know it, if any of them has asked for it."""
    module = sys.modules.get("server")
    return getattr(getattr(module, "PromptServer", None), "instance", None) if host_or_none() is not None else None


async def _serve(server: Any, secret: str) -> tuple[int, list[tuple[str, str]]]:
    """Answer the packs' routes, also under `/api`, on a port of this machine; the port, and the routes."""
    from aiohttp import web

    app: web.Application = server.app
    app.middlewares.append(_guarded(secret))
    app._client_max_size = MOST_BODY  # the server's own limit comes before it
    _add_routes(app, list(server.routes))
    routes = [found for resource in app.router.resources() for found in _told(resource)]
    if not routes:
        return 0, []
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    return int(runner.addresses[0][1]), routes


def _add_routes(app: web.Application, routes: Iterable[Any]) -> None:
    """Add routes one by one, also under `/api`; one that cannot be added (two packs with one path) stops no other."""
    from aiohttp import web

    for route in routes:
        try:
            route.register(app.router)
            if isinstance(route, web.RouteDef):
                app.router.add_route(route.method, f"/api{route.path}", route.handler, **route.kwargs)
        except Exception as error:
            _log.warning("The route %s of a pack is left out: %s", route, error)


def _told(resource: Any) -> list[tuple[str, str]]:
    """(method, regular expression of paths) of each route of a resource."""
    from aiohttp import web

    if isinstance(resource, web.StaticResource):
        return [("GET", re.escape(resource.canonical) + "/.*")]
    info = resource.get_info()
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
            return await handler(request)
        except web.HTTPException:
            raise
        except asyncio.CancelledError:
            raise
        except BaseException as error:  # sys.exit() among them
            _log.exception("The route %s %s of a pack failed.", request.method, request.path)
            problem = {"type": "pack_failed", "message": f"{type(error).__name__}: {error}", "details": ""}
            return web.json_response({"error": problem, "node_errors": {}}, status=500)

    return guard
