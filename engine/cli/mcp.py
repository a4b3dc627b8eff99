"""`safelight mcp`."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import sys
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from engine.cli import exits
from engine.cli.exits import CliError
from engine.cli.serve import split
from engine.cli.terminal import say
from engine.jobs.lock import FolderLock
from engine.server.options import LOOPBACK, TOKEN_VARIABLE, OptionsError, ServeOptions

if TYPE_CHECKING:
    from engine.cli.app import App
    from engine.mcp_tools.records import Backend
    from engine.mcp_tools.transports import HttpOptions

INSTALL: Final = "safelight mcp needs the package `mcp`: pip install 'safelight[mcp]'."
_PATIENCE: Final = 10.0
"""Seconds that a server which has just taken the folder has to say where it listens."""


def mcp(app: App, options: argparse.Namespace) -> int:
    """Serve the saved workflows as tools until the client closes our input, or, over HTTP, until told to end.

    Raises CliError USAGE when the package is missing, and for options that cannot be used.
    """
    try:
        from engine.mcp_tools import transports
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("mcp", "mcp_types", "uvicorn", "starlette"):
            raise
        raise CliError(exits.USAGE, INSTALL) from error
    from engine.server.run import version

    _log_to_stderr()
    token = options.token or os.environ.get(TOKEN_VARIABLE) or None
    make = _backend(app, options.server, token, options.workflow)
    try:
        if options.http:
            asyncio.run(transports.serve_http(make, version(), _http(app, options, token), say))
        else:
            asyncio.run(transports.serve_stdio(make, version()))
    except OptionsError as error:
        raise CliError(exits.USAGE, str(error)) from error
    return exits.OK


def _backend(app: App, server: str | None, token: str | None, only: Sequence[str]) -> Callable[[], Backend]:
    """How to make what runs the tools: a server that is named, else the one that has the base directory, else this process."""
    url = server or _server_here(app)
    if url is None:
        from engine.mcp_tools.local import LocalBackend

        return lambda: LocalBackend(app, only)
    from engine.mcp_tools.remote import RemoteBackend

    return lambda: RemoteBackend(url, token, only)


def _server_here(app: App) -> str | None:
    """The server that has the user folder, where its queue is: two engines would hold each model twice."""
    lock = FolderLock(app.paths.user, "")
    end = time.monotonic() + _PATIENCE
    while (holder := lock.held()) is not None:
        if holder.url:
            say(f"A server runs on this base directory, at {holder.url}: calls go to it.")
            return holder.url
        if time.monotonic() > end:
            raise CliError(
                exits.USAGE, "A server has this base directory and does not say where it listens. Give --server URL."
            )
        time.sleep(0.05)
    return None


def _http(app: App, options: argparse.Namespace, token: str | None) -> HttpOptions:
    """Where to listen, checked as that of the server is. Raises OptionsError."""
    from engine.mcp_tools.transports import HttpOptions
    from engine.server.token_file import FILE_NAME
    from engine.server.tokens import ensure_token

    told = ServeOptions(
        listen=split(options.listen or [LOOPBACK]),
        port=options.port,
        token=token,
        allowed_hosts=split(options.allow_host),
    )
    needed = ensure_token(told.listen, told.token)
    if needed is not None and token is None:
        say(f"Clients need the header 'Authorization: Bearer {needed}'.")
    return HttpOptions(
        listen=told.listen,
        port=told.port,
        token=needed,
        # a server elsewhere has tokens of its own, and must not be shown those of this base directory
        tokens_file=None if options.server else app.paths.user / FILE_NAME,
        allowed_hosts=told.allowed_hosts,
    )


def _log_to_stderr() -> None:
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(name)s: %(message)s")
