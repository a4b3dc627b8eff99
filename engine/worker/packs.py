"""What packs do beside their nodes: routes of their own, messages to clients, a word in what is posted."""

from __future__ import annotations

import asyncio
import logging
import secrets
import sys
import time
from collections.abc import Callable
from typing import Any, Final

import msgspec

from engine.graph.offers import BUILT_IN, offer
from engine.jobs.messages import FromWorker, PackMessage, PacksOpened, RunJob
from engine.plugins.compat.added_names import added_names, bring
from engine.plugins.compat.effects import changed_folders
from engine.plugins.compat.host import Host, host_or_none
from engine.plugins.replaced import MOST_USED, Replaced
from engine.worker.events import JobSink
from engine.worker.pack_answers import offer_routes
from engine.worker.pack_routes import serve_routes
from engine.worker.parts import Engine
from engine.worker.plain import encoded_json

MOST_MESSAGE: Final = 64 * 1024 * 1024
"""Bytes of a message to clients."""

LOOK_AGAIN_SECONDS: Final = 1.0
"""Libraries are looked at after each job, and before one that comes later than this: threads of packs go on meanwhile."""

_log = logging.getLogger("safelight.packs")


class OpenPacks:
    """The packs of this process, imported. Belongs to the event loop."""

    def __init__(self, engine: Engine, send: Callable[[FromWorker], None], loop: asyncio.AbstractEventLoop) -> None:
        self._engine = engine
        self._send = send
        self._loop = loop
        self._sink: JobSink | None = None
        self._standing: Replaced | None = None
        """The libraries as they are before jobs run."""
        self._looked = 0.0
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
            found.folders = changed_folders()
            self._engine.paths.add_folders(found.folders)
            found.names = self._offered()
            found.problems = [(one.pack, one.message) for one in self._engine.library.problems[before:]]
        except Exception:
            _log.exception("The packs could not be opened.")
        self._tell_report()
        self.opened.set()
        self._send(found)

    def job_begins(self, message: RunJob, sink: JobSink) -> None:
        """Let packs know whose job runs. What they say goes to clients among its events, in their order."""
        self._sink = sink
        if self._standing is None or time.monotonic() - self._looked > LOOK_AGAIN_SECONDS:
            self._put_back()
        host = host_or_none()
        if host is not None:
            host.client_id, host.prompt_id = message.client_id, message.job

    def job_ended(self) -> None:
        """Put back what its nodes replaced. Called once its end is told, while the server looks for the next one."""
        if self._standing is not None:
            self._put_back()

    def _put_back(self) -> None:
        """Undo what nodes of packs in earlier jobs replaced of the libraries that all nodes use."""
        self._looked = time.monotonic()
        if self._standing is not None:
            for name, pack in self._standing.put_back().items():
                _log.warning(
                    "A node of the pack %s replaced %s, which all nodes use; what was there is back.", pack, name
                )
        elif self._engine.library.foreign and "torch" in sys.modules:
            self._standing = Replaced(MOST_USED)

    def _open_all(self) -> None:
        if self._engine.library.foreign:
            self._engine.library.open_packs()
            offer_routes(self._engine.library.routes.values())

    def _offered(self) -> dict[str, list[str]]:
        """The samplers and schedules that packs brought, now choices of the built-in nodes."""
        found = added_names()
        if found:
            bring(found)
            offer(self._engine.library.catalogue, found, BUILT_IN)
        return found

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
        web |= _copied_files(host) if host is not None else {}
        server = _prompt_server()
        if server is None:
            return PacksOpened(web=web)
        secret = secrets.token_urlsafe(24)
        port, routes = await serve_routes(server, secret)
        return PacksOpened(
            port=port, secret=secret, routes=routes, hears_prompts=bool(server.on_prompt_handlers), web=web
        )

    def _say(self, event: Any, data: Any, client_id: str | None = None) -> None:
        """Send a message to a client, or to all; from any thread."""
        if isinstance(event, int) and isinstance(data, bytes | bytearray | memoryview):
            message = PackMessage("", bytes(data), client_id, int(event))
        else:
            message = PackMessage(str(event), encoded_json(data), client_id)
        if len(message.data) > MOST_MESSAGE:
            raise ValueError(
                f"The message {event!r} has {len(message.data)} bytes; at most {MOST_MESSAGE} can be sent."
            )
        if self._sink is not None:
            self._sink.pass_on(message)
        else:
            self._loop.call_soon_threadsafe(self._send, message)


def _copied_files(host: Host) -> dict[str, str]:
    """Folders of files for the editor that packs have put where they take the core's own to be."""
    try:
        return {path.name: str(path) for path in (host.root / "web" / "extensions").iterdir() if path.is_dir()}
    except OSError:
        return {}


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
