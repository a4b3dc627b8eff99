"""How smooth the editor is: presented frames per second while the view moves, opening a large graph, a run's progress.

Each animation frame moves the view, whether or not the one before was done in time. Three scenes at 100, 500 and 2,000
nodes: a pan at zoom 1, zoom 1 → 0.1 → 1, a pan with all nodes in view. Then: a workflow of 2,000 nodes from the drop of its
file to its first picture, and a pan during a run of 1,000 trivial nodes whose progress is shown.

    python benchmarks/editor_frames.py [--repeats 3] [--nodes 100 500 2000] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any, Final

from editor_page import FIRST_ID, PATIENCE_MS, Frames, chromium, editor, graph, traced
from playwright.sync_api import Browser, Page
from server_process import Server, base_folder, running, verdict

GOALS: Final = {"pan at zoom 1": 55.0, "zoom 1 → 0.1 → 1": 45.0, "pan, all in view": 55.0}
"""Presented frames per second at 2,000 nodes."""
SECONDS: Final = 4
LOAD_MS: Final = 350.0
RUN_GOAL: Final = 50.0
RUN_NODES: Final = 1000

SLOW_PACK: Final = '''
import time

from engine.api import WithUi, node


@node("BenchStep")
def step(value: int, salt: int = 0) -> int:
    """`value` plus one, after a short rest: the run lasts as long as it is watched."""
    time.sleep(0.008)
    return value + 1


@node("BenchResult", output=True)
def result(value: int) -> None:
    """Show a number."""
    return WithUi(ui={"text": [str(value)]})
'''


def chain(count: int, salt: int, scale: float) -> dict[str, Any]:
    """A workflow with one chain of `count` nodes in rows."""
    columns = 40
    nodes: list[dict[str, Any]] = []
    for at in range(count):
        last = at == count - 1
        inputs: list[dict[str, Any]] = [
            {"name": "value", "type": "INT", "link": at or None, "widget": {"name": "value"}}
        ]
        widgets: list[int] = [0]
        if not last:
            inputs.append({"name": "salt", "type": "INT", "link": None, "widget": {"name": "salt"}})
            widgets.append(salt)
        outputs = [] if last else [{"name": "INT", "type": "INT", "links": [at + 1]}]
        nodes.append(
            {
                "id": FIRST_ID + at,
                "type": "BenchResult" if last else "BenchStep",
                "pos": [at % columns * 260, at // columns * 170],
                "size": [220, 110],
                "flags": {},
                "mode": 0,
                "inputs": inputs,
                "outputs": outputs,
                "properties": {},
                "widgets_values": widgets,
            }
        )
    links = [[at, FIRST_ID + at - 1, 0, FIRST_ID + at, 0, "INT"] for at in range(1, count)]
    view = {"scale": scale, "offset": [60 / scale, 120 / scale]}
    return {"nodes": nodes, "links": links, "groups": [], "extra": {"ds": view}, "version": 0.4}


def opened(browser: Browser, page: Page, workflow: dict[str, Any], selector: str) -> Frames:
    """Drop a workflow on the page."""
    return traced(
        browser, page, lambda: page.evaluate("([text, one]) => bench.drop(text, one)", [json.dumps(workflow), selector])
    )


def moved(browser: Browser, page: Page, scene: str) -> Frames:
    """Move the view for some seconds."""
    return traced(browser, page, lambda: page.evaluate(f"() => bench.{scene}({SECONDS * 1000})"))


def scenes(browser: Browser, url: str, count: int) -> dict[str, Any]:
    """Frames of the three scenes with so many nodes, and the time that opening them took."""
    found: dict[str, Any] = {}
    with editor(browser, url) as page:
        load = opened(browser, page, graph(count, 1.0), "[data-node]")
        page.wait_for_timeout(1500)
        found["load_ms"] = load.to_first_after_end
        found["pan at zoom 1"] = moved(browser, page, "pan")
        page.wait_for_timeout(500)
        found["zoom 1 → 0.1 → 1"] = moved(browser, page, "zoom")
        least = page.evaluate("bench.least")
        if least > 0.12:
            raise RuntimeError(f"The view was zoomed out to {least} only.")
    with editor(browser, url) as page:
        opened(browser, page, graph(count), ".sl-scene")
        page.wait_for_timeout(1500)
        found["pan, all in view"] = moved(browser, page, "pan")
    return found


def run_progress(browser: Browser, server: Server, salt: int, scale: float) -> Frames:
    """Frames of a pan during a run."""
    with editor(browser, server.url) as page:
        opened(browser, page, chain(RUN_NODES, salt, scale), ".sl-scene")
        page.wait_for_timeout(1500)
        page.keyboard.press("Control+Enter")
        page.wait_for_function(
            "async () => (await (await fetch('queue')).json()).queue_running.length > 0", timeout=PATIENCE_MS
        )
        frames = moved(browser, page, "pan")
        if not server.get("/queue")["queue_running"]:
            raise RuntimeError("The run was over before the pan was.")
        return frames


def best(frames: list[Frames]) -> Frames:
    """The one of the quietest moment of the machine."""
    return max(frames, key=lambda one: one.per_second)


def as_json(frames: Frames) -> dict[str, float]:
    return {
        "frames_per_second": round(frames.per_second, 1),
        "longest_gap_ms": round(frames.longest, 1),
        "cpu_ms": round(frames.cpu, 2),
    }


def line(name: str, frames: Frames, goal: float | None) -> None:
    judged = f"goal {goal:.0f}  {verdict(frames.per_second, goal, least=True)}" if goal else ""
    cost = f"{frames.cpu:4.1f} ms of the main thread each, longest gap {frames.longest:4.0f} ms"
    print(f"{name:<36} {frames.per_second:5.1f} fps, {cost}  {judged}", flush=True)


def main() -> None:
    """Measure, print, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--nodes", type=int, nargs="*", default=[100, 500, 2000])
    parser.add_argument("--no-run", action="store_true", help="leave out the run")
    parser.add_argument("--json", type=Path, help="write the numbers to this file too")
    options = parser.parse_args()
    kept: dict[str, Any] = {}
    with base_folder() as base:
        (base / "custom_nodes" / "bench_steps.py").write_text(SLOW_PACK)
        with running(base) as server, chromium() as browser:
            for count in options.nodes:
                rounds = [scenes(browser, server.url, count) for _ in range(options.repeats)]
                kept[str(count)] = {}
                for scene, goal in GOALS.items():
                    frames = best([one[scene] for one in rounds])
                    line(f"{count} nodes, {scene}", frames, goal if count >= 2000 else None)
                    kept[str(count)][scene] = as_json(frames)
                load = min(one["load_ms"] for one in rounds)
                judged = f"goal {LOAD_MS:.0f} ms  {verdict(load, LOAD_MS)}" if count >= 2000 else ""
                print(f"{count} nodes, drop → first picture{'':<6} {load:5.0f} ms  {judged}", flush=True)
                kept[str(count)]["load_ms"] = round(load, 1)
            if not options.no_run:
                for scale, where in ((1.0, "at zoom 1"), (0.12, "all in view")):
                    salts = range(options.repeats)
                    frames = best([run_progress(browser, server, int(salt + 1000 * scale), scale) for salt in salts])
                    line(f"run of {RUN_NODES} nodes, pan {where}", frames, RUN_GOAL)
                    kept[f"run, pan {where}"] = as_json(frames)
    if options.json:
        options.json.write_text(json.dumps(kept, indent=2))


if __name__ == "__main__":
    main()
