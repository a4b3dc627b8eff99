"""Lists: a node fed a list runs per item, and gives lists on."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from engine.api import ExecutionBlocker, WithUi


@pytest.fixture
def lists(lab):
    @lab.node("Rows")
    def rows(count: int, first: int = 0) -> list[int]:
        return [first + index for index in range(count)]

    @lab.node("Total", input_is_list=True)
    def total(a: list[int], b: list[int]) -> str:
        return f"{a}+{b}"

    @lab.node("Twice")
    def twice(a: int) -> list[int]:
        return [a, a]

    @lab.node("Gate")
    def gate(a: int, message: str = "") -> int:
        return ExecutionBlocker(message or None) if a % 2 else a

    @lab.node("Label", output=True)
    def label(a: int) -> None:
        return WithUi(ui={"text": [f"<{a}>"]})

    return lab


def test_a_list_is_mapped_over_and_shorter_ones_repeat_their_last_item(lists, graph):
    prompt = graph(x=("Rows", {"count": 4}), y=("Rows", {"count": 2, "first": 10}), s=("Add", {"a": "@x", "b": "@y"}))
    lists.run(prompt, "s")
    assert lists.values("s") == ([10, 12, 13, 14],)


def test_list_outputs_of_several_calls_are_joined(lists, graph):
    lists.run(graph(x=("Rows", {"count": 3}), t=("Twice", {"a": "@x"})), "t")
    assert lists.values("t") == ([0, 0, 1, 1, 2, 2],)


def test_a_node_that_takes_lists_runs_once_and_constants_are_lists_of_one(lists, graph):
    lists.run(graph(x=("Rows", {"count": 3}), t=("Total", {"a": "@x", "b": 7})), "t")
    assert lists.values("t") == ("[0, 1, 2]+[7]",)


def test_an_empty_list_means_no_call_and_an_empty_list(lists, graph):
    prompt = graph(x=("Rows", {"count": 0}), s=("Add", {"a": "@x", "b": 1}), l=("Label", {"a": "@s"}))
    lists.run(prompt, "s", "l")
    assert lists.values("s") == ([],)
    assert lists.result.ui == {}
    lists.run(prompt, "s", "l")
    assert lists.result.counts.ran == 0


def test_an_empty_list_is_one_call_without_an_input_that_may_be_left_out(lists, graph):
    @lists.node("Offset")
    def offset(a: int = 5, b: int = 1) -> int:
        return a + b

    lists.run(graph(x=("Rows", {"count": 0}), s=("Offset", {"a": "@x"})), "s")
    assert lists.values("s") == (6,)
    prompt = graph(x=("Rows", {"count": 0}), y=("Rows", {"count": 2}), s=("Offset", {"a": "@x", "b": "@y"}))
    lists.run(prompt, "s")
    assert lists.values("s") == ([5, 6],)


def test_a_list_of_one_is_the_item(lists, graph):
    lists.run(graph(x=("Rows", {"count": 1, "first": 5}), s=("Add", {"a": "@x"})), "s")
    assert lists.values("s") == (5,)
    assert lists.run(graph(x=("Add", {"a": 5}), s=("Add", {"a": "@x"})), "s") == "ran x\nreused s"


def test_what_items_show_is_joined(lists, graph):
    lists.run(graph(x=("Rows", {"count": 3}), l=("Label", {"a": "@x"})), "l")
    assert lists.result.ui["l"] == {"text": ["<0>", "<1>", "<2>"]}


def test_items_are_blocked_one_by_one(lists, graph):
    prompt = graph(
        x=("Rows", {"count": 4}), g=("Gate", {"a": "@x"}), s=("Add", {"a": "@g", "b": 1}), l=("Label", {"a": "@s"})
    )
    lists.run(prompt, "l")
    assert lists.result.ui["l"] == {"text": ["<1>", "<3>"]}
    lists.run(prompt, "l")
    assert lists.result.counts.ran == 0
    assert lists.result.ui["l"] == {"text": ["<1>", "<3>"]}


def test_a_blocked_item_blocks_a_node_that_takes_the_whole_list(lists, graph):
    prompt = graph(x=("Rows", {"count": 2}), g=("Gate", {"a": "@x"}), t=("Total", {"a": "@g", "b": 1}))
    assert "skipped t (blocked)" in lists.run(prompt, "t")


def test_a_blocked_value_skips_silently_all_the_way(lists, graph):
    prompt = graph(g=("Gate", {"a": 1}), s=("Add", {"a": "@g"}), l=("Label", {"a": "@s"}))
    assert lists.run(prompt, "l") == "ran g\nskipped s (blocked)\nskipped l (blocked)"
    assert (lists.result.status, lists.result.counts.skipped) == ("done", 2)
    assert lists.run(prompt, "l").startswith("reused g")


def test_the_message_of_a_blocker_is_reported_where_it_arrives_first(lists, graph):
    prompt = graph(g=("Gate", {"a": 1, "message": "pick a picture"}), s=("Add", {"a": "@g"}), l=("Label", {"a": "@s"}))
    assert lists.run(prompt, "l") == "ran g\nfailed s: pick a picture\nskipped l (blocked)"
    again = lists.run(prompt, "l")
    assert "failed s: pick a picture" in again
    assert "ran" not in again


def test_the_message_of_a_blocked_item_is_reported_at_every_run(lists, graph):
    gate = ("Gate", {"a": "@x", "message": "pick a picture"})
    prompt = graph(x=("Rows", {"count": 4}), g=gate, s=("Add", {"a": "@g", "b": 1}))
    for _ in range(2):
        assert "failed s: pick a picture" in lists.run(prompt, "s")


def test_async_items_run_concurrently(lists, graph):
    waiting = []

    @lists.node("Meet")
    async def meet(a: int) -> int:
        waiting.append(a)
        while len(waiting) < 3:  # would never end if items ran one after the other
            await asyncio.sleep(0.001)
        return a * 2

    lists.run(graph(x=("Rows", {"count": 3}), m=("Meet", {"a": "@x"})), "m")
    assert lists.values("m") == ([0, 2, 4],)


def test_a_failing_item_cancels_the_other_items_of_its_node(lists, graph):
    ended: list[Any] = []

    @lists.node("Race")
    async def race(a: int) -> int:
        if a == 0:
            raise ValueError("first item")
        try:
            await asyncio.sleep(30)
        except asyncio.CancelledError:
            ended.append(a)
            raise
        return a

    assert lists.run(graph(x=("Rows", {"count": 2}), m=("Race", {"a": "@x"})), "m") == "ran x\nfailed m: first item"
    assert ended == [1]
