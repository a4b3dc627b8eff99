"""Pages in a real Chromium, on a real server with the bundled model.

`SAFELIGHT_SCREENSHOTS=DIR` keeps pictures of what was seen. Without a browser these tests are skipped, but with
`SAFELIGHT_REQUIRE_BROWSER=1` they fail instead.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
QUIET = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
PATIENCE = 90
"""Seconds after which something that should have happened counts as never."""


@dataclass
class Visit:
    """A page with what it received, and which requests to other hosts were stopped."""

    page: Any
    url: str
    texts: list[dict[str, Any]] = field(default_factory=list)
    binaries: list[bytes] = field(default_factory=list)
    stopped: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def until(self, expression: str, argument: Any = None) -> Any:
        """The value of a JavaScript function once it is true."""
        return self.page.wait_for_function(expression, arg=argument, timeout=PATIENCE * 1000).json_value()

    def shot(self, name: str) -> None:
        """Keep a picture of the page for people to look at."""
        folder = os.environ.get("SAFELIGHT_SCREENSHOTS")
        if folder:
            self.page.screenshot(path=Path(folder) / f"{name}.png")

    def received(self, kind: str) -> list[dict[str, Any]]:
        """Data of the websocket messages of a type."""
        return [message["data"] for message in self.texts if message["type"] == kind]

    def previews(self) -> list[bytes]:
        """Intermediate pictures with their metadata (binary message 4)."""
        return [data for data in self.binaries if data[:4] == b"\0\0\0\4"]


def missing(what: str) -> NoReturn:
    """Skip a test, or fail it where nothing may be missing."""
    if os.environ.get("SAFELIGHT_REQUIRE_BROWSER"):
        pytest.fail(what)
    pytest.skip(what)


@pytest.fixture(scope="module")  # while it is open, no test outside of this folder could start an event loop
def chromium() -> Iterator[Any]:
    """The browser."""
    sync_api = pytest.importorskip("playwright.sync_api")
    program = next((found for found in map(shutil.which, BROWSERS) if found), None)
    with sync_api.sync_playwright() as playwright:
        if program is None and not Path(playwright.chromium.executable_path).exists():
            missing("no Chromium: `make browser` fetches one")
        browser = playwright.chromium.launch(executable_path=program, args=list(QUIET))
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A stored catalogue of the built-in nodes, which takes seconds to make."""
    from engine.__main__ import make_app

    base = tmp_path_factory.mktemp("catalogue")
    make_app(base).load_library()
    return base / ".safelight" / "cache" / "catalogue.msgpack"


@pytest.fixture
def serve(tmp_path: Path, catalogue: Path) -> Iterator[Callable[..., str]]:
    """`serve(*options)`: the URL of a server with an empty cache, which ends with the test."""
    stored = tmp_path / ".safelight" / "cache" / "catalogue.msgpack"
    stored.parent.mkdir(parents=True)
    shutil.copy(catalogue, stored)
    processes: list[subprocess.Popen[str]] = []
    log: list[str] = []

    def start(*options: str) -> str:
        command = [sys.executable, "-m", "engine", "serve", "--base-directory", str(tmp_path), "--port", "0", "--cpu"]
        process = subprocess.Popen(
            [*command, "--log-format", "json", *options],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            cwd=ROOT,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            text=True,
        )
        processes.append(process)
        return _url(process, log)

    yield start
    for process in processes:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    sys.stderr.write("".join(log))  # shown when a test fails


def _url(process: subprocess.Popen[str], log: list[str]) -> str:
    """Where the server says that it listens; what it says afterwards goes into `log` too."""
    assert process.stderr is not None
    for line in process.stderr:
        log.append(line)
        if found := re.search(r'"url": "(http://[^"]+)"', line):
            threading.Thread(target=log.extend, args=(process.stderr,), daemon=True).start()
            return found[1]
    raise AssertionError(f"The server ended:\n{''.join(log)}")


@pytest.fixture
def visit(chromium: Any) -> Iterator[Callable[[str], Visit]]:
    """`visit(url)`: a new window on the page; nothing leaves this machine."""
    contexts = []

    def open_page(url: str) -> Visit:
        context = chromium.new_context(viewport={"width": 1400, "height": 900})
        contexts.append(context)
        visit = Visit(context.new_page(), url)
        context.route(lambda target: not target.startswith(url), lambda route: _stop(route, visit))
        visit.page.on("websocket", lambda socket: socket.on("framereceived", lambda data: _take(data, visit)))
        visit.page.on("pageerror", lambda error: visit.errors.append(str(error)))
        visit.page.on("response", lambda answer: _look(answer, visit))
        visit.page.goto(url)
        return visit

    yield open_page
    for context in contexts:
        context.close()


def _stop(route: Any, visit: Visit) -> None:
    address = route.request.url
    if address.startswith(("data:", "blob:")):
        route.continue_()
        return
    visit.stopped.append(address)
    route.abort()


def _take(data: str | bytes, visit: Visit) -> None:
    if isinstance(data, bytes):
        visit.binaries.append(data)
    else:
        visit.texts.append(json.loads(data))


def _look(answer: Any, visit: Visit) -> None:
    if answer.status >= 400:
        visit.failed.append(f"{answer.status} {answer.request.method} {answer.url.removeprefix(visit.url)}")
