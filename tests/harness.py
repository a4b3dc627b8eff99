"""The one way in which tests start servers, workers and commands: each a real process on a base directory of its own.

`new_base` makes the directory, `Server` starts `safelight serve` on it, `served` also ends it, `until` waits for what is
to happen. Workers load torch only when a job needs it, unless a test wants them warm: it costs more than most tests do.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).resolve().parent.parent
PATIENCE = 200.0
"""Seconds after which something that should have happened counts as never."""

POLL_SECONDS = 0.02

CATALOGUE = Path(".safelight", "cache", "catalogue.msgpack")
"""Where a base directory keeps what its nodes declare."""


def environ(**more: str) -> dict[str, str]:
    """That of a process which runs this code: one thread for tensors as small as those of tests, and none that spins."""
    threads = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
    return {**os.environ, "PYTHONPATH": _with_root(), **threads, **more}


def _with_root() -> str:
    before = os.environ.get("PYTHONPATH", "")
    return os.pathsep.join([str(ROOT), *(part for part in before.split(os.pathsep) if part and part != str(ROOT))])


def command(*arguments: str) -> list[str]:
    """`safelight …` as a command line."""
    return [sys.executable, "-m", "engine", *arguments]


def new_base(folder: Path, catalogue: Path, settings: str = "", *, warm_up: bool = False) -> Path:
    """Make a base directory of `folder`, which may be there already: with the stored `catalogue` of the built-in nodes,
    which takes seconds to make, and a `safelight.toml`, to which `settings` are added.
    """
    stored = folder / CATALOGUE
    stored.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(catalogue, stored)
    (folder / "safelight.toml").write_text(f"warm_up = {str(warm_up).lower()}\n{settings}")
    return folder


class Server:
    """A running `safelight serve`."""

    def __init__(self, base: Path, *options: str, environment: dict[str, str] | None = None) -> None:
        self.base = base
        self.notes = base / "notes.txt"
        self.token = ""
        self.port = 0
        self.log: list[str] = []
        told = ["--base-directory", str(base), "--port", "0", "--cpu", "--log-format", "json", *options]
        self.process = subprocess.Popen(
            command("serve", *told),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            cwd=ROOT,
            env=environ(TEST_NOTES=str(self.notes), **(environment or {})),
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
        """Itself, once it says where it listens."""
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
        """What a route answers that must answer with 200."""
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
        """Queue a graph; its entry of the history, once it has ended."""
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
        """End it as a crash would."""
        self.process.kill()
        self.process.wait()

    def end(self, number: int = signal.SIGTERM) -> int:
        """Tell it to end; its exit code."""
        self.process.send_signal(number)
        return self.process.wait(PATIENCE)

    def wipe_out(self) -> None:
        """Kill it and all that it started."""
        running = self.process.poll() is None
        children = psutil.Process(self.process.pid).children(recursive=True) if running else []
        self.kill()
        for child in children:
            with contextlib.suppress(psutil.NoSuchProcess):
                child.kill()


@contextlib.contextmanager
def served(base: Path, *options: str, environment: dict[str, str] | None = None) -> Iterator[Server]:
    """A server on the base directory that listens; at the end it and what it started are killed."""
    found = Server(base, *options, environment=environment)
    try:
        yield found.wait_until_listening()
    finally:
        found.wipe_out()


def until(question: Callable[[], Any], what: str, log: list[str] | None = None, patience: float = PATIENCE) -> Any:
    """The first true answer."""
    end = time.monotonic() + patience
    while time.monotonic() < end:
        answer = question()
        if answer:
            return answer
        time.sleep(POLL_SECONDS)
    raise AssertionError(f"Waited {patience} s in vain for {what}.\n{''.join((log or [])[-20:])}")


def free_port() -> int:
    """A port that nobody listens on, for what cannot be told to take any (`--port 0`)."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


@contextlib.contextmanager
def alone(path: Path) -> Iterator[None]:
    """One process at a time: the others that come with this path wait."""
    import fcntl

    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def made_once(folder: Path, make: Callable[[Path], object]) -> Path:
    """The folder, which `make(folder)` fills for the first process that asks, while others that ask wait."""
    done = folder.with_name(f"{folder.name}.done")
    with alone(folder.with_name(f"{folder.name}.lock")):
        if not done.exists():
            folder.mkdir(exist_ok=True)
            make(folder)
            done.touch()
    return folder


MYPY_CACHE = ROOT / ".mypy_cache" / "packs"
"""Kept from one run to the next, as reading all that `engine.api` leads to takes most of a minute."""


def mypy(*paths: Path, only: Sequence[str] = ()) -> str:
    """What mypy, at its strictest, says of files of packs; torch is not looked into, and of ours `only` these modules if named."""
    cache = MYPY_CACHE / "-".join(only) if only else MYPY_CACHE
    with alone(MYPY_CACHE / "lock"):
        settings = MYPY_CACHE / "mypy.ini"
        skipped = "[mypy-torch.*]\nfollow_imports = skip\n" + (
            "[mypy-engine.*]\nfollow_imports = skip\n" if only else ""
        )
        looked_into = "".join(f"[mypy-{name}]\nfollow_imports = silent\n" for name in only)
        settings.write_text(f"[mypy]\nstrict = True\n{skipped}{looked_into}")
        told = ["--config-file", str(settings), "--cache-dir", str(cache), *map(str, paths)]
        done = subprocess.run(
            [sys.executable, "-m", "mypy", *told],
            cwd=MYPY_CACHE,
            env=environ(MYPYPATH=str(ROOT)),
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode in (0, 1), done.stdout + done.stderr
    return done.stdout
