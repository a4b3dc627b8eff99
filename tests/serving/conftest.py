"""Real server processes with real workers, on folders of their own."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
PATIENCE = 90.0
"""Seconds after which something that should have happened counts as never."""

PACK = '''
"""Nodes that are quick, slow, harmful, and tell a file when they run."""

import os
import signal
import sys
import time

from engine.api import Context, WithUi, node


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


@node("TestDeaf")
def deaf(value: int, seconds: float | None = 60.0) -> int:
    """Heeds no cancel."""
    _note("deaf")
    time.sleep(seconds)
    return value


@node("TestDie")
def die(value: int, how: str | None = "kill", once: str | None = "") -> int:
    """Ends its process; with a file name in `once` only while there is no such file."""
    if once:
        try:
            os.close(os.open(once, os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return value
    time.sleep(0.1)
    if how == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "exit":
        os._exit(7)
    sys.exit(3)


@node("TestLoud")
def loud(value: int, megabytes: int | None = 20) -> int:
    """Prints a lot."""
    for _ in range(megabytes * 16):
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


class Server:
    """A running `safelight serve`."""

    def __init__(self, base: Path, *options: str, environment: dict[str, str] | None = None) -> None:
        self.base = base
        self.notes = base / "notes.txt"
        self.token = ""
        self.port = 0
        self.log: list[str] = []
        command = [sys.executable, "-m", "engine", "serve", "--base-directory", str(base), "--port", "0", "--cpu"]
        self.process = subprocess.Popen(
            [*command, "--log-format", "json", *options],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            cwd=ROOT,
            env={**os.environ, "OMP_NUM_THREADS": "1", "TEST_NOTES": str(self.notes), **(environment or {})},
            text=True,
        )
        self._lines: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.log.append(line)
            self._lines.put(line)
        self._lines.put("")

    def wait_until_listening(self) -> Server:
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            line = self._lines.get(timeout=PATIENCE)
            if not line:
                raise AssertionError(f"The server ended with {self.process.wait()}:\n{''.join(self.log)}")
            found = re.search(r'"url": ?"http://[^"]*:(\d+)"', line)
            if found and "listening" in line.lower():
                self.port = int(found[1])
                return self
        raise AssertionError("The server does not listen.")

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def ask(self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> tuple[int, Any]:
        """Status and JSON (or bytes) of an answer. `body`: bytes, or JSON."""
        data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, headers or {}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
                status, raw = answer.status, answer.read()
        except urllib.error.HTTPError as error:
            status, raw = error.code, error.read()
        try:
            return status, json.loads(raw)
        except ValueError:
            return status, raw

    def get(self, path: str) -> Any:
        status, value = self.ask("GET", path)
        assert status == 200, (path, status, value)
        return value

    def post(self, prompt: Any, **fields: Any) -> str:
        """Queue a graph; its id."""
        status, value = self.ask("POST", "/prompt", {"prompt": prompt, **fields})
        assert status == 200, value
        return str(value["prompt_id"])

    def entry(self, prompt_id: str) -> Any:
        """Its entry of the history, once it has ended."""
        return until(lambda: self.get(f"/history/{prompt_id}").get(prompt_id), "the job to end", self.log)

    def run(self, prompt: Any, **fields: Any) -> Any:
        return self.entry(self.post(prompt, **fields))

    def workers(self) -> list[int]:
        """Process ids of the workers that are there."""
        return [one["pid"] for one in self.ask("GET", "/health")[1]["workers"] if one["pid"]]

    def wait_for_worker(self) -> int:
        """The process id of the first worker, once it takes jobs."""

        def ready() -> Any:
            workers = self.ask("GET", "/health")[1]["workers"]
            return workers and workers[0]["state"] in ("connected", "ready") and workers[0]["pid"]

        return int(until(ready, "a worker", self.log))

    def noted(self) -> list[str]:
        """What nodes wrote when they ran."""
        return self.notes.read_text().split() if self.notes.exists() else []

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def end(self, number: int = signal.SIGTERM) -> int:
        """Tell it to end; its exit code."""
        self.process.send_signal(number)
        return self.process.wait(PATIENCE)


def until(question: Callable[[], Any], what: str, log: list[str] | None = None, patience: float = PATIENCE) -> Any:
    """The first true answer."""
    end = time.monotonic() + patience
    while time.monotonic() < end:
        answer = question()
        if answer:
            return answer
        time.sleep(0.02)
    raise AssertionError(f"Waited {patience} s in vain for {what}.\n{''.join((log or [])[-20:])}")


@pytest.fixture
def wait() -> Callable[..., Any]:
    return until


@pytest.fixture(scope="session")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A stored catalogue of the built-in nodes, which takes seconds to make."""
    from engine.__main__ import make_app

    base = tmp_path_factory.mktemp("catalogue")
    make_app(base).load_library()
    return base / ".safelight" / "cache" / "catalogue.msgpack"


@pytest.fixture
def base(tmp_path: Path, catalogue: Path) -> Path:
    """A base directory with the test's nodes."""
    stored = tmp_path / "base" / ".safelight" / "cache" / "catalogue.msgpack"
    stored.parent.mkdir(parents=True)
    shutil.copy(catalogue, stored)
    pack = tmp_path / "base" / "custom_nodes" / "test_pack.py"
    pack.parent.mkdir(parents=True)
    pack.write_text(PACK)
    return tmp_path / "base"


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
        children = psutil.Process(server.process.pid).children(recursive=True) if server.process.poll() is None else []
        server.kill()
        for child in children:
            with contextlib.suppress(psutil.NoSuchProcess):
                child.kill()
