from __future__ import annotations

import json
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.graph.layout import prompt_to_workflow
from engine.graph.problems import GraphError
from engine.graph.workflow import workflow_to_prompt


def back(prompt, catalogue):
    converted = workflow_to_prompt(json.loads(json.dumps(prompt_to_workflow(prompt, catalogue))), catalogue)
    assert converted.problems == []
    return {node_id: (node["class_type"], node["inputs"]) for node_id, node in converted.prompt.items()}


def bare(prompt):
    return {node_id: (node["class_type"], node["inputs"]) for node_id, node in prompt.items()}


def test_a_prompt_comes_back_from_its_workflow(catalogue, text_to_image):
    assert back(text_to_image, catalogue) == bare(text_to_image)


def test_unknown_classes_odd_values_and_undeclared_links_come_back_too(catalogue):
    prompt = {
        "1": {"class_type": "LoadImage", "inputs": {"image": "cat.png"}},
        "2": {"class_type": "Unheard", "inputs": {"image": ["1", 0], "amount": 3, "seed": 5, "mode": "fixed"}},
        "3": {"class_type": "Tint", "inputs": {"image": ["2", 4], "colour": {"r": 1}}},
        "4": {
            "class_type": "Switch",
            "inputs": {"index": 1, "value0": ["3", 0], "value1": ["1", 0], "list": {"__value__": [1, 2]}},
        },
        "5": {"class_type": "PreviewAny", "inputs": {"source": ["4", 0]}},
    }
    assert back(prompt, catalogue) == bare(prompt)


def test_generations_stand_from_left_to_right_and_nodes_do_not_overlap(catalogue, text_to_image):
    nodes = {one["id"]: one for one in prompt_to_workflow(text_to_image, catalogue)["nodes"]}
    columns = [[4, 5], [6, 7], [3], [8], [9]]
    lefts = [{nodes[one]["pos"][0] for one in column} for column in columns]
    assert [len(left) for left in lefts] == [1] * 5
    assert sorted(lefts, key=min) == lefts
    for column in columns:
        spans = sorted((nodes[one]["pos"][1], nodes[one]["pos"][1] + nodes[one]["size"][1]) for one in column)
        assert all(end <= start for (_, end), (start, _) in pairwise(spans))


def test_links_are_told_at_both_ends(catalogue, text_to_image):
    workflow = prompt_to_workflow(text_to_image, catalogue)
    nodes = {one["id"]: one for one in workflow["nodes"]}
    for number, origin, slot, target, target_slot, kind in workflow["links"]:
        assert number in nodes[origin]["outputs"][slot]["links"]
        assert nodes[origin]["outputs"][slot]["type"] == kind
        assert nodes[target]["inputs"][target_slot]["link"] == number
    assert workflow["last_link_id"] == len(workflow["links"]) == 9


def test_seeds_and_uploads_get_the_value_that_editors_put_after_them(catalogue, text_to_image):
    text_to_image["1"] = {"class_type": "LoadImage", "inputs": {"image": "cat.png"}}
    nodes = {one["id"]: one for one in prompt_to_workflow(text_to_image, catalogue)["nodes"]}
    assert nodes[3]["widgets_values"] == [1, "fixed", 20, 7.5, "euler", "normal", 1.0]
    assert nodes[1]["widgets_values"] == ["cat.png", "image"]


def test_ids_that_are_no_numbers_get_new_ones(catalogue):
    prompt = {
        "a": {"class_type": "LoadImage", "inputs": {"image": "cat.png"}},
        "5": {"class_type": "ImageInvert", "inputs": {"image": ["a", 0]}},
        "2:7": {"class_type": "PreviewImage", "inputs": {"images": ["5", 0]}},
    }
    assert back(prompt, catalogue) == {
        "6": ("LoadImage", {"image": "cat.png"}),
        "5": ("ImageInvert", {"image": ["6", 0]}),
        "7": ("PreviewImage", {"images": ["5", 0]}),
    }


def test_a_circle_has_no_layout(catalogue):
    with pytest.raises(GraphError, match="circle"):
        prompt_to_workflow({"1": {"class_type": "ImageInvert", "inputs": {"image": ["1", 0]}}}, catalogue)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(data=st.data(), count=st.integers(2, 20))
def test_any_graph_comes_back_from_its_workflow(catalogue, data, count):
    graph = {"0": {"class_type": "LoadImage", "inputs": {"image": "cat.png"}}}
    for number in range(1, count):
        first, second = ([str(data.draw(st.integers(0, number - 1))), 0] for _ in range(2))
        factor = data.draw(st.floats(0, 1))
        graph[str(number)] = {
            "class_type": "ImageBlend",
            "inputs": {"image1": first, "image2": second, "blend_factor": factor},
        }
    assert back(graph, catalogue) == bare(graph)
