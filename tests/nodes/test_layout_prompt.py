"""Elements listed behind a prompt."""

from __future__ import annotations

import json

import pytest

from nodes.layout_prompt import flux3_layout_prompt


def test_elements_stand_behind_the_prompt_as_rows_that_it_can_cite() -> None:
    elements = [
        {"type": "obj", "bbox": [166.7, 142, 944, 1010], "desc": "dress", "text": "", "color_palette": ["#fff"]},
        {"type": "text", "bbox": [0, 0, 100, 200], "desc": "in red neon", "text": 'Öl "now"'},
    ]
    made = flux3_layout_prompt("Change <obj_1> to red ", elements)
    text, _, table = made.partition(" [")
    assert text == "Change <obj_1> to red"
    assert json.loads("[" + table) == [
        {"id": "obj_1", "bbox": [167, 142, 944, 1000], "desc": "dress"},
        {"id": "obj_2", "bbox": [0, 0, 100, 200], "desc": '"Öl \\"now\\"" in red neon'},
    ]
    assert "Öl" in made


def test_the_library_reads_the_rows_back() -> None:
    from diffusers.modular_pipelines.flux3.prompt_upsampler import split_caption, valid_canvas_box

    caption, rows = split_caption(
        flux3_layout_prompt("A cup <obj_1>", [{"bbox": [100, 200, 300, 400], "desc": "a cup"}])
    )
    assert caption == "A cup <obj_1>"
    assert rows is not None
    assert valid_canvas_box(rows[0]["bbox"]) == [100, 200, 300, 400]


def test_without_elements_the_prompt_stays_as_it_is() -> None:
    assert flux3_layout_prompt(" as it is ") == flux3_layout_prompt(" as it is ", []) == " as it is "


def test_an_element_without_a_box_is_refused() -> None:
    with pytest.raises(ValueError, match="an element needs a bbox"):
        flux3_layout_prompt("a cup", [{"desc": "a cup"}])
