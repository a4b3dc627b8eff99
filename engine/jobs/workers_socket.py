"""The socket that workers connect to: private to this user, and closed to whoever does not know a worker's secret."""

from __future__ import annotations

import asyncio
import hmac
import os
import shutil
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from engine.jobs.frames import FrameError, Frames
from engine.jobs.messages import FromWorker, Hello
from engine.jobs.workers_folder import PREFIX, SOCKET, SocketFolder, sweep

HELLO_SECONDS: Final = 5.0
"""Who has not said a true Hello by then is closed."""

MAX_STRANGERS: Final = 64
"""Connections at once that have not said Hello; further ones are closed."""

_MAX_PATH: Final = 100
"""Bytes of the longest path of a Unix socket that every system takes."""


class Connection:
    """A connection to the pool's socket: a stranger until its Hello was accepted, then a worker's."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._timer: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()
        self.on_message: Callable[[Any], None] | None = None
        self.on_closed: Callable[[Exception | None], None] | None = None
        self.frames = Frames(FromWorker, self._message, self._closed, on_connected=self._connected)

    def _connected(self, frames: Frames) -> None:
        if len(self._listener.strangers) >= MAX_STRANGERS:
            frames.abort()
            return
        self._listener.strangers.add(self)
        self._timer = self._loop.call_later(HELLO_SECONDS, frames.abort)

    def _message(self, message: Any) -> None:
        if self.on_message is not None:
            self.on_message(message)
        elif type(message) is Hello and self._listener.accept(message, self):
            self._known()
        else:
            self.frames.abort(FrameError("The first message was no true Hello."))

    def _known(self) -> None:
        self._listener.strangers.discard(self)
        if self._timer is not None:
            self._timer.cancel()

    def _closed(self, error: Exception | None) -> None:
        self._known()
        if self.on_closed is not None:
            self.on_closed(error)


class Listener:
    """A Unix socket in a private folder where the system has them, else a port of 127.0.0.1.

    `accept` decides about a Hello; when it is true, it sets `on_message` and `on_closed` of the connection.
    """

    def __init__(self, accept: Callable[[Hello, Connection], bool]) -> None:
        self.accept = accept
        self.address = ""
        """`unix:PATH` or `tcp:HOST:PORT`, for `connect`."""
        self.strangers: set[Connection] = set()
        self._folder: SocketFolder | None = None
        self._server: asyncio.AbstractServer | None = None
        self._sweeping: asyncio.Future[int] | None = None

    async def start(self) -> None:
        """Listen. Raises OSError."""
        loop = asyncio.get_running_loop()
        path = self._path()
        if path is not None:
            self._sweeping = loop.run_in_executor(None, sweep)
            self._server = await loop.create_unix_server(self._protocol, path)
            self.address = f"unix:{path}"
            return
        server = await loop.create_server(self._protocol, "127.0.0.1", 0)
        self._server = server
        host, port = server.sockets[0].getsockname()[:2]
        self.address = f"tcp:{host}:{port}"

    async def stop(self) -> None:
        """Close the socket and whoever is still a stranger."""
        if self._server is not None:
            self._server.close()
        for stranger in list(self.strangers):
            stranger.frames.abort()
        if self._folder is not None:
            await asyncio.to_thread(self._folder.remove)

    def _path(self) -> str | None:
        if not hasattr(socket, "AF_UNIX"):
            return None
        self._folder = SocketFolder()
        path = str(self._folder.path / SOCKET)
        return path if len(os.fsencode(path)) <= _MAX_PATH else None

    def _protocol(self) -> Frames:
        return Connection(self).frames


def same_secret(given: str, expected: str) -> bool:
    """Whether two secrets are equal, in a time that does not tell how much of them is."""
    return hmac.compare_digest(given.encode("utf-8", "replace"), expected.encode())


def clear(address: str) -> None:
    """Remove what a server that was killed left behind of its socket."""
    kind, _, path = address.partition(":")
    if kind == "unix" and Path(path).parent.name.startswith(PREFIX):
        shutil.rmtree(Path(path).parent, ignore_errors=True)


async def connect(address: str, make: Callable[[], Frames]) -> Frames:
    """Connect to what `Listener.address` says. Raises OSError, and ValueError for what is no such address."""
    loop = asyncio.get_running_loop()
    kind, _, rest = address.partition(":")
    if kind == "unix":
        _, frames = await loop.create_unix_connection(make, rest)
        return frames
    host, _, port = rest.rpartition(":")
    if kind != "tcp" or not port.isdecimal():
        raise ValueError(f"{address!r} is no address of a server; expected unix:PATH or tcp:HOST:PORT.")
    _, frames = await loop.create_connection(make, host, int(port))
    return frames
