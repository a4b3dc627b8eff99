"""What the server benchmarks share: a server process on a folder of its own, and a client that costs little beside it.

The client uses prebuilt requests over raw sockets, since it has the same cores as the server that is measured.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Final, TypeVar

import aiohttp
import psutil

T = TypeVar("T")

ROOT: Final = Path(__file__).resolve().parent.parent
PATIENCE: Final = 60.0
"""Seconds after which something that should have happened is called an error."""

PACK: Final = '''
"""Trivial nodes for benchmarks."""

from engine.api import WithUi, node


@node("BenchIncrement")
def increment(value: int, salt: int = 0) -> int:
    """`value` plus one."""
    return value + 1


@node("BenchShow", output=True)
def show(value: int, salt: int = 0) -> None:
    """Show a number."""
    return WithUi(ui={"text": [str(value)]})
'''


class Server:
    """A running `safelight serve` on a free port of this machine, from the code in the folder `checkout`."""

    def __init__(self, base: Path, *options: str, checkout: Path = ROOT) -> None:
        self.base = base
        self.port = free_port()
        self.started = time.perf_counter()
        command = [sys.executable, "-m", "engine", "serve", "--base-directory", str(base), "--port", str(self.port)]
        environment = {**os.environ, "PYTHONPATH": str(checkout), "OMP_NUM_THREADS": "1"}
        self.log = (base / "server.log").open("ab")
        self.process = subprocess.Popen(
            [*command, "--cpu", "--log-level", "warning", *options],
            stdout=self.log,
            stderr=self.log,
            env=environment,
            cwd=checkout,
        )

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    def first_answer(self, path: str) -> float:
        """Seconds from the start of the process to the whole answer of `path`."""
        while time.perf_counter() - self.started < PATIENCE:
            if self.process.poll() is not None:
                raise RuntimeError(f"The server ended with {self.process.returncode}:\n{self.said()}")
            if fetched(self.port, path) is not None:
                return time.perf_counter() - self.started
            time.sleep(0.002)
        raise RuntimeError(f"The server did not answer {path}:\n{self.said()}")

    def get(self, path: str) -> Any:
        """The JSON of an answer."""
        body = fetched(self.port, path)
        if body is None:
            raise RuntimeError(f"No answer to GET {path}:\n{self.said()}")
        return json.loads(body)

    def workers(self) -> list[psutil.Process]:
        """Its worker processes; not what has been forked and is no worker yet: stopped there, it would stop the server too."""
        return [child for child in psutil.Process(self.process.pid).children() if "worker" in _command_line(child)]

    def settle(self) -> None:
        """Wait until the workers have nothing to do: they load torch in the background, beside their first jobs."""
        end = time.monotonic() + PATIENCE
        while any(one["state"] != "ready" for one in self.get("/health")["workers"]) and time.monotonic() < end:
            time.sleep(0.1)
        before, now = -1.0, 0.0
        while now - before > 0.02 and time.monotonic() < end:
            time.sleep(1.0)
            before, now = now, sum(sum(one.cpu_times()[:2]) for one in self.workers())

    def processor_seconds(self) -> float:
        """Processor time of the server and its workers until now. Linux only."""
        pids = [self.process.pid, *(one.pid for one in self.workers())]
        return sum(time.clock_gettime((~pid << 3) | 2) for pid in pids)  # the clock of a process, by its id

    def resident_mib(self) -> float:
        """Memory of the server process itself."""
        return float(psutil.Process(self.process.pid).memory_info().rss / 2**20)

    def kill(self) -> None:
        """kill -9; its workers are left to notice by themselves."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        """Let it end as on Ctrl-C."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.kill()
        self.log.close()

    def said(self) -> str:
        """The end of its log."""
        return (self.base / "server.log").read_text(errors="replace")[-3000:]


@contextmanager
def base_folder(source: str | None = PACK) -> Iterator[Path]:
    """A base directory with the benchmark's nodes, or those in `source`; None: without a pack."""
    with tempfile.TemporaryDirectory(prefix="safelight-bench-") as name:
        if source is not None:
            pack = Path(name) / "custom_nodes" / "bench.py"
            pack.parent.mkdir()
            pack.write_text(source)
        yield Path(name)


@contextmanager
def running(base: Path, *options: str, checkout: Path = ROOT) -> Iterator[Server]:
    """A server whose worker has loaded everything and rests."""
    server = Server(base, *options, checkout=checkout)
    try:
        server.first_answer("/system_stats")
        server.settle()
        yield server
    finally:
        server.stop()


def free_port() -> int:
    """A port that nobody uses at the moment."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def _command_line(process: psutil.Process) -> list[str]:
    try:
        return list(process.cmdline())
    except psutil.Error:  # it has ended
        return []


def fetched(port: int, path: str) -> bytes | None:
    """The body of a GET; None while nobody listens, or for an answer other than 200."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as one:
            one.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n".encode())
            parts = []
            while part := one.recv(1 << 18):
                parts.append(part)
    except OSError:
        return None
    head, _, body = b"".join(parts).partition(b"\r\n\r\n")
    return body if head.startswith(b"HTTP/1.1 200") else None


def request(port: int, body: dict[str, Any]) -> bytes:
    """A whole POST /prompt, ready to be sent."""
    data = json.dumps(body).encode()
    head = f"POST /prompt HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Length: {len(data)}\r\n\r\n"
    return head.encode() + data


class Poster:
    """One connection that is kept open."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def post(self, data: bytes) -> bytes:
        """Send a prepared request; the body of the answer, which must be 200."""
        self._writer.write(data)
        head = await self._reader.readuntil(b"\r\n\r\n")
        at = head.lower().index(b"content-length:") + 15
        body = await self._reader.readexactly(int(head[at : head.index(b"\r\n", at)]))
        if not head.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(f"{head[:60]!r} {body[:500]!r}")
        return body

    def close(self) -> None:
        """End the connection."""
        self._writer.close()


class Listener:
    """A websocket client that counts bytes and jobs that have ended."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self.bytes = self.messages = self.ended = 0

    async def until(self, jobs: int) -> None:
        """Listen until `jobs` jobs have ended since the last call of `reset`."""
        while self.ended < jobs:
            message = await self._socket.receive(timeout=PATIENCE)
            if message.type not in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY):
                raise RuntimeError(f"The server closed the websocket: {message}")
            self.messages += 1
            self.bytes += len(message.data)
            if isinstance(message.data, str) and '"executing"' in message.data[:40]:
                self.ended += json.loads(message.data)["data"]["node"] is None

    def reset(self) -> None:
        """Begin to count anew."""
        self.bytes = self.messages = self.ended = 0


@asynccontextmanager
async def connected(server: Server, client: str, posters: int) -> AsyncIterator[tuple[Listener, list[Poster]]]:
    """A websocket of `client` and some connections for posting."""
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(f"{server.url}/ws?clientId={client}", max_msg_size=0, compress=0) as websocket,
    ):
        opened = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(posters)]
        try:
            yield Listener(websocket), [Poster(*one) for one in opened]
        finally:
            for _, writer in opened:
                writer.close()


@asynccontextmanager
async def idle_clients(server: Server, count: int) -> AsyncIterator[None]:
    """Websocket clients that only listen."""
    async with aiohttp.ClientSession() as session:
        sockets = [await session.ws_connect(f"{server.url}/ws?clientId=idle-{index}") for index in range(count)]
        tasks = [asyncio.create_task(_discard(one)) for one in sockets]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()


async def _discard(websocket: aiohttp.ClientWebSocketResponse) -> None:
    async for _ in websocket:
        pass


async def in_time(work: Coroutine[Any, Any, T]) -> T:
    """The result of `work`, or an error when it takes far longer than it may: a benchmark must not hang."""
    async with asyncio.timeout(5 * PATIENCE):
        return await work


def chains(count: int, length: int, salt: int, changed: int = 0) -> dict[str, Any]:
    """A prompt of `count` chains with `length` nodes each, the last of which shows. `changed` only changes one source."""
    prompt: dict[str, Any] = {}
    for chain in range(count):
        for index in range(length):
            name = str(chain * length + index)
            value: Any = [str(chain * length + index - 1), 0] if index else chain * 1000 + salt * 100_000
            kind = "BenchShow" if index == length - 1 else "BenchIncrement"
            prompt[name] = {"class_type": kind, "inputs": {"value": value, "salt": salt}}
    prompt["0"]["inputs"]["value"] += changed
    return prompt


def verdict(value: float, limit: float, *, least: bool = False) -> str:
    """`ok`, or by how much the limit is missed."""
    kept = value >= limit if least else value <= limit
    return "ok" if kept else f"MISSED by {max(value / limit, limit / value) if value else 0:.2f}×"
