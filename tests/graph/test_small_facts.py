"""Facts of saved graphs that are told in a line: which of several counts, what stands where, and how numbers are rounded."""

from __future__ import annotations

import pytest

from engine.graph.a1111_text import parse_settings
from engine.graph.formats import load
from engine.graph.layout import prompt_to_workflow
from engine.graph.levels import Level
from engine.graph.schema import InputSpec, NodeSpec
from engine.graph.widgets import value_list
from engine.graph.workflow import stepped, workflow_to_prompt
from tests.graph.conftest import number


def test_of_two_senders_of_a_name_the_first_counts() -> None:
    nodes = [{"id": id, "type": "SetNode", "widgets_values": ["name"]} for id in (3, 1)]
    assert Level({"nodes": nodes}, []).senders == {"name": "3"}


def test_the_four_sides_of_a_bounding_box_follow_it_in_their_order() -> None:
    spec = NodeSpec(name="Crop", inputs=(InputSpec(name="box", type="BOUNDING_BOX", default=None),))
    box = {"x": 1, "y": 2, "width": 3, "height": 4}
    assert value_list(spec, {"box": box}) == [box, 1, 2, 3, 4]


def test_nodes_of_a_column_stand_beside_what_they_read(catalogue) -> None:
    prompt = {
        "1": {"class_type": "LoadImage", "inputs": {"image": "cat.png"}},
        "2": {"class_type": "LoadImage", "inputs": {"image": "dog.png"}},
        "3": {"class_type": "PreviewImage", "inputs": {"images": ["2", 0]}},
        "4": {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}},
    }
    heights = {one["id"]: one["pos"][1] for one in prompt_to_workflow(prompt, catalogue)["nodes"]}
    assert heights[1] < heights[2]
    assert heights[4] < heights[3]


def test_new_ids_follow_the_largest_of_the_graph(catalogue) -> None:
    load_image = {"class_type": "LoadImage", "inputs": {"image": "cat.png"}}
    workflow = prompt_to_workflow({"3": load_image, "a": load_image, "4": load_image, "b": load_image}, catalogue)
    assert sorted(one["id"] for one in workflow["nodes"]) == [3, 4, 5, 6]
    assert workflow["last_node_id"] == 6


def test_a_prompt_beside_its_workflow_is_what_counts(catalogue, text_to_image) -> None:
    workflow = prompt_to_workflow(text_to_image, catalogue)
    changed = {**text_to_image, "3": {**text_to_image["3"], "inputs": {**text_to_image["3"]["inputs"], "steps": 7}}}
    loaded = load({"prompt": changed, "workflow": workflow}, catalogue)
    assert loaded.prompt["3"]["inputs"]["steps"] == 7
    assert loaded.workflow == workflow


@pytest.mark.parametrize(("step", "value", "expected"), [(0.05, 0.123, 0.12), (0.1, 0.16, 0.2), (1.0, 1.6, 2.0)])
def test_a_fraction_is_rounded_to_the_digits_of_its_step(step, value, expected) -> None:
    assert stepped(value, number("x", 0.0, 0.0, 10.0, step=step)) == expected


def test_of_two_lines_of_settings_the_last_is_the_settings() -> None:
    line = "Steps: {}, Sampler: Euler, CFG scale: 7, Seed: 1, Size: 64x64"
    read = parse_settings("a cat\n" + line.format(10) + "\n" + line.format(20))
    assert read.values["Steps"] == "20"
    assert "Steps: 10" in read.positive


def test_a_node_is_called_by_its_own_title(catalogue) -> None:
    node = {"id": 1, "type": "LoadImage", "title": "My cat", "widgets_values": ["cat.png", "image"]}
    [entry] = workflow_to_prompt({"nodes": [node], "links": [], "version": 0.4}, catalogue).prompt.values()
    assert entry["_meta"]["title"] == "My cat"
