"""Saved workflows that are not what they seem: read as they show, or told by name."""

from __future__ import annotations

import json
from typing import Any

import pytest

from engine.graph.validate import check
from engine.graph.workflow import workflow_to_prompt


def made(kind: str, id: Any, value: Any = None, *inputs: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A saved node whose only output feeds the links of `more["links"]`."""
    links = more.pop("links", [])
    values = {} if value is None else {"widgets_values": [value]}
    return {
        "id": id,
        "type": kind,
        "inputs": list(inputs),
        "outputs": [{"name": "o", "type": "*", "links": links}],
        **values,
        **more,
    }


def shown(id: Any, link: Any) -> dict[str, Any]:
    return made("PreviewAny", id, None, {"name": "source", "type": "*", "link": link})


def converted(catalogue, nodes, links, **more):
    return workflow_to_prompt({"nodes": nodes, "links": links, **more}, catalogue)


# ---- ids


def test_of_two_nodes_with_one_id_the_first_keeps_it_and_both_run(catalogue):
    nodes = [made("PrimitiveString", 1, "A", links=[4]), made("PrimitiveString", 1, "B"), shown(2, 4)]
    found = converted(catalogue, nodes, [[4, 1, 0, 2, 0, "*"]], last_node_id=99)
    assert {key: one["inputs"] for key, one in found.prompt.items()} == {
        "1": {"value": "A"},
        "2": {"source": ["1", 0]},
        "100": {"value": "B"},
    }
    [told] = found.problems
    assert (told.type, told.node_id, told.class_type, told.stops) == (
        "duplicate_node_id",
        "100",
        "PrimitiveString",
        False,
    )
    assert told.details == "PrimitiveString, 1 in the file, is 100 here; 1 is PrimitiveString"


def test_a_link_of_a_doubled_id_leaves_the_node_that_lists_it(catalogue):
    nodes = [made("PrimitiveString", 1, "A"), made("PrimitiveString", 1, "B", links=[4], title="Mine"), shown(2, 4)]
    found = converted(catalogue, nodes, [[4, 1, 0, 2, 0, "*"]])
    assert found.prompt["2"]["inputs"]["source"] == ["3", 0]
    assert found.prompt["3"]["inputs"]["value"] == "B"
    assert 'PrimitiveString "Mine", 1 in the file, is 3 here' in found.problems[0].details


@pytest.mark.parametrize("one", [1, 1.0, "1"])
def test_ids_and_slots_may_be_written_as_floats_or_text(one, catalogue):
    kind = type(one)
    nodes = [made("PrimitiveString", one, "A", links=[kind(4)]), shown(kind(2), kind(4))]
    found = converted(catalogue, nodes, [[kind(4), one, kind(0), kind(2), kind(0), "*"]])
    assert found.problems == []
    assert found.prompt["2"]["inputs"]["source"] == ["1", 0]


def test_links_may_be_a_dict_by_id(catalogue):
    nodes = [made("PrimitiveString", 1, "A", links=[4]), shown(2, 4)]
    for link in ([4, 1, 0, 2, 0, "*"], {"id": 4, "origin_id": 1, "origin_slot": 0, "target_id": 2, "target_slot": 0}):
        found = converted(catalogue, nodes, {"4": link})
        assert found.problems == []
        assert found.prompt["2"]["inputs"]["source"] == ["1", 0]


@pytest.mark.parametrize("id", [None, True, 1.5, {}, []])
def test_what_can_be_no_id_is_told(id, catalogue):
    found = converted(catalogue, [made("PrimitiveString", id, "A"), shown(2, None)], [None, [4, id, 0, 2, 0, "*"]])
    assert list(found.prompt) == ["2"]
    assert [one.details for one in found.problems] == ["a node without id or type", "a link without ends"]


def test_the_table_of_links_counts_where_an_input_names_none_of_it(catalogue):
    for link in (None, 77):
        found = converted(catalogue, [made("PrimitiveString", 1, "A"), shown(2, link)], [[4, 1, 0, 2, 0, "*"]])
        assert found.prompt["2"]["inputs"] == {"source": ["1", 0]}
    nodes = [made("PrimitiveString", 1, "A"), made("PrimitiveString", 3, "B"), shown(2, 5)]
    found = converted(catalogue, nodes, [[4, 1, 0, 2, 0, "*"], [5, 3, 0, 2, 0, "*"]])
    assert found.prompt["2"]["inputs"] == {"source": ["3", 0]}  # the link that it does name


def test_a_link_to_nothing_is_no_link(catalogue):
    found = converted(catalogue, [shown(2, 4), shown(3, 9)], [[4, 77, 0, 2, 0, "*"]])
    assert [one["inputs"] for one in found.prompt.values()] == [{}, {}]


# ---- values


def test_values_that_stand_by_name_in_a_node_that_never_saves_them_so_are_told(catalogue):
    node = {**made("EmptyLatentImage", 1), "widgets_values": {"width": 64}}
    found = converted(catalogue, [node], [])
    assert found.prompt["1"]["inputs"] == {"width": 512, "height": 512, "batch_size": 1}
    assert [(one.type, one.node_id, one.stops) for one in found.problems] == [("values_not_read", "1", False)]


def test_two_values_for_one_widget_are_told_and_the_list_counts(catalogue):
    node = {
        **made("EmptyLatentImage", 1),
        "widgets_values": [64, 32, 1],
        "widgets_values_named": {"width": 128, "height": 32},
    }
    found = converted(catalogue, [node], [])
    assert found.prompt["1"]["inputs"]["width"] == 64
    [told] = found.problems
    assert (told.type, told.input_name, told.received, told.expected) == ("values_disagree", "width", 128, "64")


def test_a_primitive_that_the_field_does_not_bring_here_is_told(catalogue):
    """Through a Reroute it gives nothing: the field's front end shows one value and runs the other."""
    width = {"name": "width", "type": "INT", "widget": {"name": "width"}, "link": 2}
    nodes = [
        made("PrimitiveNode", 1, 333, links=[1]),
        made("Reroute", 2, None, {"name": "", "type": "*", "link": 1}),
        {**made("EmptyLatentImage", 3, None, width), "widgets_values": [64, 32, 1]},
    ]
    found = converted(catalogue, nodes, [[1, 1, 0, 2, 0, "*"], [2, 2, 0, 3, 0, "INT"]])
    assert found.prompt["3"]["inputs"]["width"] == 64
    [told] = found.problems
    assert (told.type, told.node_id, told.input_name, told.details) == ("value_not_taken", "3", "width", "node 1")


# ---- definitions of subgraphs


def with_definition(*definitions, instance="S"):
    nodes = [made(instance, 1, links=[1]), shown(2, 1)]
    return {"nodes": nodes, "links": [[1, 1, 0, 2, 0, "*"]], "definitions": {"subgraphs": list(definitions)}}


def test_a_definition_without_lists_is_told_by_name(catalogue):
    found = workflow_to_prompt(with_definition({"id": "S", "name": "Look", "nodes": 5}), catalogue)
    assert [one.details for one in found.problems] == [
        'the subgraph "Look" has no list of nodes',
        'the subgraph "Look" has no list of links',
    ]


def test_definitions_that_are_none_or_share_an_id_are_told(catalogue):
    first = {"id": "S", "name": "First", "nodes": [made("PrimitiveString", 5, "A")], "links": [[1, 5, 0, -20, 0, "*"]]}
    found = workflow_to_prompt(with_definition(first, {**first, "name": "Second"}, {"nodes": []}, 7), catalogue)
    assert found.prompt["2"]["inputs"]["source"] == ["1:5", 0]
    assert [one.details.partition(":")[0] for one in found.problems] == [
        "the definitions of subgraphs are no list of objects",
        "two definitions of subgraphs have the id S",
        "the definition of a subgraph without an id",
    ]


def test_a_missing_definition_is_a_problem_of_the_instance_even_if_nothing_is_linked_to_it(catalogue, files):
    kind = "0f1e2d3c-0000-4000-8000-000000000000"
    found = converted(catalogue, [made(kind, 1), shown(2, None)], [])
    problems = check(found.prompt, catalogue, choices=files).problems
    assert ("missing_node_type", "1") in [(one.type, one.node_id) for one in problems]


def test_definitions_that_contain_each_other_are_a_problem(catalogue):
    loop = [
        {"id": "S", "name": "One", "nodes": [{"id": 1, "type": "T"}], "links": []},
        {"id": "T", "name": "Two", "nodes": [{"id": 1, "type": "S"}], "links": []},
    ]
    found = workflow_to_prompt(with_definition(*loop), catalogue)
    assert [(one.type, one.node_id, one.class_type) for one in found.problems] == [
        ("subgraph_recursion", "1:1:1", "One")
    ]


def test_subgraphs_a_thousand_deep_are_stopped(catalogue):
    levels = [
        {
            "id": f"S{at}",
            "inputs": [{"name": "x"}],
            "nodes": [{"id": 1, "type": f"S{at + 1}", "inputs": [{"name": "x", "link": 1}]}],
            "links": [[1, -10, 0, 1, 0, "*"]],
        }
        for at in range(1000)
    ]
    found = workflow_to_prompt(with_definition(*levels, instance="S0"), catalogue)
    assert [one.type for one in found.problems] == ["subgraph_recursion"]


def test_a_link_to_an_input_that_the_definition_has_no_more_is_told(catalogue):
    inner = {"id": "S", "name": "Look", "inputs": [], "nodes": [], "links": []}
    workflow = with_definition(inner)
    workflow["nodes"] = [
        made("PrimitiveString", 3, "A", links=[2]),
        made("S", 1, None, {"name": "old", "type": "STRING", "link": 2}),
    ]
    workflow["links"] = [[2, 3, 0, 1, 0, "STRING"]]
    [told] = workflow_to_prompt(workflow, catalogue).problems
    assert (told.type, told.node_id, told.input_name) == ("link_not_read", "1", "old")
    assert told.details == 'the subgraph "Look" has no input "old"'


# ---- ids and links in forms that failed elsewhere


def two_nodes(**changes):
    """A text that is shown."""
    nodes = [made("PrimitiveString", 1, "A", links=[4]), shown(2, 4)]
    return {"nodes": nodes, "links": [[4, 1, 0, 2, 0, "STRING"]], **changes}


TWICE = {"nodes": [made("PrimitiveString", 1, "A", links=[4]), made("PrimitiveString", 1, "B", links=[]), shown(2, 4)]}


@pytest.mark.parametrize(
    ("workflow", "told"),
    [
        (two_nodes(**TWICE), ["duplicate_node_id"]),
        (
            json.loads(
                json.dumps(two_nodes())
                .replace('"id": 1', '"id": 1.0')
                .replace("4, 1, 0, 2, 0", "4.0, 1.0, 0.0, 2.0, 0.0")
            ),
            [],
        ),
        (two_nodes(links={"4": [4, 1, 0, 2, 0, "STRING"]}), []),
    ],
    ids=["one id twice", "ids written with a point", "links by their ids"],
)
def test_ids_and_links_in_forms_that_failed_elsewhere_show_their_text(workflow, told, catalogue):
    found = workflow_to_prompt(workflow, catalogue)
    source = found.prompt["2"]["inputs"]["source"]
    assert found.prompt[source[0]]["inputs"] == {"value": "A"}
    assert [one.type for one in found.problems] == told
