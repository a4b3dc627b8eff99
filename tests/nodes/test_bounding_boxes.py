"""Boxes of a canvas, in every form in which they come and go."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch

from nodes.bounding_boxes import create_bounding_boxes
from nodes.layout_prompt import flux3_layout_prompt

DRESS = {"x": 128, "y": 192, "width": 736, "height": 896}
ABOUT = {"type": "obj", "text": "", "desc": "dress", "palette": []}
SIGN = {"x": 10, "y": 20, "width": 80, "height": 40}
WORDS = {"type": "text", "text": "MOSS", "desc": "in lime green", "palette": ["#a0ff00"]}


def made(**given: Any) -> tuple[torch.Tensor, list[dict[str, int]], list[dict[str, Any]]]:
    preview, boxes, elements = create_bounding_boxes(**given).values
    return preview, boxes, elements


def test_what_was_drawn_comes_as_pixels_and_as_elements_of_a_prompt() -> None:
    state = [{**DRESS, "metadata": ABOUT}, {**SIGN, "metadata": WORDS}]
    preview, boxes, elements = made(width=896, height=1152, editor_state=state)
    assert boxes == [DRESS, SIGN]
    assert elements == [
        {"type": "obj", "bbox": [167, 143, 944, 964], "desc": "dress", "color_palette": []},
        {
            "type": "text",
            "bbox": [17, 11, 52, 100],
            "text": "MOSS",
            "desc": "in lime green",
            "color_palette": ["#a0ff00"],
        },
    ]
    assert preview.shape == (1, 1152, 896, 3)
    assert preview.dtype == torch.float32


def test_elements_reach_the_layout_prompt() -> None:
    state = [{**DRESS, "metadata": ABOUT}, {**SIGN, "metadata": WORDS}]
    elements = made(width=896, height=1152, editor_state=state)[2]
    text, _, rows = flux3_layout_prompt("Change <obj_1> to red", elements).partition(" [")
    assert text == "Change <obj_1> to red"
    assert json.loads("[" + rows) == [
        {"id": "obj_1", "bbox": [167, 143, 944, 964], "desc": "dress"},
        {"id": "obj_2", "bbox": [17, 11, 52, 100], "desc": '"MOSS" in lime green'},
    ]


def test_nothing_drawn_is_an_empty_canvas() -> None:
    preview, boxes, elements = made()
    assert (boxes, elements) == ([], [])
    assert (preview == preview[0, 0, 0]).all()
    assert flux3_layout_prompt("as it is", elements) == "as it is"


def test_the_picture_shows_the_boxes_over_the_background() -> None:
    background = torch.full((2, 64, 64, 3), 0.5)
    box = {"x": 40, "y": 40, "width": 100, "height": 60, "metadata": {**ABOUT, "palette": ["#ff0000"]}}
    preview = made(width=256, height=128, editor_state=[box], background=background)[0][0]
    assert preview[120, 250].tolist() == pytest.approx([0.5] * 3, abs=1 / 255)
    assert preview[99, 130].tolist() == [1.0, 0.0, 0.0]
    assert preview[90, 130].tolist() == pytest.approx([0.5] * 3, abs=1 / 255)


@pytest.mark.parametrize("form", ["boxes", "one box", "elements", "text of boxes", "text of elements"])
def test_boxes_come_in_every_form(form: str) -> None:
    boxes = [{**DRESS, "metadata": ABOUT}]
    elements = [{"type": "obj", "bbox": [250, 125, 500, 250], "desc": "dress"}]
    given = {
        "boxes": boxes,
        "one box": DRESS,
        "elements": elements,
        "text of boxes": json.dumps(boxes),
        "text of elements": json.dumps(elements),
    }
    wanted = {"x": 128, "y": 256, "width": 128, "height": 256} if "elements" in form else DRESS
    assert made(bboxes=given[form])[1] == [wanted]


def test_new_boxes_take_the_place_of_what_was_drawn_until_they_are_edited() -> None:
    first, second = [{**DRESS, "metadata": ABOUT}], [SIGN]
    edited = [{**DRESS, "x": 0, "metadata": ABOUT}]
    assert made(bboxes=first)[1] == [DRESS]
    assert made(bboxes=first, editor_state=edited)[1] == [DRESS]
    assert made(bboxes=first, editor_state=edited, last_incoming=first)[1] == [{**DRESS, "x": 0}]
    assert made(bboxes=second, editor_state=edited, last_incoming=first)[1] == [SIGN]
    assert made(bboxes="", editor_state=edited, last_incoming=first)[1] == [{**DRESS, "x": 0}]


def test_editors_are_told_what_came() -> None:
    told = create_bounding_boxes(bboxes=[SIGN]).ui
    assert told == {"incoming_boxes": [{**SIGN, "metadata": {"type": "obj", "text": "", "desc": "", "palette": []}}]}


def test_a_box_past_the_edge_is_an_element_up_to_it() -> None:
    elements = made(editor_state=[{"x": -10, "y": 512, "width": 2000, "height": 1024}])[2]
    assert elements[0]["bbox"] == [500, 0, 1000, 1000]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"editor_state": [{"x": 1, "y": 2}]}, r"editor_state\[0\] must be four numbers"),
        ({"editor_state": [{**SIGN, "width": 0}]}, "at least 1 pixel"),
        (
            {"editor_state": [{**SIGN, "metadata": {"type": "person"}}]},
            r"metadata.type must be obj or text, got person",
        ),
        ({"editor_state": [3]}, r"editor_state\[0\] must be a box"),
        ({"bboxes": "{not"}, "bboxes is a text that is no JSON"),
        ({"bboxes": [{"bbox": [1, 2, float("nan"), 4]}]}, r"bboxes\[0\].bbox must be four numbers"),
        ({"bboxes": 4}, "bboxes must be a list of boxes"),
    ],
)
def test_what_is_no_box_is_refused(given: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        made(**given)
