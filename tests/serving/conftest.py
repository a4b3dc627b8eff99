"""Real server processes with real workers, on folders of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.harness import Server, new_base, served, until
from tests.serving.calling import Receiver, give_workflows, receiving, webhook_settings

PACK = '''
"""Nodes that are quick, slow, harmful, or wait to be let go, and tell a file when they run."""

import asyncio
import contextlib
import os
import signal
import sqlite3
import sys
import time

from engine.api import Context, WithUi, node


def _on_disk() -> int:
    """How many results are in the cache of the base directory."""
    folder = os.path.join(os.path.dirname(os.environ["TEST_NOTES"]), ".safelight", "cache")
    with contextlib.closing(sqlite3.connect(os.path.join(folder, "cache.sqlite"), timeout=60)) as found:
        return found.execute("SELECT count(*) FROM actions").fetchone()[0]


def _note(what: str) -> None:
    with open(os.environ["TEST_NOTES"], "a") as file:
        file.write(f"{what}\\n")


@node("TestStep")
def step(ctx: Context, value: int, seconds: float | None = 0.0, name: str | None = "") -> int:
    """`value` plus one, after `seconds`."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        ctx.check_cancelled()
        time.sleep(0.005)
    if name:
        _note(name)
    return value + 1


@node("TestHold", cache=False)
def hold(ctx: Context, value: int, sign: str, name: str | None = "") -> int:
    """`value`, once the file `sign` is there."""
    if name:
        _note(name)
    while not os.path.exists(sign):
        ctx.check_cancelled()
        time.sleep(0.005)
    return value


@node("TestDeaf")
def deaf(value: int, seconds: float | None = 60.0) -> int:
    """Heeds no cancel."""
    _note("deaf")
    time.sleep(seconds)
    return value


@node("TestDie")
async def die(value: int, how: str | None = "kill", once: str | None = "", kept: int | None = 0) -> int:
    """Ends its process, once `kept` results are on the disk; with a file name in `once` only while there is no such file."""
    while _on_disk() < kept:
        await asyncio.sleep(0.01)
    if once:
        try:
            os.close(os.open(once, os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return value
    await asyncio.sleep(0.1)  # on the loop that tells of events: that it began is told before this is over
    if how == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    os._exit(7)


@node("TestExit")
def leave(value: int) -> int:
    """Ends its thread."""
    sys.exit(3)


@node("TestLoud")
def loud(value: int, megabytes: int | None = 20, sign: str | None = "") -> int:
    """Prints a lot, and goes on until the file `sign` is there, if one is named."""
    for _ in range(megabytes * 16):
        sys.stdout.write("x" * 65_536)
    while sign and not os.path.exists(sign):
        sys.stdout.write("x" * 65_536)
    sys.stdout.write("\\nquiet again\\n")
    return value


@node("TestFail")
def fail(value: int, message: str | None = "It went wrong.") -> int:
    """Fails."""
    raise ValueError(message)


@node("TestShow", output=True)
def show(value: int, name: str | None = "") -> WithUi[None]:
    """Show a number."""
    return WithUi(ui={"text": [str(value)], "name": [name]})
'''


@pytest.fixture
def wait() -> Callable[..., Any]:
    return until


def give_pack(base: Path) -> Path:
    """The test's nodes in a base directory."""
    (base / "custom_nodes").mkdir()
    (base / "custom_nodes" / "test_pack.py").write_text(PACK)
    return base


@pytest.fixture
def base(tmp_path: Path, core_catalogue: Path) -> Path:
    """A base directory with the test's nodes."""
    return give_pack(new_base(tmp_path / "base", core_catalogue))


@pytest.fixture
def serve(base: Path) -> Iterator[Callable[..., Server]]:
    """`serve(*options)`: a server that listens. All of them, and their workers, are gone after the test."""
    servers: list[Server] = []

    def start(*options: str, wait: bool = True, **more: Any) -> Server:
        server = Server(base, *options, **more)
        servers.append(server)
        return server.wait_until_listening() if wait else server

    yield start
    for server in servers:
        server.wipe_out()


@pytest.fixture(scope="session")
def shared_server(tmp_path_factory: pytest.TempPathFactory, core_catalogue: Path) -> Iterator[Server]:
    with served(give_pack(new_base(tmp_path_factory.mktemp("serving"), core_catalogue))) as found:
        yield found


@pytest.fixture
def server(shared_server: Server) -> Iterator[Server]:
    """A server that listens, shared by the tests that neither end it nor its worker; no node has noted anything yet."""
    shared_server.notes.unlink(missing_ok=True)
    yield shared_server
    shared_server.ask("POST", "/queue", {"clear": True})
    shared_server.ask("POST", "/interrupt")
    shared_server.ask("POST", "/api/v1/queue/resume")
    until(lambda: not shared_server.get("/prompt")["exec_info"]["queue_remaining"], "jobs to end", shared_server.log)


@pytest.fixture(scope="session")
def receiver() -> Iterator[Receiver]:
    """What webhooks come to."""
    with receiving() as found:
        yield found


@pytest.fixture(scope="session")
def calls_server(
    tmp_path_factory: pytest.TempPathFactory, core_catalogue: Path, receiver: Receiver
) -> Iterator[Server]:
    base = new_base(tmp_path_factory.mktemp("calls"), core_catalogue, webhook_settings(receiver))
    with served(give_workflows(give_pack(base))) as found:
        yield found


@pytest.fixture
def called(calls_server: Server) -> Iterator[Server]:
    """A server with the workflows of `tests.serving.calling`; no node has noted anything yet."""
    calls_server.notes.unlink(missing_ok=True)
    yield calls_server
    calls_server.ask("POST", "/queue", {"clear": True})
    calls_server.ask("POST", "/interrupt")
    until(lambda: not calls_server.get("/prompt")["exec_info"]["queue_remaining"], "jobs to end", calls_server.log)


@pytest.fixture
def sign(tmp_path: Path) -> Iterator[Path]:
    """A file that lets go what is held; at the end it is there."""
    path = tmp_path / "sign"
    yield path
    path.touch()
