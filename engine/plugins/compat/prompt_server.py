"""`server`: the one server that packs reach for: routes they add, messages they send, prompts they want to see first."""

from __future__ import annotations

import asyncio
import io
import logging
import uuid
from collections.abc import Callable
from typing import Any, ClassVar

from aiohttp import web

from engine.plugins.compat.host import host_or_none, the_host
from engine.plugins.compat.running import current_context

__all__ = ["BinaryEventTypes", "PromptServer", "uuid", "web"]

_log = logging.getLogger("safelight.packs")


class BinaryEventTypes:
    """Numbers of the websocket's binary frames."""

    PREVIEW_IMAGE = 1
    UNENCODED_PREVIEW_IMAGE = 2
    TEXT = 3
    PREVIEW_IMAGE_WITH_METADATA = 4


class _Queue:
    """What packs ask of the queue: it is the server's, and a worker sees none of it."""

    currently_running: ClassVar[dict[int, Any]] = {}
    queue: ClassVar[list[Any]] = []
    history: ClassVar[dict[str, Any]] = {}

    def get_tasks_remaining(self) -> int:
        """How many jobs are there."""
        return 0

    def get_current_queue(self) -> tuple[list[Any], list[Any]]:
        """What runs and what waits."""
        return [], []

    def get_history(self, prompt_id: str | None = None, **kwargs: Any) -> dict[str, Any]:
        """What ran."""
        return {}

    def set_flag(self, name: str, data: Any) -> None:
        """Wishes such as `unload_models`; not heeded from here."""


class PromptServer:
    """Packs add routes to `routes` or `app` while they load; the engine's own server answers them through this worker."""

    instance: ClassVar[PromptServer]

    def __init__(self) -> None:
        self.routes = web.RouteTableDef()
        self.app = web.Application()
        self.supports: list[str] = ["custom_nodes_from_web"]
        self.on_prompt_handlers: list[Callable[[dict[str, Any]], dict[str, Any]]] = []
        self.number = 0
        self.prompt_queue = _Queue()
        self.sockets: dict[str, Any] = {}
        self.sockets_metadata: dict[str, Any] = {}
        self.user_manager = None
        self.web_root = ""
        server = the_host().server
        self.port = server.port
        self.address = server.address
        self._last_node_id: str | None = None

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The event loop on which routes are answered, else the running one, else one that nobody runs.

        Raises RuntimeError before the shim is installed.
        """
        host = the_host()
        if host.loop is None:
            try:
                return asyncio.get_running_loop()
            except RuntimeError:
                pass
        return host.any_loop()

    @property
    def client_id(self) -> str | None:
        """Who submitted the job that runs."""
        host = host_or_none()
        return host.client_id if host is not None else None

    @client_id.setter
    def client_id(self, client_id: str | None) -> None:
        host = host_or_none()
        if host is not None:
            host.client_id = client_id

    @property
    def last_prompt_id(self) -> str | None:
        """The job that runs."""
        host = host_or_none()
        return host.prompt_id if host is not None else None

    @property
    def last_node_id(self) -> str | None:
        """The node that runs."""
        ctx = current_context()
        return ctx.node_id if ctx is not None else self._last_node_id

    @last_node_id.setter
    def last_node_id(self, node_id: str | None) -> None:
        self._last_node_id = node_id

    def add_routes(self) -> None:
        """There to be wrapped."""

    def add_on_prompt_handler(self, handler: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
        """Let `handler(json)` see and change what is posted to /prompt before it is checked."""
        self.on_prompt_handlers.append(handler)

    def trigger_on_prompt(self, json_data: dict[str, Any]) -> dict[str, Any]:
        """What the handlers made of it; one that fails is reported and left out."""
        for handler in self.on_prompt_handlers:
            try:
                changed = handler(json_data)
            except (Exception, SystemExit):
                _log.exception("A handler of prompts failed (%s).", getattr(handler, "__module__", "?"))
                continue
            if isinstance(changed, dict):
                json_data = changed
        return json_data

    def send_sync(self, event: Any, data: Any, sid: str | None = None) -> None:
        """Send a message of any name to one client, or to all; from any thread.

        A picture to look at is (format, PIL image, longest side or None), with the number of unencoded previews.
        """
        if event == BinaryEventTypes.UNENCODED_PREVIEW_IMAGE and isinstance(data, tuple | list):
            event, data = BinaryEventTypes.PREVIEW_IMAGE, _encoded_preview(*data)
        host = host_or_none()
        if host is not None and host.send is not None:
            host.send(event, data, sid)

    async def send(self, event: Any, data: Any, sid: str | None = None) -> None:
        """As send_sync."""
        self.send_sync(event, data, sid)

    async def send_json(self, event: str, data: Any, sid: str | None = None) -> None:
        """As send_sync."""
        self.send_sync(event, data, sid)

    async def send_bytes(self, event: int, data: Any, sid: str | None = None) -> None:
        """Send a binary frame."""
        self.send_sync(event, bytes(data), sid)

    def send_progress_text(self, text: str | bytes, node_id: str, sid: str | None = None) -> None:
        """Show a text on a node."""
        message = text.encode() if isinstance(text, str) else bytes(text)
        head = str(node_id).encode()
        self.send_sync(BinaryEventTypes.TEXT, len(head).to_bytes(4, "big") + head + message, sid or self.client_id)

    def queue_updated(self) -> None:
        """Tell clients of the queue; the server does by itself."""

    def get_queue_info(self) -> dict[str, Any]:
        """How many jobs there are."""
        return {"exec_info": {"queue_remaining": 0}}


def _encoded_preview(kind: str, picture: Any, longest: int | None = None) -> bytes:
    """A preview as clients read it: u32 (1 JPEG, 2 PNG) and the file."""
    if longest is not None:
        picture = picture.copy()
        picture.thumbnail((longest, longest))
    buffer = io.BytesIO()
    is_png = str(kind).upper() == "PNG"
    (picture if is_png else picture.convert("RGB")).save(buffer, "PNG" if is_png else "JPEG", quality=95)
    return (2 if is_png else 1).to_bytes(4, "big") + buffer.getvalue()


PromptServer.__module__ = "server"
PromptServer.instance = PromptServer()
