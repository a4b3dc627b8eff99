"""How clients reach the tools: over the standard streams of this process, or over HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any, Final

import msgspec
import uvicorn
from mcp.server.stdio import stdio_server
from mcp.server.transport_security import TransportSecuritySettings

from engine.mcp_tools.guard import Guard
from engine.mcp_tools.input import own_input, told_to_end
from engine.mcp_tools.protocol import ToolServer
from engine.mcp_tools.records import Backend
from engine.server.binding import bind, url_of

PATH: Final = "/mcp"
MOST_BODY: Final = 140 * 1024 * 1024
"""Bytes of a request: a file of 100 MiB as a data URL."""

_GRACE: Final = 5
"""Seconds that answers under way have when the process is told to end."""


class HttpOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Where to listen, and who may call."""

    listen: tuple[str, ...]
    port: int
    token: str | None
    tokens_file: Path | None
    """Where named tokens are, if they are taken and there are any."""
    allowed_hosts: tuple[str, ...] = ()


async def serve_stdio(make: Callable[[], Backend], version: str) -> None:
    """Serve the process that started this one, until it closes our standard input, or we are told to end.

    Nothing else may get into standard output. So the package turns descriptor 1 to stderr, and what Python prints goes there too;
    and only then is the backend made, which imports node packs.
    """
    with own_input() as (lines, end), told_to_end(end):
        async with stdio_server(stdin=lines) as (incoming, outgoing):
            with contextlib.redirect_stdout(sys.stderr):
                backend = make()
                server = ToolServer(backend, version)
                async with _watched(server, backend):
                    await server.run(incoming, outgoing, server.create_initialization_options())


async def serve_http(
    make: Callable[[], Backend], version: str, options: HttpOptions, say: Callable[[str], None]
) -> None:
    """Serve over streamable HTTP at PATH until told to end. Raises OptionsError for an address that cannot be used."""
    sockets = bind(options.listen, options.port)
    with contextlib.redirect_stdout(sys.stderr):
        backend = make()
        server = ToolServer(backend, version)
        ours = TransportSecuritySettings(enable_dns_rebinding_protection=False)  # the guard does that
        app: Any = server.streamable_http_app(
            streamable_http_path=PATH, max_request_body_size=MOST_BODY, transport_security=ours
        )
        guarded = Guard(app, options.listen, options.allowed_hosts, options.token, options.tokens_file)
        config = uvicorn.Config(
            guarded,
            log_config=None,
            access_log=False,
            lifespan="on",
            timeout_graceful_shutdown=_GRACE,
            server_header=False,
        )
        logging.getLogger("uvicorn").setLevel(logging.WARNING)
        http = _Server(config)
        with told_to_end(http.end):
            say(f"Tools at {url_of(sockets, options.listen)}{PATH}")
            async with _watched(server, backend):
                await http.serve(sockets=sockets)


class _Server(uvicorn.Server):
    """One that leaves signals to us: raised again at its end, they would look like an interrupted command."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    def end(self) -> None:
        self.should_exit = True


@contextlib.asynccontextmanager
async def _watched(server: ToolServer, backend: Backend) -> AsyncIterator[None]:
    watching = asyncio.create_task(server.watch())
    try:
        yield
    finally:
        watching.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watching
        await backend.close()
