"""Lazy inputs: what is not read is not needed, not run, and no part of what the result depends on."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from engine.api import ExecutionBlocker, Lazy
from engine.authoring.definition import NodeDefinition, read_result
from engine.graph.schema import InputSpec, NodeSpec, OutputSpec


@pytest.fixture
def lazy_lab(lab):
    @lab.node("Switch")
    async def switch(pick: bool, on_true: Lazy[int], on_false: Lazy[int]) -> int:
        return await (on_true() if pick else on_false())

    @lab.node("Sum")
    async def total(on_true: Lazy[int], on_false: Lazy[int]) -> int:
        first, second = await asyncio.gather(on_true(), on_false())
        return first * 10 + second

    @lab.node("Refuse")
    def refuse(a: int) -> int:
        raise ValueError("no")

    @lab.node("Rows")
    def rows(count: int) -> list[int]:
        return list(range(count))

    @lab.node("Block")
    def block(message: str) -> int:
        return ExecutionBlocker(message or None)

    return lab


def switch_graph(graph: Any, pick: bool = True, left: int = 1, right: int = 2) -> Any:
    return graph(
        l=("Add", {"a": left}),
        r=("Add", {"a": right}),
        s=("Switch", {"pick": pick, "on_true": "@l", "on_false": "@r"}),
        h=("Halve", {"a": "@s"}),
    )


def test_only_the_branch_that_is_read_runs(lazy_lab, graph):
    assert sorted(lazy_lab.run(switch_graph(graph), "h").split("\n")) == ["ran h", "ran l", "ran s"]
    assert "r" not in lazy_lab.result.nodes


def test_a_change_behind_an_unread_input_runs_nothing(lazy_lab, graph):
    lazy_lab.run(switch_graph(graph), "h")
    assert lazy_lab.run(switch_graph(graph, right=9), "h") == "reused s, l, h" or lazy_lab.result.counts.ran == 0
    assert "r" not in lazy_lab.result.nodes


def test_an_unread_constant_is_no_dependency_either(lazy_lab, graph):
    def prompt(right: int) -> Any:
        return graph(l=("Add", {"a": 1}), s=("Switch", {"pick": True, "on_true": "@l", "on_false": right}))

    lazy_lab.run(prompt(1), "s")
    lazy_lab.run(prompt(2), "s")
    assert lazy_lab.result.counts.ran == 0


def test_a_change_behind_the_read_input_runs_the_node(lazy_lab, graph):
    lazy_lab.run(switch_graph(graph), "h")
    assert lazy_lab.run(switch_graph(graph, left=5), "h").split("\n") == ["ran l", "ran s", "ran h"]
    assert lazy_lab.value("h") == 2


def test_both_branches_are_remembered_once_both_were_picked(lazy_lab, graph):
    lazy_lab.run(switch_graph(graph), "h")
    lazy_lab.run(switch_graph(graph, pick=False), "h")
    for pick in (True, False, True):
        lazy_lab.run(switch_graph(graph, pick=pick), "h")
        assert lazy_lab.result.counts.ran == 0


def test_the_chain_of_reads_survives_a_restart(make_lab, graph, tmp_path):
    lab = make_lab(tmp_path)

    @lab.node("Switch")
    async def switch(pick: bool, on_true: Lazy[int], on_false: Lazy[int]) -> int:
        return await (on_true() if pick else on_false())

    lab.run(switch_graph(graph), "h")
    lab.reopen()
    lab.run(switch_graph(graph, right=77), "h")
    assert (lab.result.counts.ran, lab.result.counts.reused) == (0, 3)


def test_inputs_awaited_together_are_both_read(lazy_lab, graph):
    prompt = graph(l=("Add", {"a": 1}), r=("Add", {"a": 2}), s=("Sum", {"on_true": "@l", "on_false": "@r"}))
    lazy_lab.run(prompt, "s")
    assert lazy_lab.value("s") == 12
    lazy_lab.run(prompt, "s")
    assert lazy_lab.result.counts.ran == 0


def test_switches_within_switches_do_not_wait_for_each_other(lazy_lab, graph):
    prompt = switch_graph(graph)
    for index in range(20):
        link = f"@s{index - 1}" if index else "@s"
        prompt |= graph(**{f"s{index}": ("Switch", {"pick": True, "on_true": link, "on_false": "@r"})})
    lazy_lab.run(prompt, "s19")
    assert lazy_lab.value("s19") == 1
    assert "r" not in lazy_lab.result.nodes


def test_a_failure_behind_an_unread_input_is_no_failure(lazy_lab, graph):
    prompt = graph(bad=("Refuse", {"a": 1}), s=("Switch", {"pick": True, "on_true": 4, "on_false": "@bad"}))
    assert lazy_lab.run(prompt, "s") == "ran s"
    prompt["s"].inputs["pick"] = False
    assert lazy_lab.run(prompt, "s") == "failed bad: no\nskipped s (upstream_failed)"


def test_a_read_list_is_mapped_over(lazy_lab, graph):
    prompt = graph(rows=("Rows", {"count": 3}), s=("Switch", {"pick": True, "on_true": "@rows", "on_false": 0}))
    lazy_lab.run(prompt, "s")
    assert lazy_lab.values("s") == ([0, 1, 2],)


def test_a_read_empty_list_gives_an_empty_list(lazy_lab, graph):
    prompt = graph(rows=("Rows", {"count": 0}), s=("Switch", {"pick": True, "on_true": "@rows", "on_false": 0}))
    lazy_lab.run(prompt, "s")
    assert lazy_lab.values("s") == ([],)


def test_a_read_blocked_value_blocks_the_node(lazy_lab, graph):
    prompt = graph(b=("Block", {"message": ""}), s=("Switch", {"pick": True, "on_true": "@b", "on_false": 0}))
    assert lazy_lab.run(prompt, "s") == "ran b\nskipped s (blocked)"


def test_the_class_protocol_is_asked_until_it_has_what_it_wants(lab, graph):
    asked = []

    def status(pick: int, a: Any = None, b: Any = None) -> list[str]:
        asked.append((a, b))
        if a is None:
            return ["a"]
        return ["b"] if a > pick and b is None else []

    def run(pick: int, a: Any = None, b: Any = None) -> int:
        return a if b is None else a + b

    inputs = (
        InputSpec(name="pick", type="INT"),
        InputSpec(name="a", type="INT", lazy=True),
        InputSpec(name="b", type="INT", lazy=True),
    )
    spec = NodeSpec(name="Asked", inputs=inputs, outputs=(OutputSpec(name="INT", type="INT"),))
    lab.add(NodeDefinition(spec, run, read_result, wants_ctx=False, lazy_status=status))

    def prompt(first: int, second: int) -> Any:
        return graph(x=("Add", {"a": first}), y=("Add", {"a": second}), s=("Asked", {"pick": 5, "a": "@x", "b": "@y"}))

    assert lab.run(prompt(3, 1), "s") == "ran x\nran s"
    assert asked == [(None, None), (3, None)]
    lab.run(prompt(3, 2), "s")
    assert lab.result.counts.ran == 0
    assert lab.run(prompt(7, 2), "s") == "ran x\nran y\nran s"
    assert lab.value("s") == 9
    lab.run(prompt(7, 2), "s")
    assert (lab.result.counts.ran, lab.result.counts.reused) == (0, 3)


def test_an_async_lazy_status_is_awaited(lab, graph):
    async def status(a: Any = None) -> list[str]:
        await asyncio.sleep(0)
        return [] if a is not None else ["a"]

    inputs = (InputSpec(name="a", type="INT", lazy=True),)
    spec = NodeSpec(name="Later", inputs=inputs, outputs=(OutputSpec(name="INT", type="INT"),))
    lab.add(NodeDefinition(spec, lambda a: a * 2, read_result, wants_ctx=False, lazy_status=status))
    lab.run(graph(x=("Add", {"a": 4}), s=("Later", {"a": "@x"})), "s")
    assert lab.value("s") == 8
