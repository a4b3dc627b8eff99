"""Graphs that packs build and change, and conditions that they repeat, against small cases."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from engine.graph.prompt import Link
from engine.plugins.compat.conds import CONDConstant, CONDRegular
from engine.plugins.compat.graph_utils import GraphBuilder, add_graph_prefix, is_link


@pytest.mark.parametrize(
    ("value", "link"),
    [
        (["1", 0], True),
        (["1", 0.0], True),
        (Link("1", 0), True),
        ([1, 0], False),
        (["1", True], False),
        (["1", "0"], False),
        (["1"], False),
        (("1", 0), False),
    ],
)
def test_a_link_is_a_list_of_an_id_and_a_number(value: object, link: bool) -> None:
    assert is_link(value) is link


def test_nodes_of_a_graph_have_its_prefix_and_numbers_in_order() -> None:
    graph = GraphBuilder(prefix="p.")
    first = graph.node("A", x=1)
    second = graph.node("B", "named", a=first.out(0), b=first.out(1))
    assert [first.id, second.id, graph.node("C").id] == ["p.1", "p.named", "p.2"]
    assert graph.lookup_node("named") is second
    assert graph.node("A", "named") is second
    second.set_override_display_id("7")
    assert graph.finalize()["p.named"] == {
        "class_type": "B",
        "inputs": {"a": ["p.1", 0], "b": ["p.1", 1]},
        "override_display_id": "7",
    }


def test_one_output_is_replaced_and_the_nodes_others_are_not() -> None:
    graph = GraphBuilder(prefix="")
    first = graph.node("A")
    second = graph.node("B", a=first.out(0), b=first.out(1), c=["1", 0], d=5)
    graph.replace_node_output("1", 0, ["9", 3])
    assert second.inputs == {"a": ["9", 3], "b": ["1", 1], "c": ["9", 3], "d": 5}
    graph.replace_node_output("1", 1, None)
    assert second.inputs == {"a": ["9", 3], "c": ["9", 3], "d": 5}
    graph.remove_node("1")
    assert list(graph.nodes) == ["2"]


def test_a_prefix_goes_to_the_graphs_own_ids_alone() -> None:
    graph = {
        "1": {"class_type": "A", "inputs": {"x": ["2", 0], "y": ["outside", 1], "z": [1, 2]}},
        "2": {"class_type": "B", "inputs": {}},
    }
    changed, outputs = add_graph_prefix(graph, [["1", 0], ["outside", 2], 5], "p.")
    assert changed["p.1"]["inputs"] == {"x": ["p.2", 0], "y": ["outside", 1], "z": [1, 2]}
    assert outputs == (["p.1", 0], ["outside", 2], 5)
    assert graph["1"]["inputs"]["x"] == ["2", 0]


def test_conditions_go_round_to_fill_a_batch() -> None:
    cond = CONDRegular(torch.tensor([[1.0], [2.0]]))
    assert cond.process_cond(5).cond.flatten().tolist() == [1.0, 2.0, 1.0, 2.0, 1.0]
    assert cond.process_cond(1).cond.flatten().tolist() == [1.0]
    assert cond.can_concat(CONDRegular(torch.zeros(2, 1)))
    assert not cond.can_concat(CONDRegular(torch.zeros(1, 1)))
    assert cond.concat([cond]).shape == (4, 1)
    assert CONDConstant(5).process_cond(3).cond == 5
    assert [CONDConstant(5).can_concat(SimpleNamespace(cond=other)) for other in (5, 6)] == [True, False]
