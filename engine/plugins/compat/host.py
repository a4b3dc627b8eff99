"""Host: what the shim reaches of the engine. One at a time, as packs know one global server."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine.paths import Paths
from engine.processes import ServerFacts, server_facts

Send = Callable[[str, Any, str | None], None]
"""(event, data, client or None for all) → nothing; called from any thread."""


@dataclass
class Host:
    """What the shim stands on.

    `send` carries messages to clients; `models` gives the model manager where no node is running; `packages` hold the core
    nodes. `root` is where packs believe the core's files to be: they look for `__file__` there and write beside it.
    """

    paths: Paths
    send: Send | None = None
    models: Callable[[], Any] | None = None
    packages: Sequence[str] = ("nodes",)
    root: Path = field(default_factory=Path)
    web_directories: dict[str, str] = field(default_factory=dict)
    """Packs write here: name → folder of files for the editor."""
    client_id: str | None = None
    """Who submitted the job that runs."""
    prompt_id: str | None = None
    loop: asyncio.AbstractEventLoop | None = None
    """The event loop on which packs' routes are answered."""
    device: Callable[[], str] | None = None
    """The device that computes, as torch names it; asked before there are models, as packs do while they are imported."""

    embeds: bool = True
    """Whether files are saved with the workflow inside."""
    server: ServerFacts = field(default_factory=server_facts)
    """The server that this process works for."""

    _idle: asyncio.AbstractEventLoop | None = None

    def __post_init__(self) -> None:
        if self.root == Path():
            self.root = self.paths.base / ".safelight" / "core"
        if self.loop is None and _serving:
            self.loop = _serving[0]

    def any_loop(self) -> asyncio.AbstractEventLoop:
        """`loop`, or one that nobody runs: without a server, what packs begin on it while they are imported waits for ever."""
        if self.loop is not None:
            return self.loop
        if self._idle is None:
            self._idle = asyncio.new_event_loop()
        return self._idle


_current: list[Host] = []
_serving: list[asyncio.AbstractEventLoop] = []


def serve_on(loop: asyncio.AbstractEventLoop) -> None:
    """Let hosts that are made from now on have this loop: packs want one while they are imported."""
    _serving[:] = [loop]


def set_host(host: Host | None) -> None:
    """Make `host` the one in use; None for none."""
    _current[:] = [] if host is None else [host]


def host_or_none() -> Host | None:
    """The host in use, or None before the shim is installed."""
    return _current[0] if _current else None


def the_host() -> Host:
    """The host in use. Raises RuntimeError before the shim is installed."""
    host = host_or_none()
    if host is None:
        raise RuntimeError("The modules of the field are only there in a worker: call install_shim(host) first.")
    return host
