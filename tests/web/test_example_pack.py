"""The widget of custom_nodes/example_pack, in the editor and on the workflow that it brings."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

PACK = Path(__file__).resolve().parents[2] / "custom_nodes" / "example_pack"
WORKFLOW = json.loads((PACK / "example_workflows" / "palette.json").read_text())
PRINT = "#000000 #ffffff #00aeef #ec008c #fff200"


@pytest.fixture(scope="module")
def example_home(tmp_path_factory: pytest.TempPathFactory, home_on: Any) -> Iterator[Any]:
    base = tmp_path_factory.mktemp("editor-example")
    shutil.copytree(PACK, base / "custom_nodes" / PACK.name, ignore=shutil.ignore_patterns("__pycache__"))
    with home_on(base) as home:
        yield home


@pytest.fixture
def example(example_home: Any, visit: Callable[..., Any], open_editor: Any) -> Iterator[Any]:
    """The editor with the workflow of the pack, once its widget is there."""
    opened = open_editor(visit(example_home.url))
    opened.load(WORKFLOW, "Palette")
    opened.node(1).get_by_label("Colour 5").wait_for()
    yield opened
    opened.healthy()


def colors(editor: Any) -> str:
    """The value of the palette's widget, as it is saved."""
    [node] = editor.nodes("ExamplePalette")
    return str(node["widgets_values"][0])


def test_a_palette_is_chosen_by_the_packs_widget_and_route_and_undone(example: Any) -> None:
    before = colors(example)
    node = example.node(1)
    node.get_by_label("A ready palette").select_option("print")
    example.until(f"() => document.querySelector('[aria-label=\"Colour 3\"]').value === '{PRINT.split()[2]}'")
    assert colors(example) == PRINT
    example.shot("example-pack-widget")
    example.page.keyboard.press("Control+z")
    example.until(f"() => document.querySelector('[aria-label=\"Colour 3\"]').value === '{before.split()[2]}'")
    assert colors(example) == before


def test_one_colour_is_changed_and_the_workflow_runs_with_it(example: Any) -> None:
    field = example.node(1).get_by_label("Colour 1")
    field.fill("#ff0000")
    assert colors(example).split()[0] == "#ff0000"
    example.run()
    example.page.get_by_text("slowly but side by side").first.wait_for()
    example.shot("example-pack-ran")


def test_the_packs_own_workflows_are_among_the_templates(example: Any) -> None:
    example.command("workflow.templates")
    section = example.page.get_by_role("region", name="example_pack")
    section.get_by_role("button", name="palette").click()
    example.until("() => safelight.workflow().nodes.filter((node) => node.type === 'ExamplePalette').length === 1")
    example.shot("example-pack-templates")
