"""Pages in a real Chromium, on a real server with the bundled model.

`SAFELIGHT_SCREENSHOTS=DIR` keeps pictures of what was seen. Without a browser these tests are skipped, but with
`SAFELIGHT_REQUIRE_BROWSER=1` they fail instead.
"""

from __future__ import annotations

import base64
import json
import mimetypes
import os
import re
import shutil
import sys
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import pytest

from tests.harness import ROOT, Server, new_base, until

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
QUIET = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
PATIENCE = int(os.environ.get("SAFELIGHT_BROWSER_PATIENCE", "90"))
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

    def promised(self, expression: str, argument: Any = None) -> None:
        """Wait until what a JavaScript function promises is true; `until` takes the promise itself for that."""
        self._poll(lambda: self.page.evaluate(expression, argument), lambda: expression)

    def _poll(self, question: Callable[[], Any], what: Callable[[], str]) -> None:
        """Ask until the answer is true; meanwhile the page's events come in."""
        for _ in range(PATIENCE * 20):
            if question():
                return
            self.page.wait_for_timeout(50)
        raise AssertionError(f"Waited {PATIENCE} s in vain for {what()}")

    def shot(self, name: str) -> None:
        """Keep a picture of the page for people to look at."""
        folder = os.environ.get("SAFELIGHT_SCREENSHOTS")
        if folder:
            self.page.screenshot(path=Path(folder) / f"{name}.png")

    def received(self, kind: str) -> list[dict[str, Any]]:
        """Data of the websocket messages of a type."""
        return [message["data"] for message in self.texts if message["type"] == kind]

    def hears(self, kind: str, holds: Callable[[list[dict[str, Any]]], bool]) -> list[dict[str, Any]]:
        """Data of the websocket messages of a type, once these are as wanted."""
        self._poll(lambda: holds(self.received(kind)), lambda: f"the messages {kind}; there are {self.received(kind)}")
        return self.received(kind)

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


class Servers:
    """Servers of one base directory; calling it starts one, with an empty cache unless another was there before."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.started: list[Server] = []

    def __call__(self, *options: str) -> str:
        """The URL of a new server."""
        server = Server(self.base, *options)
        self.started.append(server)
        return server.wait_until_listening().url

    def kill(self) -> None:
        """End the newest server as a crash would."""
        self.started[-1].kill()

    def stop(self) -> None:
        """End all of them, and show what they said (pytest does so when a test fails)."""
        for server in self.started:
            server.wipe_out()
            sys.stderr.write("".join(server.log))


@pytest.fixture
def serve(tmp_path: Path, core_catalogue: Path) -> Iterator[Servers]:
    """`serve(*options)`: the URL of a server with an empty cache, which ends with the test."""
    servers = Servers(new_base(tmp_path, core_catalogue))
    yield servers
    servers.stop()


@pytest.fixture
def visit(chromium: Any) -> Iterator[Callable[..., Visit]]:
    """`visit(url)`: a new window on the page; nothing leaves this machine. `visit(url, context)`: another tab of it."""
    contexts = []

    def open_page(url: str, context: Any = None) -> Visit:
        if context is None:
            context = chromium.new_context(viewport={"width": 1400, "height": 900}, accept_downloads=True)
            context.grant_permissions(["clipboard-read", "clipboard-write"], origin=url)
            contexts.append(context)
        visit = Visit(context.new_page(), url)
        visit.page.route(lambda target: not target.startswith(url), lambda route: _stop(route, visit))
        visit.page.on("websocket", lambda socket: socket.on("framereceived", lambda data: _take(data, visit)))
        visit.page.on("pageerror", lambda error: visit.errors.append(str(error)))
        visit.page.on("response", lambda answer: _look(answer, visit))
        visit.page.set_default_timeout(PATIENCE * 1000)
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


KEPT = """() => new Promise((resolve, reject) => {
  const opening = indexedDB.open("safelight");
  opening.onerror = () => reject(opening.error);
  opening.onsuccess = () => {
    const asked = opening.result.transaction("tabs").objectStore("tabs").getAll();
    asked.onerror = () => reject(asked.error);
    asked.onsuccess = () => {
      opening.result.close();
      const shown = document.querySelector(".sl-wtab.is-active .sl-wtab__name").textContent;
      const active = asked.result.find((record) => record.active && record.name === shown);
      resolve(JSON.stringify(active?.json) === JSON.stringify(safelight.workflow()));
    };
  };
})"""
"""Whether autosave has written the workflow in view."""


class Editor:
    """Our editor in a window: what a person finds on it, and what they do to it."""

    def __init__(self, visit: Visit) -> None:
        self.visit = visit
        self.page = visit.page
        self.until = visit.until
        self.shot = visit.shot
        self.until("() => document.querySelector('[data-canvas], .sl-form') && window.safelight?.workflow()")

    # What is there

    def workflow(self) -> dict[str, Any]:
        """The file that saving would write."""
        return self.page.evaluate("() => safelight.workflow()")

    def nodes(self, kind: str) -> list[dict[str, Any]]:
        """Nodes of a type, as in the file."""
        return [node for node in self.workflow()["nodes"] if node["type"] == kind]

    def node(self, node: Any) -> Any:
        """The node with this id."""
        return self.page.locator(f'[data-node="{node}"]')

    def named(self, title: str) -> Any:
        """The node with this title."""
        return self.page.get_by_role("group", name=re.compile(f"^{re.escape(title)}, node "))

    def socket(self, node: Any, side: str, name: str) -> Any:
        """An `Input` or `Output` of a node."""
        holder = node if hasattr(node, "locator") else self.node(node)
        return holder.get_by_role("button", name=re.compile(f"^{side} {re.escape(name)}, "))

    def widget(self, node: Any, name: str) -> Any:
        """The row of a widget."""
        return self.page.locator(f'[data-widget="{node}:{name}"]')

    def value(self, node: Any, name: str) -> Any:
        """What a widget of a node holds."""
        look = "([id, name]) => safelight.store().getState().document.graphs.root.nodes[id]?.values[name]"
        return self.page.evaluate(look, [str(node), name])

    def links(self) -> list[list[Any]]:
        """Links as in the file, without their ids."""
        return sorted([link[1:] for link in self.workflow()["links"]], key=str)

    def tabs(self) -> list[str]:
        """Names of the open workflows."""
        return [str(name) for name in self.page.locator(".sl-wtab__name").all_text_contents()]

    def kept(self) -> None:
        """Wait until the browser's own copy of the workflow in view is as it stands, and nothing waits to be written."""
        self.page.evaluate("() => new Promise((resolve) => setTimeout(resolve, 700))")  # later than what waits already
        self.visit.promised(KEPT)

    def picture(self, node: Any, number: int = 1) -> Any:
        """The picture on a node, once it is there."""
        image = self.node(node).locator(".sl-preview-picture img").nth(number - 1)
        image.wait_for(timeout=PATIENCE * 1000)
        return image

    def toast(self, *words: str) -> str:
        """The message that has these words, once it is there."""
        found = self.page.locator(".sl-toast")
        for word in words:
            found = found.filter(has_text=word)
        found.first.wait_for(timeout=PATIENCE * 1000)
        return str(found.first.inner_text())

    def hears(self, kind: str, count: int) -> None:
        """Wait until that many messages of a type have come over the websocket."""
        self.visit.hears(kind, lambda data: len(data) >= count)

    # What people do

    def run(self) -> None:
        """Press Run."""
        self.page.get_by_role("button", name=re.compile(r"^Run( next| on change)?$")).first.click()

    def marked(self, node: Any, text: str) -> None:
        """Wait until a node is marked like this after a run."""
        mark = self.node(node).locator(".sl-node-badge", has_text=re.compile(f"^{text}"))
        mark.wait_for(timeout=PATIENCE * 1000)

    def command(self, name: str) -> None:
        """Run a command by its id."""
        assert self.page.evaluate("(id) => safelight.run(id)", name), f"{name} cannot be used now"

    def load(self, json_: Any, name: str = "Workflow") -> None:
        """Open a workflow in a new tab."""
        assert self.page.evaluate("([json, name]) => safelight.open(json, name)", [json_, name])

    def empty(self) -> None:
        """A new workflow without nodes."""
        self.page.get_by_role("button", name="New workflow").click()
        self.until("() => safelight.workflow().nodes.length === 0")

    def drag(self, start: Any, end: Any) -> None:
        """From one element or place to another with the left button."""
        mouse = self.page.mouse
        (x, y), (to_x, to_y) = _place(start), _place(end)
        mouse.move(x, y)
        mouse.down()
        mouse.move(x + 2, y + 2)
        mouse.move((x + to_x) / 2, (y + to_y) / 2, steps=4)
        mouse.move(to_x, to_y, steps=4)
        mouse.up()

    def drop(self, target: str, *files: Path | tuple[str, bytes]) -> None:
        """Files dropped on what a selector finds."""
        named = [file if isinstance(file, tuple) else (file.name, file.read_bytes()) for file in files]
        packed = [[name, base64.b64encode(data).decode(), mimetypes.guess_type(name)[0] or ""] for name, data in named]
        self.page.evaluate(DROP, [target, packed])

    def reveal(self, node: Any) -> None:
        """Bring a node into view and give it the focus, as the keyboard does."""
        self.page.evaluate("(id) => safelight.canvas().reveal(id)", str(node))
        self.until("(id) => document.activeElement?.dataset.node === id", str(node))

    def search(self, text: str) -> None:
        """Type into the open node search and take the first result."""
        field = self.page.get_by_role("combobox", name="Search nodes")
        field.fill(text)
        self.page.locator(".sl-node-search__item[aria-selected=true]").wait_for()
        field.press("Enter")
        field.wait_for(state="detached")

    def healthy(self) -> None:
        """Nothing broke, and nothing left this machine. A folder that is not there yet is answered with 404."""
        assert self.visit.errors == []
        assert self.visit.stopped == []
        assert [one for one in self.visit.failed if "/userdata?" not in one] == []


DROP = """([selector, files]) => {
  const target = document.querySelector(selector);
  const data = new DataTransfer();
  for (const [name, text, type] of files) {
    data.items.add(new File([Uint8Array.from(atob(text), (one) => one.charCodeAt(0))], name, {type}));
  }
  const box = target.getBoundingClientRect();
  const at = {clientX: box.x + box.width / 2, clientY: box.y + box.height / 2};
  for (const kind of ['dragenter', 'dragover', 'drop']) {
    target.dispatchEvent(new DragEvent(kind, {bubbles: true, cancelable: true, dataTransfer: data, ...at}));
  }
}"""


def _place(what: Any) -> tuple[float, float]:
    """The middle of an element, or the place itself."""
    if isinstance(what, tuple):
        return what
    box = what.bounding_box()
    assert box, f"{what} is not on the page"
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


PACK = '''
"""Nodes for tests of the editor."""

import time

from engine.api import Context, WithUi, node


@node("TestFails", output=True)
def fails(text: str = "") -> WithUi[None]:
    """Raise."""
    raise ValueError("The lamp is broken: " + text)


@node("TestWaits", cache=False, output=True)
def waits(ctx: Context, seconds: float = 2.0) -> WithUi[None]:
    """Take that long."""
    for step in range(100):
        ctx.progress(step, 100)
        time.sleep(seconds / 100)
    return WithUi(ui={"text": ["waited"]})
'''


def give_pack(base: Path) -> None:
    """Nodes of the tests in the folder of a server."""
    pack = base / "custom_nodes" / "editor_tests"
    pack.mkdir(parents=True)
    (pack / "__init__.py").write_text(PACK)


def need_editor() -> None:
    """Skip or fail where the editor was not built."""
    if not (ROOT / "engine" / "server" / "editor" / "index.html").is_file():
        missing("the editor is not built: `make editor` builds it")


@dataclass
class Home:
    """The server that most tests of the editor share; it is warm after the first run."""

    url: str
    base: Path

    def post(self, path: str, body: Any = None) -> None:
        """Ask it for something."""
        data = json.dumps({} if body is None else body).encode()
        request = urllib.request.Request(f"{self.url}/{path}", data, {"Content-Type": "application/json"})
        urllib.request.urlopen(request, timeout=60).close()

    def rests(self) -> bool:
        """Whether no job waits or runs."""
        with urllib.request.urlopen(f"{self.url}/api/prompt", timeout=60) as answer:
            return bool(json.load(answer)["exec_info"]["queue_remaining"] == 0)


@pytest.fixture(scope="session")
def home_on(core_catalogue: Path) -> Callable[[Path], AbstractContextManager[Home]]:
    """`with home_on(base) as home`: a server on a base directory, for more than one test."""
    need_editor()

    @contextmanager
    def serve_home(base: Path) -> Iterator[Home]:
        servers = Servers(new_base(base, core_catalogue))
        try:
            home = Home(servers(), base)
            home.post("api/settings", {"Safelight.welcomed": True})
            yield home
        finally:
            servers.stop()

    return serve_home


@pytest.fixture(scope="session")
def shared_home(tmp_path_factory: pytest.TempPathFactory, home_on: Any) -> Iterator[Home]:
    """Starts it."""
    base = tmp_path_factory.mktemp("home")
    give_pack(base)
    with home_on(base) as home:
        yield home


@pytest.fixture
def home(shared_home: Home) -> Iterator[Home]:
    """That server, left with nothing to do."""
    yield shared_home
    shared_home.post("api/queue", {"clear": True})
    shared_home.post("api/interrupt")
    shared_home.post("api/v1/queue/resume")
    until(shared_home.rests, "its jobs to end")


@pytest.fixture
def editor(home: Home, visit: Callable[..., Visit]) -> Iterator[Editor]:
    """The editor in a new window, with the first workflow. In the end nothing may have broken."""
    opened = Editor(visit(home.url))
    yield opened
    opened.healthy()


@pytest.fixture
def open_editor() -> Callable[[Visit], Editor]:
    """The editor of a window, once it has started."""
    need_editor()
    return Editor
