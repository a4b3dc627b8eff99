"""JSON written, and prompts that are JSON."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch

from nodes.json_values import build_json_prompt_ideogram, convert_array_to_string, convert_dictionary_to_string


@pytest.mark.parametrize("indent", [0, 1, 4])
def test_values_are_written_as_json(indent: int) -> None:
    value = [1, 2.5, "é", None, {"a": [True]}]
    separators = None if indent else (",", ":")
    expected = json.dumps(value, indent=indent or None, separators=separators, ensure_ascii=False)
    assert convert_array_to_string(value, indent) == expected
    assert json.loads(convert_dictionary_to_string({"a": value}, indent)) == {"a": value}
    assert "\n" not in convert_dictionary_to_string({"a": value}, 0)


def test_what_is_no_json_is_told() -> None:
    with pytest.raises(ValueError, match="this is no JSON"):
        convert_array_to_string([torch.zeros(2)])
    circle: list[Any] = []
    circle.append(circle)
    with pytest.raises(ValueError, match="this is no JSON"):
        convert_array_to_string(circle)


def test_a_prompt_has_the_keys_of_published_ones_in_their_order() -> None:
    element = {"type": "obj", "bbox": [0, 0, 500, 500], "desc": "a moon", "color_palette": []}
    prompt = build_json_prompt_ideogram(
        [element],
        "A night.",
        "A sky",
        style={"style": "photo", "photo": "35mm"},
        aesthetics="moody",
        lighting="dim",
        medium="photograph",
        color_palette=["#000000"],
    )
    assert json.dumps(prompt) == json.dumps(
        {
            "high_level_description": "A night.",
            "style_description": {
                "aesthetics": "moody",
                "lighting": "dim",
                "photo": "35mm",
                "medium": "photograph",
                "color_palette": ["#000000"],
            },
            "compositional_deconstruction": {"background": "A sky", "elements": [element]},
        }
    )


def test_without_a_style_there_is_no_description_of_one() -> None:
    assert build_json_prompt_ideogram([], style={"style": "none"}) == {
        "compositional_deconstruction": {"background": "", "elements": []}
    }
    told = build_json_prompt_ideogram([], style={"style": "art_style", "art_style": "flat"})["style_description"]
    assert list(told) == ["aesthetics", "lighting", "medium", "art_style"]


def test_more_colours_than_steer_a_picture_are_refused() -> None:
    with pytest.raises(ValueError, match="at most 16"):
        build_json_prompt_ideogram([], style={"style": "none"}, color_palette=["#000000"] * 17)
