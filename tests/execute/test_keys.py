"""What an action key is made of, and what becomes of records that do not fit."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Annotated, Any

import msgspec
import pytest

from engine.api import In, Lazy
from engine.execute.keys import _slot_bytes, extended_key
from engine.graph.prompt import Node

A, B, C = (bytes([number]) * 16 for number in (1, 2, 3))


def test_a_list_of_items_cannot_be_mistaken_for_a_shorter_one_with_something_after_it():
    assert _slot_bytes((A, B)) + C != _slot_bytes((A, B, C))
    assert _slot_bytes(()) + A != _slot_bytes((A,))
    assert _slot_bytes((A,)) == _slot_bytes(A)


def test_which_lazy_input_was_read_is_part_of_the_key_though_they_hold_the_same():
    state: Any = SimpleNamespace(node=Node("", {"on_true": 1, "on_false": 1}), recorded=True)
    run: Any = None
    assert extended_key(run, state, A, "on_true") != extended_key(run, state, A, "on_false")


def test_which_lazy_inputs_there_are_is_part_of_the_key_though_none_is_read(lab, graph):
    @lab.node("Given")
    async def given(left: Lazy[int] | None = None, right: Lazy[int] | None = None) -> str:
        return f"{left is not None} {right is not None}"

    for inputs, expected in (({}, "False False"), ({"left": 1}, "True False"), ({"right": "@n"}, "False True")):
        lab.run(graph(n=("Add", {"a": 1}), g=("Given", inputs)), "g")
        assert lab.value("g") == expected


def test_a_node_that_is_given_the_link_itself_is_known_by_it(lab, graph):
    @lab.node("Where")
    def where(link: Annotated[int, In(raw_link=True)]) -> str:
        return str(link)

    prompt = graph(a=("Add", {"a": 1}), b=("Add", {"a": 0, "b": 1}), w=("Where", {"link": "@a"}))
    lab.run(prompt, "w")
    assert lab.value("w") == "['a', 0]"
    lab.run(prompt | graph(w=("Where", {"link": "@b"})), "w")
    assert lab.value("w") == "['b', 0]"


@pytest.mark.parametrize("count", [0, 2])
def test_a_record_with_another_number_of_outputs_counts_for_nothing(lab, graph, count):
    prompt = graph(a=("Add", {"a": 1}))
    lab.run(prompt, "a")
    ((key, record),) = lab.cache.actions._known.items()
    lab.cache.actions.put(key, msgspec.structs.replace(record, outputs=record.outputs * count))
    assert lab.run(prompt, "a") == "ran a"
    assert lab.value("a") == 1


@pytest.mark.parametrize("on_disk", [False, True])
def test_what_follows_a_value_that_was_remade_as_another_is_remembered_under_that_one(
    make_lab, tmp_path, graph, on_disk
):
    lab = make_lab(tmp_path if on_disk else None)
    outside = {"value": 1}

    @lab.node("Outside")
    def outside_value() -> object:
        return Thing(outside["value"])

    @lab.node("Named")
    def named(thing: object, b: int = 0) -> int:
        return thing.number + b

    def prompt(b: int) -> Any:
        return graph(o=("Outside", {}), n=("Named", {"thing": "@o", "b": b}))

    lab.run(prompt(0), "n")
    outside["value"] = 5
    lab.cache.trim()
    assert lab.run(prompt(10), "n").split("\n") == ["reused o", "remade o", "warned of o", "ran n"]
    assert lab.value("n") == 15
    lab.cache.trim()
    outside["value"] = 1
    lab.run(prompt(20), "n")
    assert lab.value("n") == 21
    assert lab.run(prompt(10), "n") == "reused o\nran n"
    assert lab.value("n") == 11


class Thing:
    """Goes by its number, and has no codec."""

    def __init__(self, number: int) -> None:
        self.number = number

    def identity(self) -> str:
        return str(self.number)


def test_the_values_of_the_first_of_two_equal_nodes_are_held_for_what_follows_the_second(make_lab, graph):
    lab = make_lab(ram_bytes=0)
    prompt = graph(a=("Add", {"a": 1}), b=("Add", {"a": 1}), c=("Add", {"a": "@b", "b": 5}))
    log = lab.run(prompt, "c", "a")
    assert sorted(log.split("\n")) in (["ran a", "ran c", "reused b"], ["ran b", "ran c", "reused a"])
    assert lab.value("c") == 6


def test_nodes_that_were_remade_are_counted_as_such_and_as_reused(make_lab, graph):
    lab = make_lab(ram_bytes=0)
    prompt = graph(a=("Add", {"a": 1}), b=("Add", {"a": "@a", "b": 1}))
    lab.run(prompt, "b")
    lab.run(prompt | graph(c=("Add", {"a": "@a", "b": 2})), "b", "c")
    counts = lab.result.counts
    assert (counts.ran, counts.remade, counts.reused) == (1, 2, 2)
