"""Saved workflows to prompts: this tree against another one, in alternating runs.

    python benchmarks/conversion.py [BASE] [--rounds N] [WORKFLOW…]

BASE is a commit (checked out beside this tree for the time of the run) or the path of a tree; by default the commit before the
field's rules of 2026. Converted are the largest local template of the field's package on PyPI (or the given files) and a made
graph of 2,000 nodes with subgraphs. Both sides have the same declarations: made of what the workflows list.

Each side converts in a process of its own, in turn; told are the least CPU times, as other work on the machine disturbs those
least, and their ratio. Goal: at most 1.0.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

TREE: Final = Path(__file__).parents[1]
BASE: Final = "7dabdbb"
PACKAGE: Final = "comfyui-workflow-templates-json==0.1.123"
GOAL: Final = 1.0
NODES: Final = 2000

MEASURE: Final = """
import json, sys, time
from engine.graph.schema import Catalogue, InputSpec, NodeSpec, OutputSpec
from engine.graph.workflow import workflow_to_prompt
declared, workflow, repeats = json.load(open(sys.argv[1])), json.load(open(sys.argv[2])), int(sys.argv[3])
catalogue = Catalogue(
    NodeSpec(
        name=name,
        inputs=tuple(InputSpec(name=one, type=kind) for one, kind in inputs.items()),
        outputs=(OutputSpec(name="o", type="*"),),
    )
    for name, inputs in declared.items()
)
times = []
for _ in range(repeats):
    start = time.process_time()
    workflow_to_prompt(workflow, catalogue)
    times.append(time.process_time() - start)
print(min(times))
"""


def main() -> int:
    options = arguments()
    with (
        tempfile.TemporaryDirectory(prefix="safelight-conversion-") as name,
        base_tree(options.base, Path(name)) as base,
    ):
        home = Path(name)
        for path in [*(options.workflows or [largest_template(home)]), made(home)]:
            compare(path, base, home, options.rounds)
    return 0


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("base", nargs="?", default=BASE, help=f"commit or path of a tree (default: {BASE})")
    parser.add_argument("workflows", nargs="*", type=Path, metavar="WORKFLOW", help="files instead of the template")
    parser.add_argument("--rounds", type=int, default=8, help="runs of each side (default: 8)")
    return parser.parse_args()


def compare(path: Path, base: Path, home: Path, rounds: int) -> None:
    """Time both sides in turn and print the ratio."""
    workflow = json.loads(path.read_text())
    declared = home / "declared.json"
    declared.write_text(json.dumps(declarations(workflow)))
    count = sum(len(level["nodes"]) for level in levels(workflow))
    repeats = max(5, 20_000 // max(count, 1))
    times: dict[Path, list[float]] = {base: [], TREE: []}
    for _ in range(rounds):
        for tree in times:
            times[tree].append(measured(tree, declared, path, repeats))
    before, now = (min(times[tree]) for tree in (base, TREE))
    verdict = "ok" if now <= GOAL * before else f"slower than the goal of {GOAL}"
    told = f"{before * 1e3:.2f} ms before, {now * 1e3:.2f} ms now, ratio {now / before:.2f}, {verdict}"
    print(f"{path.stem} ({count} nodes in the file): {told}")


def measured(tree: Path, declared: Path, workflow: Path, repeats: int) -> float:
    """The least CPU seconds of one conversion by the code of a tree."""
    command = [sys.executable, "-c", MEASURE, str(declared), str(workflow), str(repeats)]
    done = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": str(tree)}, cwd=tree, check=True, capture_output=True, text=True
    )
    return float(done.stdout)


@contextmanager
def base_tree(base: str, folder: Path) -> Iterator[Path]:
    """The tree to compare with: a path, or a commit checked out for a while."""
    if Path(base).is_dir():
        yield Path(base).absolute()
        return
    tree = folder / "base"
    git = ["git", "-C", str(TREE), "worktree"]
    subprocess.run([*git, "add", "--quiet", "--detach", str(tree), base], check=True)
    try:
        yield tree
    finally:
        subprocess.run([*git, "remove", "--force", str(tree)], check=True)


def largest_template(folder: Path) -> Path:
    """The template with most nodes of those that need no service."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder), PACKAGE]
    subprocess.run(command, check=True)
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        inside = next(name for name in archive.namelist() if name.endswith("/index.json")).removesuffix("index.json")
        listed = [one for group in json.loads(archive.read(f"{inside}index.json")) for one in group["templates"]]
        texts = {
            one["name"]: archive.read(f"{inside}{one['name']}.json")
            for one in listed
            if one.get("openSource") is not False
        }
    name = max(texts, key=lambda one: sum(len(level["nodes"]) for level in levels(json.loads(texts[one]))))
    path = folder / f"{name}.json"
    path.write_bytes(texts[name])
    return path


def levels(workflow: Any) -> list[Any]:
    """The top of a workflow and the insides of its subgraphs."""
    return [workflow, *(workflow.get("definitions") or {}).get("subgraphs", [])]


def declarations(workflow: Any) -> dict[str, dict[str, str]]:
    """Node type → the inputs that its nodes list (widgets by their type, the rest as sockets)."""
    found: dict[str, dict[str, str]] = {}
    for level in levels(workflow):
        for node in level["nodes"]:
            inputs = found.setdefault(node["type"], {})
            for one in node.get("inputs") or ():
                inputs.setdefault(one["name"], one["type"] if isinstance(one.get("type"), str) else "COMBO")
    subgraphs = {level["id"] for level in levels(workflow)[1:]}
    return {name: inputs for name, inputs in found.items() if name not in subgraphs}


def made(folder: Path) -> Path:
    """A graph of which 2,000 nodes run: half at the top, half in 50 instances of two subgraphs, one within the other."""
    drawing = Drawing()
    loader = drawing.node("CheckpointLoaderSimple", {"ckpt_name": "COMBO"}, ["a"], {})
    while len(drawing.nodes) < NODES // 2:
        pipeline(drawing, loader)
    inner, outer = Drawing(first_link=2), Drawing(first_link=2)
    chain = inner.node("ImageInvert", {}, [], {"image": (-10, 0)})
    for _ in range(8):
        chain = inner.node("ImageBlend", {"blend_factor": "FLOAT"}, [0.5], {"image1": chain, "image2": chain})
    end = outer.node("inner", {}, [], {"image": (-10, 0)})
    for _ in range(9):
        end = outer.node("ImageScale", {"width": "INT", "height": "INT"}, [64, 64], {"image": end})
    for at in range(50):
        image = drawing.node("LoadImage", {"image": "COMBO"}, [f"{at}.png", "image"], {})
        shown = drawing.node("outer", {"width": "INT"}, [64], {"image": image})
        drawing.node("SaveImage", {"filename_prefix": "STRING"}, ["x"], {"images": shown})
    definitions = [inner.definition("inner", chain), outer.definition("outer", end)]
    path = folder / "made.json"
    path.write_text(json.dumps({**drawing.saved(), "definitions": {"subgraphs": definitions}}))
    return path


def pipeline(drawing: Drawing, loader: tuple[int, int]) -> None:
    """Text to image, with a text for each side."""
    texts = [drawing.node("CLIPTextEncode", {"text": "STRING"}, ["a cat"], {"clip": (loader[0], 1)}) for _ in range(2)]
    latent = drawing.node("EmptyLatentImage", dict.fromkeys(("width", "height", "batch_size"), "INT"), [64, 64, 1], {})
    widgets = {
        "seed": "INT",
        "steps": "INT",
        "cfg": "FLOAT",
        "sampler_name": "COMBO",
        "scheduler": "COMBO",
        "denoise": "FLOAT",
    }
    links = {"model": loader, "positive": texts[0], "negative": texts[1], "latent_image": latent}
    sampled = drawing.node("KSampler", widgets, [1, "fixed", 20, 8, "euler", "normal", 1], links)
    image = drawing.node("VAEDecode", {}, [], {"samples": sampled, "vae": (loader[0], 2)})
    drawing.node("SaveImage", {"filename_prefix": "STRING"}, ["x"], {"images": image})


class Drawing:
    """A level of a workflow that grows node by node."""

    def __init__(self, first_link: int = 1) -> None:
        self.nodes: list[dict[str, Any]] = []
        self.links: list[list[Any]] = []
        self._first = first_link

    def node(
        self, kind: str, widgets: dict[str, str], values: list[Any], links: dict[str, tuple[int, int]]
    ) -> tuple[int, int]:
        """Add a node; returns its first output."""
        key = len(self.nodes) + 1
        inputs: list[dict[str, Any]] = []
        for slot, (name, (origin, at)) in enumerate(links.items()):
            self.links.append([self._first + len(self.links), origin, at, key, slot, "*"])
            inputs.append({"name": name, "type": "X", "link": self.links[-1][0]})
        inputs += [
            {"name": name, "type": kind, "widget": {"name": name}, "link": None} for name, kind in widgets.items()
        ]
        outputs = [{"name": "o", "type": "*", "links": [1]}] * 3
        self.nodes.append(
            {"id": key, "type": kind, "inputs": inputs, "outputs": outputs, "mode": 0, "widgets_values": values}
        )
        return key, 0

    def saved(self) -> dict[str, Any]:
        """As it lies at the top of a file."""
        return {"nodes": self.nodes, "links": self.links}

    def definition(self, kind: str, end: tuple[int, int]) -> dict[str, Any]:
        """As a subgraph with one picture in and the output `end`."""
        parts = ("id", "origin_id", "origin_slot", "target_id", "target_slot", "type")
        links = [dict(zip(parts, link, strict=True)) for link in [*self.links, [1, *end, -20, 0, "*"]]]
        inputs = [{"name": "image", "linkIds": [self._first]}]
        return {
            "id": kind,
            "name": kind,
            "inputs": inputs,
            "outputs": [{"name": "o"}],
            "nodes": self.nodes,
            "links": links,
        }


if __name__ == "__main__":
    sys.exit(main())
