"""What our editor shows of a saved workflow is what runs: cases with what the field's front end posts for them.

All that were ever measured lie beside the tests of conversions.
"""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
NEWER = ROOT / "tests" / "graph" / "cases" / "newer_nodes.json"
FOLDERS = (Path(__file__).parent / "conversion", ROOT / "tests" / "graph" / "cases" / "conversion")
INSTANCES = {
    "g2_compressed": {"2:text": "Alpha", "6:text": "Beta"},
    "g3_proxy_primitive": {"2:2:value": "exterior", "2:1:value": "exterior"},
    "g7_no_markers": {
        "2:text": "hello",
        "2:width": "24",
        "2:10:string_a": "hello",
        "2:10:string_b": "T",
        "2:11:width": "24",
    },
    "g9_nested_proxy_link": {"2:6:string_a": "OUT", "2:6:5:string_a": "OUT", "2:6:5:string_b": "in"},
    "g12_dup_inputs": {"1:value": "A", "9:value": "B", "2:a": "linked", "2:b": "linked"},
}
"""Cases of instances, of which the right values are known and no prompt."""
DRAWN = {"text_dynamic_prompt", "primitive_string_dynamic"}
"""Texts with choices: they are shown as they were written, and as they ran once they did."""
OF_THE_FOLDER = {"loadimage_empty"}
"""A file that nothing names: the first that is there."""

LOOK = """async ([workflow, places]) => {
  const frame = () => new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
  for (const node of workflow.nodes) node.size = null;
  await safelight.open(workflow, 'case');
  const said = (row) => {
    const [number, choice, toggle] = ['spinbutton', 'combobox', 'switch'].map((role) => row.querySelector(`[role=${role}]`));
    const linked = row.querySelector('.sl-widget-linked');
    const field = row.querySelector('textarea, input');
    if (linked) return linked.textContent;
    if (number) return number.getAttribute('aria-valuetext');
    if (toggle) return toggle.getAttribute('aria-checked');
    if (choice) return choice.querySelector('.sl-combo-text').textContent;
    return field?.value || (field?.disabled ? 'linked' : '');
  };
  const found = {};
  for (const path of places) {
    safelight.store().getState().goTo(path);
    await frame();
    safelight.canvas().fitView();
    await frame();
    await frame();
    for (const row of document.querySelectorAll('[data-widget]')) {
      found[[...path, row.dataset.widget].join(':')] = said(row);
    }
  }
  const written = JSON.parse(JSON.stringify(safelight.workflow()));
  safelight.run('file.close');
  return {found, written};
}"""


def cases() -> dict[str, Path]:
    """Name → saved workflow, with what is posted for it beside it."""
    return {path.name.split(".")[0]: path for folder in FOLDERS for path in sorted(folder.glob("*.workflow.json"))}


def declared(answer: Any) -> str:
    """Our own nodes and the newer ones of the cases, as `object_info` has them."""
    return json.dumps({**answer, **json.loads(NEWER.read_text())})


@pytest.fixture(scope="module")
def looker(shared_home: Any, chromium: Any) -> Iterator[Any]:
    """`looker(workflow, paths)`: what the editor shows of it, all cases in one page."""
    context = chromium.new_context(viewport={"width": 1500, "height": 700})
    context.route("**/api/object_info", lambda route: route.fulfill(json=json.loads(declared(route.fetch().json()))))
    page = context.new_page()
    page.goto(shared_home.url)
    page.wait_for_function(
        "() => document.querySelector('[data-node]') && window.safelight?.workflow()", timeout=90_000
    )
    # Everything is laid out and nothing painted, which takes most of the time.
    page.evaluate(
        "() => { document.body.style.visibility = 'hidden'; document.documentElement.dataset.motion = 'reduced'; }"
    )
    yield lambda workflow, paths: page.evaluate(LOOK, [workflow, paths])
    context.close()


def paths_in(workflow: dict[str, Any]) -> list[list[str]]:
    """The root and every instance, nested ones too, as the ids that lead there."""
    inner = {one["id"]: one["nodes"] for one in workflow.get("definitions", {}).get("subgraphs", [])}

    def walk(nodes: list[dict[str, Any]], path: list[str]) -> Iterator[list[str]]:
        yield path
        for node in nodes:
            if node["type"] in inner:
                yield from walk(inner[node["type"]], [*path, str(node["id"])])

    return list(walk(workflow["nodes"], []))


def classes(workflow: dict[str, Any]) -> dict[str, str]:
    """Id in the form that runs → type, of every node."""
    inner = {one["id"]: one["nodes"] for one in workflow.get("definitions", {}).get("subgraphs", [])}
    found: dict[str, str] = {}
    for path in paths_in(workflow):
        nodes = workflow["nodes"]
        for step in path:
            nodes = inner[next(node["type"] for node in nodes if str(node["id"]) == step)]
        found |= {":".join([*path, str(node["id"])]): node["type"] for node in nodes}
    return found


def constants(prompt: dict[str, Any], known: dict[str, str]) -> Iterator[tuple[str, str, Any]]:
    """(node, input, value) of what is no link. Nodes inside subgraphs may be numbered otherwise: then by their type."""
    for node_id, node in prompt.items():
        prefix = node_id.rpartition(":")[0]
        alike = [one for one, kind in known.items() if kind == node["class_type"] and one.rpartition(":")[0] == prefix]
        place = node_id if node_id in alike or not prefix else (alike or [""])[0]
        for name, value in node["inputs"].items() if place in known else ():
            if not (isinstance(value, list) and len(value) == 2 and value[0] in prompt):
                yield place, name, value


def reads(shown: str | None, value: Any) -> bool:
    """Whether a widget that says this shows the value."""
    if value is None:
        return shown in ("", "null", "choose…")
    if isinstance(value, bool):
        return shown == str(value).lower()
    if isinstance(value, str):
        return shown == value or (value == "" and shown == "choose…")
    try:
        return json.loads(shown or "") == value
    except ValueError:
        return False


def differences(found: dict[str, str], expected: Iterator[tuple[str, str, Any]]) -> list[str]:
    """Values that are not shown as they run. What has no widget in our editor, as an any-socket has none, shows none."""
    return [
        f"{node} {name}: runs {value!r}, shows {found[f'{node}:{name}']!r}"
        for node, name, value in expected
        if f"{node}:{name}" in found and not reads(found[f"{node}:{name}"], value)
    ]


def converted(url: str, workflow: Any) -> dict[str, Any]:
    """What our server runs for what the editor would post."""
    body = json.dumps(workflow).encode()
    request = urllib.request.Request(f"{url}/api/v1/convert", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        prompt: dict[str, Any] = json.load(answer)["prompt"]
        return prompt


@pytest.mark.skipif(not NEWER.is_file(), reason="the declarations of the cases' newer nodes are not there")
def test_the_editor_shows_the_values_that_run(looker, shared_home):
    wrong: list[str] = []
    seen = 0
    newer = json.loads(NEWER.read_text())
    for name, path in cases().items():
        workflow = json.loads(path.read_text())
        known = classes(workflow)
        looked = looker(json.loads(path.read_text()), paths_in(workflow))
        posts = path.with_name(f"{name}.prompt.json")
        if posts.is_file() and name not in DRAWN | OF_THE_FOLDER:
            expected = list(constants(json.loads(posts.read_text()), known))
            seen += sum(f"{node}:{called}" in looked["found"] for node, called, _ in expected)
            wrong += [f"{name}: {one}" for one in differences(looked["found"], iter(expected))]
        told = INSTANCES.get(name.removeprefix("instance_"), {})
        wrong += [
            f"{name}: {place} shows {looked['found'].get(place)!r}"
            for place, value in told.items()
            if looked["found"].get(place) != value
        ]
        if name not in DRAWN and not newer.keys() & set(known.values()):
            runs = converted(shared_home.url, looked["written"])
            wrong += [f"{name}: on our server {one}" for one in differences(looked["found"], constants(runs, known))]
    assert wrong == []
    assert seen >= 1000
