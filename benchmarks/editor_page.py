"""What the editor benchmarks share: a Chromium page of the editor, graphs of any size, and frames as they were presented.

A presented frame is a `DrawFrame` event of the compositor, from a trace. Animation frame callbacks alone would also count
frames that never reached the screen.
"""

from __future__ import annotations

import itertools
import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from playwright.sync_api import Browser, Page, ViewportSize, sync_playwright
from server_process import ROOT

PATIENCE_MS: Final = 60_000
SIZE: Final[ViewportSize] = {"width": 1600, "height": 900}
FIRST_ID: Final = 1000
"""Node ids of generated graphs begin here, so that they differ from those of the first workflow."""

PROGRAMS: Final = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS: Final = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
CATEGORIES: Final = (
    "devtools.timeline",
    "devtools.timeline.frame",
    "disabled-by-default-devtools.timeline",
    "disabled-by-default-devtools.timeline.frame",
    "blink.user_timing",
)

JsonObject = dict[str, Any]


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser, the system's where there is one."""
    program = next((found for found in map(shutil.which, PROGRAMS) if found), None)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=list(ARGUMENTS))
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def editor(browser: Browser, url: str) -> Iterator[Page]:
    """The editor on its first visit, with the first workflow in view and the rest of the page loaded."""
    context = browser.new_context(viewport=SIZE)
    page = context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(url)
    page.wait_for_selector("[data-node]", timeout=PATIENCE_MS)
    page.evaluate(HELPERS)
    page.wait_for_timeout(4000)  # what is fetched later has come
    try:
        yield page
    finally:
        context.close()
    if errors:
        raise RuntimeError(f"The page reported: {errors}")


HELPERS: Final = """
() => {
  const pane = () => document.querySelector(".react-flow__pane");
  const centre = () => {
    const box = document.querySelector("[data-canvas]").getBoundingClientRect();
    return { clientX: box.x + box.width / 2, clientY: box.y + box.height / 2 };
  };
  const frames = (ms, step) => new Promise((done) => {
    const gaps = [];
    let first = 0, last = 0;
    const tick = (now) => {
      if (first === 0) first = now; else gaps.push(now - last);
      if (now - first >= ms) return done(gaps);
      step(now - first, last === 0 ? 0 : now - last);
      last = now;
      requestAnimationFrame(tick);
    };
    requestAnimationFrame(tick);
  });
  const fire = (target, name, at, buttons) => {
    const options = { ...at, bubbles: true, cancelable: true, view: window, button: 1, buttons, pointerId: 1, isPrimary: true };
    target.dispatchEvent(new PointerEvent("pointer" + name, options));
    target.dispatchEvent(new MouseEvent("mouse" + name, options));
  };
  // Drags the canvas to and fro with the middle button, as the left one might take a node. Every animation frame moves
  // it, whether or not the last one is done.
  const pan = async (ms) => {
    const from = centre();
    const at = { ...from };
    fire(pane(), "down", at, 4);
    const gaps = await frames(ms, (time, gap) => {
      const way = Math.floor(time / 1000) % 2 ? 0.6 : -0.6;
      at.clientX += way * gap;
      at.clientY += way * gap * 0.5;
      fire(pane(), "move", at, 4);
    });
    fire(pane(), "up", at, 0);
    return gaps;
  };
  /** Turns the wheel to zoom from 1 to 0.1 and back to 1, at an even pace. */
  const zoom = (ms) => {
    const scale = () => new DOMMatrix(getComputedStyle(document.querySelector(".react-flow__viewport")).transform).a;
    const at = centre();
    let least = 1;
    return frames(ms, (time) => {
      const wanted = Math.pow(10, -(1 - Math.abs(1 - (2 * time) / ms)));
      const delta = -Math.log2(wanted / scale()) / 0.002;
      pane().dispatchEvent(new WheelEvent("wheel", { ...at, deltaY: delta, bubbles: true, cancelable: true, view: window }));
      least = Math.min(least, scale());
    }).then((gaps) => { window.bench.least = least; return gaps; });
  };
  const marked = async (act) => {
    performance.mark("bench-begin");
    const gaps = await act();
    performance.mark("bench-end");
    return gaps;
  };
  /** Drops a file and waits until a node of it is in the document. */
  const drop = (text, selector) => new Promise((done) => {
    document.querySelector("[data-canvas]").classList.add("bench-old");
    const data = new DataTransfer();
    data.items.add(new File([text], "generated.json", { type: "application/json" }));
    const watch = new MutationObserver(() => {
      if (!document.querySelector("[data-canvas]:not(.bench-old) " + selector)) return;
      watch.disconnect();
      // The mark is set in the frame that shows it.
      requestAnimationFrame(() => { performance.mark("bench-end"); setTimeout(() => done([]), 300); });
    });
    watch.observe(document.body, { childList: true, subtree: true });
    performance.mark("bench-begin");
    const event = new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true });
    document.querySelector("[data-canvas]").dispatchEvent(event);
  });
  window.bench = { pan: (ms) => marked(() => pan(ms)), zoom: (ms) => marked(() => zoom(ms)), drop, least: 1 };
}
"""


@dataclass
class Frames:
    """What a trace says of the time between two marks."""

    seconds: float
    presented: list[float]
    """Milliseconds of the presented frames after the first mark."""
    to_first_after_end: float
    """Milliseconds from the first mark to the first frame presented after the second."""
    cpu: float
    """Milliseconds that the page's main thread computed for each presented frame."""

    @property
    def per_second(self) -> float:
        """Presented frames per second."""
        return len(self.presented) / self.seconds

    @property
    def longest(self) -> float:
        """The longest time without a new picture in ms."""
        edges = [0.0, *self.presented, self.seconds * 1000]
        return max(after - before for before, after in itertools.pairwise(edges))


def traced(browser: Browser, page: Page, act: Callable[[], Any]) -> Frames:
    """The frames presented while `act` ran, between the marks that it set."""
    browser.start_tracing(page=page, categories=list(CATEGORIES))
    try:
        act()
        page.wait_for_timeout(100)
    finally:
        trace = json.loads(browser.stop_tracing())
    events = trace["traceEvents"]
    marks = {event["name"]: event for event in events if event["name"] in ("bench-begin", "bench-end")}
    begin, end = marks["bench-begin"], marks["bench-end"]
    # DrawFrame events of the page's own renderer only.
    drawn = sorted(
        (event["ts"] - begin["ts"]) / 1000
        for event in events
        if event["name"] == "DrawFrame" and event["pid"] == begin["pid"]
    )
    last = (end["ts"] - begin["ts"]) / 1000
    tasks = [
        event
        for event in events
        if event["name"] == "RunTask"
        and (event["pid"], event["tid"]) == (begin["pid"], begin["tid"])
        and begin["ts"] <= event["ts"] <= end["ts"]
    ]
    return Frames(
        seconds=last / 1000,
        presented=[ms for ms in drawn if 0 <= ms <= last],
        to_first_after_end=next((ms for ms in drawn if ms >= last), last),
        cpu=sum(event.get("tdur", 0) for event in tasks) / 1000 / max(1, len(drawn)),
    )


def graph(count: int, scale: float | None = None) -> JsonObject:
    """A workflow of `count` nodes: copies of the bundled text-to-image graph, side by side in rows.

    Its view is the middle of it at `scale`; without a scale, all of it.
    """
    unit = json.loads((ROOT / "workflows" / "text_to_image.json").read_text())
    nodes = [node for node in unit["nodes"] if node["type"] not in ("Note", "MarkdownNote")]
    copies = -(-count // len(nodes))
    columns = max(1, round((copies * 0.85) ** 0.5))
    made: list[JsonObject] = []
    links: list[list[Any]] = []
    for copy in range(copies):
        right, down = copy % columns * 1500, copy // columns * 750
        ids = {node["id"]: FIRST_ID + len(made) + at for at, node in enumerate(nodes)}
        first_link = len(links)
        numbers = {link[0]: first_link + at + 1 for at, link in enumerate(unit["links"])}
        made += [_copied(node, ids, numbers, (right, down)) for node in nodes]
        links += [[numbers[a], ids[b], c, ids[d], e, kind] for a, b, c, d, e, kind in unit["links"]]
    kept = {node["id"] for node in made[:count]}
    links = [link for link in links if link[1] in kept and link[3] in kept]
    known = {link[0] for link in links}
    for node in made[:count]:
        _without_lost_links(node, known)
    rows = -(-copies // columns)
    # Without a scale the margins are those of the page's bars; else the view is in the middle of the graph.
    offset = [-columns * 750.0, -rows * 375.0]
    if scale is None:
        scale = min(1400 / (columns * 1500), 760 / (rows * 750))
        offset = [60 / scale, 120 / scale]
    return {
        "last_node_id": FIRST_ID + len(made),
        "last_link_id": len(links) + 1,
        "nodes": made[:count],
        "links": links,
        "groups": [],
        "config": {},
        "extra": {"ds": {"scale": scale, "offset": offset}},
        "version": 0.4,
    }


def _copied(node: JsonObject, ids: dict[int, int], links: dict[int, int], by: tuple[int, int]) -> JsonObject:
    copy: JsonObject = json.loads(json.dumps(node))
    copy["id"] = ids[node["id"]]
    copy["pos"] = [node["pos"][0] + by[0], node["pos"][1] + by[1]]
    for socket in copy.get("inputs", []):
        socket["link"] = links.get(socket.get("link"))
    for socket in copy.get("outputs", []):
        socket["links"] = [links[one] for one in socket.get("links") or []]
    return copy


def _without_lost_links(node: JsonObject, known: set[int]) -> None:
    for socket in node.get("inputs", []):
        if socket.get("link") not in known:
            socket["link"] = None
    for socket in node.get("outputs", []):
        socket["links"] = [one for one in socket["links"] if one in known]
