"""What an instance of a subgraph holds for what is inside it: read, and written back."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from engine.graph.following import passed_on
from engine.graph.parameters import set_value
from engine.graph.workflow import stepped, workflow_to_prompt
from engine.graph.workflow_edit import write_value
from tests.graph.conftest import number, whole

SIZES = ("width", "height", "batch_size")


def node(id, kind, inputs=(), outputs=(), **more):
    return {"id": id, "type": kind, "inputs": list(inputs), "outputs": list(outputs), **more}


def widget(name, link=None):
    return {"name": name, "type": "INT", "widget": {"name": name}, "link": link}


def inner_link(id, origin, slot, target, target_slot):
    return {"id": id, "origin_id": origin, "origin_slot": slot, "target_id": target, "target_slot": target_slot}


LATENT = {
    "id": "S",
    "name": "Size",
    "inputs": [{"name": "w", "linkIds": [1]}, {"name": "any", "linkIds": [4]}, {"name": "h", "linkIds": [2, 5]}],
    "outputs": [{"name": "LATENT"}],
    "nodes": [
        node(
            11,
            "EmptyLatentImage",
            [widget("width", 1), widget("height", 2), widget("batch_size")],
            widgets_values=[512, 768, 1],
        ),
        node(12, "PreviewAny", [{"name": "source", "type": "*", "link": 4}]),
        node(13, "PreviewAny", [{"name": "source", "type": "*", "link": 5}]),
    ],
    "links": [
        inner_link(1, -10, 0, 11, 0),
        inner_link(2, -10, 2, 11, 1),
        inner_link(3, 11, 0, -20, 0),
        inner_link(4, -10, 1, 12, 0),
        inner_link(5, -10, 2, 13, 0),
    ],
}
"""Inputs w and h lead to widgets, `any` to a socket alone."""

AROUND = {
    "id": "T",
    "name": "Around",
    "inputs": [{"name": "wide", "linkIds": [1]}],
    "outputs": [{"name": "LATENT"}],
    "nodes": [node(21, "S", [widget("w", 1), widget("h")], widgets_values=[600, 601])],
    "links": [inner_link(1, -10, 0, 21, 0), inner_link(2, 21, 0, -20, 0)],
}


def workflow(*nodes, links=(), definitions=(LATENT, AROUND)):
    return copy.deepcopy({"nodes": list(nodes), "links": list(links), "definitions": {"subgraphs": list(definitions)}})


def inside(saved, catalogue, prefix="8"):
    found = workflow_to_prompt(saved, catalogue)
    assert found.problems == []
    sizes = found.prompt[f"{prefix}:11"]["inputs"]
    return tuple(sizes[name] for name in SIZES)


def held(values, proxies=None, inputs=(), **more):
    properties = {} if proxies is None else {"proxyWidgets": proxies}
    return workflow(node(8, "S", inputs, widgets_values=values, properties=properties, **more))


# ---- reading


@pytest.mark.parametrize(
    "inputs",
    [
        [],
        [widget("h")],
        [widget("h"), widget("w")],
        [widget("w"), widget("w"), widget("h")],
        [{"name": "any", "link": None}],
    ],
    ids=["none", "one", "reversed", "twice", "a socket"],
)
def test_values_belong_to_the_inputs_of_the_definition_whatever_the_instance_lists(inputs, catalogue):
    assert inside(held([64, 32], inputs=inputs), catalogue) == (64, 32, 1)


@pytest.mark.parametrize(
    ("values", "sizes"),
    [
        ([64], (64, 768, 1)),
        ([None, 32], (512, 32, 1)),
        ([], (512, 768, 1)),
        (None, (512, 768, 1)),
        ([64, 32, 7], (64, 32, 1)),
    ],
    ids=["fewer", "null", "empty", "none", "more"],
)
def test_a_value_that_is_missing_is_the_one_inside(values, sizes, catalogue):
    assert inside(held(values), catalogue) == sizes


def test_a_dict_is_not_read_but_values_by_name_without_a_list_are(catalogue):
    assert inside(held({"w": 64, "h": 32}), catalogue) == (512, 768, 1)
    assert inside(held(None, widgets_values_named={"w": 64, "h": 32}), catalogue) == (64, 32, 1)
    assert inside(held([8, 16], widgets_values_named={"w": 64, "h": 32}), catalogue) == (8, 16, 1)


@pytest.mark.parametrize(
    ("proxies", "values", "sizes"),
    [
        ([["-1", "h"], ["-1", "w"]], [32, 64], (64, 32, 1)),
        ([["11", "batch_size"], ["-1", "w"], ["-1", "h"]], [3, 64, 32], (64, 32, 3)),
        ([["11", "height"]], [99], (99, 99, 1)),
        ([[11, "height"], ["11", "width"]], [32, 64], (64, 32, 1)),
        ([["11", "batch_size"]], [64, 32, 2], (64, 32, 64)),
        ([["77", "gone"], "odd", ["-1"]], [64, 32, 3], (64, 32, 1)),
    ],
)
def test_proxies_take_their_values_by_place_after_the_definition_has(proxies, values, sizes, catalogue):
    assert inside(held(values, proxies), catalogue) == sizes


def test_an_input_that_leads_to_a_widget_gives_its_value_to_sockets_too(catalogue):
    prompt = workflow_to_prompt(held([64, 32]), catalogue).prompt
    assert prompt["8:13"]["inputs"] == {"source": 32}
    assert prompt["8:12"]["inputs"] == {}
    assert workflow_to_prompt(held([]), catalogue).prompt["8:13"]["inputs"] == {
        "source": 768
    }  # that of the widget inside


@pytest.mark.parametrize(("values", "sizes"), [([64], (64, 601, 1)), ([], (600, 601, 1)), ([None], (600, 601, 1))])
def test_values_reach_through_instances_within_others(values, sizes, catalogue):
    assert inside(workflow(node(8, "T", widgets_values=values)), catalogue, "8:21") == sizes


@pytest.mark.parametrize(
    ("place", "value", "sizes"),
    [(["21", "h"], 32, (600, 32, 1)), (["21", "w"], 64, (64, 601, 1)), (["21", "batch_size"], 4, (600, 601, 4))],
)
def test_proxies_reach_into_inner_instances(place, value, sizes, catalogue):
    around = copy.deepcopy(AROUND)
    around["inputs"] = []
    around["links"] = around["links"][1:]
    around["nodes"][0]["properties"] = {"proxyWidgets": [["-1", "w"], ["-1", "h"], ["11", "batch_size"]]}
    saved = workflow(
        node(8, "T", widgets_values=[value], properties={"proxyWidgets": [place]}), definitions=(LATENT, around)
    )
    assert inside(saved, catalogue, "8:21") == sizes


def test_links_are_matched_by_name_alone(catalogue):
    entries = [{"name": "h", "type": "INT", "link": 1}, {"name": "other", "type": "INT", "link": None}]
    saved = workflow(
        node(1, "PrimitiveInt", outputs=[{"name": "INT", "links": [1]}], widgets_values=[5]),
        node(8, "S", entries, widgets_values=[64]),
        links=[[1, 1, 0, 8, 0, "INT"]],
    )
    assert inside(saved, catalogue) == (64, ["1", 0], 1)


def test_inputs_of_one_name_are_taken_in_their_order(catalogue):
    twice = copy.deepcopy(LATENT)
    twice["inputs"][2]["name"] = "w"
    entries = [{"name": "w", "link": None}, {"name": "w", "link": 1}]
    saved = workflow(
        node(1, "PrimitiveInt", outputs=[{"name": "INT", "links": [1]}], widgets_values=[5]),
        node(8, "S", entries, widgets_values=[64]),
        links=[[1, 1, 0, 8, 1, "INT"]],
        definitions=(twice,),
    )
    assert inside(saved, catalogue) == (64, ["1", 0], 1)


def test_a_primitive_outside_gives_nothing_and_neither_does_the_instance(catalogue):
    saved = workflow(
        node(1, "PrimitiveNode", outputs=[{"name": "INT", "links": [1]}], widgets_values=[333]),
        node(8, "S", [widget("w", 1)], widgets_values=[64, 32]),
        links=[[1, 1, 0, 8, 0, "INT"]],
    )
    found = workflow_to_prompt(saved, catalogue)
    assert found.prompt["8:11"]["inputs"]["width"] == 512
    assert [(one.type, one.node_id, one.details) for one in found.problems] == [("value_not_taken", "8:11", "node 1")]


# ---- what passes values on


@pytest.mark.parametrize(
    ("types", "slot", "kind", "passed"),
    [
        (["CLIP", "*", "IMAGE"], 0, "IMAGE", 2),
        (["CLIP", "IMAGE,MASK", "IMAGE"], 0, "IMAGE", 2),
        (["IMAGE,MASK", "IMAGE"], 0, "IMAGE", 0),
        (["IMAGE", "IMAGE"], 1, "IMAGE", 1),
        (["IMAGE", "MASK"], 1, "IMAGE", 0),
        (["LATENT", "image"], 0, "IMAGE", 1),
        (["LATENT", "MASK,IMAGE"], 0, "IMAGE,VIDEO", 1),
        (["LATENT", "IMAGE"], 0, "*", 0),
        (["LATENT", "IMAGE"], 1, "*", 1),
        (["LATENT"], 3, "*", 0),
        (["LATENT"], 0, "IMAGE", None),
        (["INT"], 0, "FLOAT", None),
        ([], 0, "*", None),
    ],
)
def test_a_bypassed_node_passes_on_by_place_then_by_type_then_by_what_fits(types, slot, kind, passed):
    assert passed_on(types, slot, kind) == passed


def test_inputs_that_a_bypassed_node_does_not_list_count_in_its_classs_order(catalogue):
    saved = {
        "nodes": [
            node(1, "LoadImage", outputs=[{"name": "IMAGE", "links": [1]}], widgets_values=["cat.png"]),
            node(
                2,
                "ImageBlend",
                [{"name": "image2", "type": "IMAGE", "link": 1}],
                [{"name": "IMAGE", "links": [2]}],
                mode=4,
            ),
            node(3, "PreviewImage", [{"name": "images", "type": "IMAGE", "link": 2}]),
        ],
        "links": [[1, 1, 0, 2, 0, "IMAGE"], [2, 2, 0, 3, 0, "IMAGE"]],
    }
    assert (
        workflow_to_prompt(saved, catalogue).prompt["3"]["inputs"] == {}
    )  # image1 comes first, and nothing is linked to it


@pytest.mark.parametrize(
    ("spec", "value", "taken"),
    [
        (whole("width", 512, 16, 16384, step=8), 333, 336),
        (whole("steps", 20, 1, 10_000), 33.4, 33),
        (whole("steps", 20, 1, 10_000), 0, 1),
        (whole("steps", 20, 1, 10_000), 99_999, 10_000),
        (whole("seed", 0, 0, 2**64 - 1), 2**64 - 1, 2**64 - 1),
        (number("cfg", 8.0, 0.0, 100.0, step=0.1), 7.123456, 7.1),
        (number("cfg", 8.0, 0.0, 100.0, step=0.1, options={"round": 0.01}), 7.123456, 7.12),
        (number("cfg", 8.0, 0.0, 100.0, step=0.1, options={"round": False}), 7.123456, 7.123456),
        (number("denoise", 1.0, 0.0, 1.0, step=0.01), 0.12345, 0.12),
        (number("denoise", 1.0, 0.0, 1.0, step=0.01), 3.5, 1.0),
        (whole("steps", 20, 1, 10_000), "abc", "abc"),
        (whole("steps", 20, 1, 10_000), True, True),
        (None, 333, 333),
    ],
)
def test_the_value_of_a_primitive_is_brought_to_the_step_and_bounds_of_its_widget(spec, value, taken):
    assert stepped(value, spec) == taken


# ---- writing


@pytest.mark.parametrize(
    ("values", "proxies"),
    [
        ([64, 32], None),
        ([64], None),
        (None, None),
        ([32, 64], [["-1", "h"], ["-1", "w"]]),
        ([3, 64], [["11", "batch_size"], ["-1", "w"]]),
    ],
)
@pytest.mark.parametrize("name", SIZES)
def test_a_value_set_inside_an_instance_is_in_both_forms_and_changes_no_other(values, proxies, name, catalogue):
    saved = held(values, proxies)
    before = dict(zip(SIZES, inside(saved, catalogue), strict=True))
    assert write_value(saved, "8:11", name, 16, catalogue)
    assert dict(zip(SIZES, inside(saved, catalogue), strict=True)) == {**before, name: 16}


def test_what_other_instances_of_a_subgraph_run_with_stays(catalogue):
    saved = workflow(node(8, "S", widgets_values=[64, 32]), node(9, "S", widgets_values=[65, 33]))
    for name in SIZES:
        assert write_value(saved, "8:11", name, 16, catalogue)
    assert inside(saved, catalogue) == (16, 16, 16)
    assert inside(saved, catalogue, "9") == (65, 33, 1)


def test_a_value_set_deep_inside_is_set_on_the_outermost_instance_that_shows_it(catalogue):
    saved = workflow(node(8, "T", widgets_values=[64]))
    assert write_value(saved, "8:21:11", "width", 16, catalogue)
    assert saved["nodes"][0]["widgets_values"] == [16]
    assert write_value(saved, "8:21:11", "height", 24, catalogue)
    assert inside(saved, catalogue, "8:21") == (16, 24, 1)


def test_a_value_is_written_by_name_too_where_the_file_has_names(catalogue):
    saved = held([64, 32], widgets_values_named={"w": 64, "h": 32})
    assert write_value(saved, "8:11", "height", 16, catalogue)
    assert saved["nodes"][0]["widgets_values_named"] == {"w": 64, "h": 16}
    plain = workflow(
        node(1, "EmptyLatentImage", widgets_values=[512, 512, 1], widgets_values_named={"width": 512, "height": 512}),
        node(2, "EmptyLatentImage", widgets_values_named={"width": 512}),
        node(3, "Unheard", [{"name": "image", "link": 1}], widgets_values=[1], widgets_values_named={"amount": 1}),
    )
    for id, name in (("1", "width"), ("2", "width"), ("3", "amount")):
        assert write_value(plain, id, name, 8, catalogue)
    first, second, third = plain["nodes"]
    assert (first["widgets_values"], first["widgets_values_named"]["width"]) == ([8, 512, 1], 8)
    assert second["widgets_values_named"] == {"width": 8}
    assert (third["widgets_values"], third["widgets_values_named"]) == ([8], {"amount": 8})


def test_a_list_that_ends_before_the_value_is_made_whole(catalogue):
    for values in ({}, {"widgets_values": []}, {"widgets_values": [64]}):
        saved = workflow(node(1, "EmptyLatentImage", **values))
        before = workflow_to_prompt(saved, catalogue).prompt["1"]["inputs"]
        assert write_value(saved, "1", "batch_size", 4, catalogue)
        assert workflow_to_prompt(saved, catalogue).prompt["1"]["inputs"] == {**before, "batch_size": 4}


def test_a_value_for_a_linked_widget_takes_the_link_away(catalogue):
    def linked() -> dict[str, Any]:
        return workflow(
            node(1, "PrimitiveInt", outputs=[{"name": "INT", "links": [1, 2]}], widgets_values=[5]),
            node(2, "EmptyLatentImage", [widget("width", 1)], widgets_values=[64, 64, 1]),
            node(8, "S", [widget("w", 2)], widgets_values=[64, 32]),
            links=[[1, 1, 0, 2, 0, "INT"], [2, 1, 0, 8, 0, "INT"]],
        )

    for id in ("2", "8:11"):
        saved = linked()
        prompt = workflow_to_prompt(saved, catalogue).prompt
        assert prompt[id]["inputs"]["width"] == ["1", 0]
        set_value(prompt, f"{id}.width", "16", catalogue, saved)
        again = workflow_to_prompt(saved, catalogue).prompt
        assert again[id]["inputs"]["width"] == prompt[id]["inputs"]["width"] == 16
        assert len(saved["links"]) == len(saved["nodes"][0]["outputs"][0]["links"]) == 1


def test_a_value_that_has_no_place_leaves_the_workflow_whole(catalogue):
    saved = held([64, 32])
    whole_file = copy.deepcopy(saved)
    for id, name in (("8:11", "nothing"), ("8:77", "width"), ("9:11", "width"), ("8", "w"), ("", "w")):
        assert not write_value(saved, id, name, 1, catalogue)
    assert saved == whole_file
