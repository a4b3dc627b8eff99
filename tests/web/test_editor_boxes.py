"""Boxes drawn on the canvas of a node, named, and run."""

from __future__ import annotations

import json
from typing import Any

SAVED = {"x": 128, "y": 192, "width": 736, "height": 896}
DRESS = {**SAVED, "metadata": {"type": "obj", "text": "", "desc": "dress", "palette": []}}


def slot(name: str, kind: str, link: int | None) -> dict[str, Any]:
    return {"name": name, "type": kind, "link": link}


def graph(boxes: list[Any], incoming: list[Any] | None = None) -> dict[str, Any]:
    """A text to begin from, the canvas as the field saves it, the layout prompt, and its text shown."""
    inputs = [slot("background", "IMAGE", None), slot("bboxes", "BOUNDING_BOX,ARRAY,STRING", 1 if incoming else None)]
    outputs = [
        {"name": "preview", "type": "IMAGE", "links": None},
        {"name": "bboxes", "type": "BOUNDING_BOX", "links": None},
        {"name": "elements", "type": "ARRAY", "links": [2]},
    ]
    nodes = [
        {
            "id": 1,
            "type": "CreateBoundingBoxes",
            "pos": [40, 60],
            "size": [420, 560],
            "inputs": inputs,
            "outputs": outputs,
            "widgets_values": [896, 1152, boxes, []],
        },
        {
            "id": 2,
            "type": "Flux3LayoutPrompt",
            "pos": [520, 60],
            "size": [300, 200],
            "inputs": [slot("element", "ARRAY", 2)],
            "outputs": [{"name": "prompt", "type": "STRING", "links": [3]}],
            "widgets_values": ["A street"],
        },
        {
            "id": 3,
            "type": "PreviewAny",
            "pos": [520, 320],
            "size": [300, 200],
            "inputs": [slot("source", "*", 3)],
            "outputs": [],
            "widgets_values": [],
        },
    ]
    links = [[2, 1, 2, 2, 0, "ARRAY"], [3, 2, 0, 3, 0, "*"]]
    if incoming:
        nodes.append(
            {
                "id": 4,
                "type": "PrimitiveString",
                "pos": [40, 680],
                "size": [300, 60],
                "inputs": [],
                "outputs": [{"name": "STRING", "type": "STRING", "links": [1]}],
                "widgets_values": [json.dumps(incoming)],
            }
        )
        links.append([1, 4, 0, 1, 1, "STRING"])
    return {"nodes": nodes, "links": links, "last_node_id": 4, "last_link_id": 3, "version": 0.4}


def place(editor: Any, x: float, y: float) -> tuple[float, float]:
    """Where a pixel of the canvas of boxes is on the page."""
    found = editor.page.evaluate(
        """([x, y]) => {
          const board = document.querySelector('[data-node="1"] [data-boxes-board]');
          const at = new DOMPoint(x, y).matrixTransform(board.getScreenCTM());
          return [at.x, at.y];
        }""",
        [x, y],
    )
    return (found[0], found[1])


def shown(editor: Any, text: str) -> None:
    editor.node(3).locator(".sl-preview-text", has_text=text).wait_for()


def test_boxes_are_drawn_named_moved_taken_away_and_run(editor):
    page = editor.page
    editor.load(graph([DRESS]))
    canvas = editor.widget(1, "editor_state")
    canvas.get_by_role("button", name="Box 1 dress").wait_for()
    editor.drag(place(editor, 20, 20), place(editor, 320, 120))
    _, sign = editor.value(1, "editor_state")
    assert all(
        abs(sign[side] - wanted) <= 6 for side, wanted in {"x": 20, "y": 20, "width": 300, "height": 100}.items()
    )
    canvas.get_by_role("combobox", name="Type of the box").select_option("text")
    canvas.get_by_role("textbox", name="Lettering").fill("MOSS")
    canvas.get_by_role("textbox", name="Description").fill("in lime green")
    editor.shot("boxes-drawn")
    first, second = editor.value(1, "editor_state")
    assert first == DRESS
    assert second["metadata"] == {"type": "text", "text": "MOSS", "desc": "in lime green", "palette": []}
    editor.run()
    shown(editor, '"desc": "\\"MOSS\\" in lime green"')
    shown(editor, '"bbox": [167, 143, 944, 964], "desc": "dress"')

    canvas.get_by_role("button", name="Box 2 MOSS").focus()
    page.keyboard.press("Shift+ArrowRight")
    assert editor.value(1, "editor_state")[1]["x"] == second["x"] + 16
    page.keyboard.press("Delete")
    assert editor.value(1, "editor_state") == [DRESS]
    assert len(editor.nodes("CreateBoundingBoxes")) == 1
    editor.drag(place(editor, 500, 600), place(editor, 400, 500))
    ((moved),) = editor.value(1, "editor_state")
    assert abs(moved["x"] - 28) <= 6
    assert (moved["width"], moved["height"]) == (736, 896)
    editor.healthy()


def test_boxes_that_come_over_a_link_are_shown_and_kept_once_they_are_changed(editor):
    editor.load(graph([], incoming=[DRESS]))
    canvas = editor.widget(1, "editor_state")
    editor.run()
    box = canvas.get_by_role("button", name="Box 1 dress")
    box.wait_for()
    assert editor.value(1, "editor_state") == []
    box.focus()
    editor.page.keyboard.press("ArrowDown")
    assert editor.value(1, "editor_state") == [{**DRESS, "y": 193}]
    assert editor.value(1, "last_incoming") == [DRESS]
    editor.run()
    shown(editor, '"bbox": [168, 143, 945, 964]')
    editor.healthy()


def test_what_is_no_box_stays_as_text(editor):
    editor.load(graph([{"x": 1}]))
    field = editor.widget(1, "editor_state").get_by_role("textbox", name="editor_state as JSON")
    assert field.input_value() == '[{"x":1}]'
