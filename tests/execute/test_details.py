"""Small facts of a run that clients count on: names in keys, places, displays, what is told when."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from engine.api import Expand
from engine.authoring.decorator import definition_of, node
from engine.execute import context, events
from engine.execute.context import DynamicPrompt, NodeContext
from engine.execute.events import NodeSkipped
from engine.execute.growth import ExpansionLimits
from engine.execute.services import Services
from engine.execute.state import Inner
from engine.graph.prompt import Link, Node


class Thing:
    """A value whose content nobody can hash."""


@node("Length")
def length(text: str) -> int:
    return len(text)


@node("Same")
def same(a: Thing, b: Thing) -> bool:
    return a is b


def test_equal_values_of_different_inputs_are_different_actions(lab, graph):
    @lab.node("Two")
    def two(a: int = 0, b: int = 0) -> str:
        return f"{a},{b}"

    lab.run(graph(x=("Two", {"a": 5}), y=("Two", {"b": 5})), "x", "y")
    assert (lab.value("x"), lab.value("y")) == ("5,0", "0,5")


def test_a_skipped_node_names_the_one_whose_failure_is_the_reason(lab, graph):
    @lab.node("Fail")
    def fail(a: int) -> int:
        raise ValueError("no")

    lab.run(graph(f=("Fail", {"a": 1}), s=("Add", {"a": "@f"})), "s")
    (skipped,) = [event for event in lab.events if isinstance(event, NodeSkipped)]
    assert (skipped.node, skipped.reason, skipped.because) == ("s", "upstream_failed", "f")


def test_a_link_to_an_output_that_is_not_there_is_told_with_those_that_are(lab, graph):
    lab.run(graph(a=("Add", {"a": 1}), s=("Add", {"a": "@a:1"})), "s")
    (failure,) = lab.result.failures
    assert (failure.expected, failure.got, failure.input) == ("an output from 0 to 0", "1", "a")


# -- expansions


def test_a_list_that_an_expanding_node_gives_itself_is_a_list(lab, graph):
    lab.add(definition_of(length))

    @lab.node("Grow")
    def grow(ctx: Any, a: int, inside: bool) -> Expand[list[int]]:
        sub = ctx.subgraph()
        if inside:
            sub.add(length, text="a")
        return sub.result([a, a + 1])

    for inside in (False, True):
        lab.run(graph(g=("Grow", {"a": 5, "inside": inside}), s=("Add", {"a": "@g", "b": 10})), "s")
        assert lab.values("s") == ([15, 16],)


def test_constants_of_inner_nodes_count_towards_what_a_run_may_keep(lab, graph):
    lab.add(definition_of(length))
    lab.executor.expansion_limits = ExpansionLimits(bytes=100_000)

    @lab.node("Grow")
    def grow(ctx: Any, a: int) -> Expand[int]:
        sub = ctx.subgraph()
        return sub.result(sub.add(length, text="x" * a))

    lab.run(graph(g=("Grow", {"a": 50_000})), "g")
    assert lab.value("g") == 50_000
    lab.run(graph(g=("Grow", {"a": 150_000})), "g")
    assert [failure.exception_type for failure in lab.result.failures] == ["ExpansionLimit"]


def test_two_values_without_content_that_go_into_one_inner_node_stay_two(lab, graph):
    lab.add(definition_of(same))

    @lab.node("Compare")
    def compare(ctx: Any, a: int) -> Expand[bool]:
        sub = ctx.subgraph()
        return sub.result(sub.add(same, a=Thing(), b=Thing()))

    lab.run(graph(c=("Compare", {"a": 1})), "c")
    assert lab.value("c") is False


def test_an_inner_node_is_shown_where_it_wants_if_there_is_such_a_node(lab, graph):
    from engine.execute.expansion import _display

    run = SimpleNamespace(prompt={"1": None}, expanded={"1.0": Inner(Node("X", {}), "1", "1", "1", 1)})
    state = SimpleNamespace(display="7")
    found = [_display(run, state, wanted) for wanted in (None, "1", "1.0", "nowhere")]
    assert found == ["7", "1", "1", "7"]


def test_a_dynamic_prompt_tells_parent_and_display_apart():
    inner = {"1.a": Inner(Node("X", {"n": Link("1", 2), "k": 3}), "1", "1", "1", 1)}
    inner["1.a.b"] = Inner(Node("Y", {}), "1", "1.a", "1", 2)
    documents = SimpleNamespace(prompt={"1": {"_meta": {}}})
    cache = SimpleNamespace(copies=SimpleNamespace(of=lambda value: value))
    prompt = DynamicPrompt(
        SimpleNamespace(prompt={"1": Node("E", {})}, expanded=inner, documents=documents, cache=cache)
    )
    assert [prompt.get_display_node_id(one) for one in ("1", "1.a", "1.a.b")] == ["1", "1", "1"]
    assert [prompt.get_parent_node_id(one) for one in ("1", "1.a", "1.a.b")] == [None, "1", "1.a"]
    assert prompt.get_node("1.a") == {"class_type": "X", "inputs": {"n": ["1", 2], "k": 3}}
    assert prompt.get_node("1") == {"_meta": {}, "class_type": "E", "inputs": {}}
    assert prompt.all_node_ids() == {"1", "1.a", "1.a.b"}


# -- progress, memory, instances


def test_progress_is_told_now_and_then_and_at_the_end(monkeypatch):
    clock = SimpleNamespace(now=100.0, perf_counter=lambda: clock.now)
    monkeypatch.setattr(context, "time", clock)
    told: list[events.Event] = []
    run = SimpleNamespace(cancel=SimpleNamespace(check=lambda: None), emit=told.append)
    seen = NodeContext(run, SimpleNamespace(id="1", display="1", parent=None))
    for step in range(1, 5):
        seen.progress(step, 4)
        clock.now += context.PROGRESS_SECONDS / 2
    assert [(event.value, event.total) for event in told] == [(1, 4), (3, 4), (4, 4)]
    seen.progress(4, 4)
    assert len(told) == 4


def test_an_async_node_that_runs_out_of_memory_runs_once_more_after_models_are_freed(make_lab, graph):
    class Models:
        freed = 0

        def free(self) -> None:
            self.freed += 1

    models = Models()
    lab = make_lab(services=Services(models=models))

    @lab.node("Hungry")
    async def hungry(ctx: Any, enough: int) -> int:
        if ctx.models.freed < enough:
            raise MemoryError("out of memory")
        return 5

    lab.run(graph(h=("Hungry", {"enough": 1})), "h")
    assert (lab.value("h"), models.freed) == (5, 1)
    lab.run(graph(h=("Hungry", {"enough": 9})), "h")
    assert (lab.result.status, models.freed) == ("failed", 2)


def test_an_edited_class_has_a_new_instance_and_each_node_of_a_graph_its_own(lab, graph):
    def declare(word: str) -> None:
        @lab.node("Counter", cache=False)
        class Counter:
            def __init__(self) -> None:
                self.count = 0

            def run(self, a: int) -> str:
                self.count += 1
                return f"{word}{self.count}"

    prompt = graph(x=("Counter", {"a": 1}), y=("Counter", {"a": 1}))
    declare("old")
    found = []
    for _ in range(2):
        lab.run(prompt, "x", "y")
        found.append((lab.value("x"), lab.value("y")))
    declare("new")
    lab.run(prompt, "x", "y")
    assert [*found, (lab.value("x"), lab.value("y"))] == [("old1", "old1"), ("old2", "old2"), ("new1", "new1")]


@pytest.mark.parametrize("status", ["done", "failed"])
def test_a_run_with_a_failure_failed(lab, graph, status):
    @lab.node("Fail")
    def fail(a: int) -> int:
        raise ValueError("no")

    failing = graph(f=("Fail", {"a": 1})) if status == "failed" else {}
    lab.run({**graph(a=("Add", {"a": 1})), **failing}, "a", *failing)
    assert lab.result.status == status


# -- values made again


def test_a_remade_value_that_differs_is_told_and_what_reads_it_is_known_by_the_new_one(make_lab, graph):
    lab = make_lab(ram_bytes=0)
    world = {"n": 1}

    @lab.node("Read")
    def read(a: int) -> int:
        return world["n"]

    def prompt(b: int) -> Any:
        return graph(r=("Read", {"a": 0}), s=("Add", {"a": "@r", "b": b}))

    lab.run(prompt(1), "s")
    world["n"] = 10
    log = lab.run(prompt(2), "s")
    assert {"remade r", "warned of r"} <= set(log.split("\n"))
    assert lab.value("s") == 12
    lab.run(graph(p=("Add", {"a": 1}), q=("Add", {"a": "@p", "b": 2})), "q")
    assert lab.value("q") == 3


def test_items_without_content_are_kept_each_under_a_name_of_its_own(lab, graph):
    class Box:
        def __init__(self, number: int) -> None:
            self.number = number

    @lab.node("Boxes")
    def boxes(a: int) -> list[Any]:
        return [Box(1), Box(2)]

    @lab.node("Open")
    def opened(box: Any, b: int) -> int:
        return box.number + b

    for b in (0, 10):
        lab.run(graph(x=("Boxes", {"a": 0}), o=("Open", {"box": "@x", "b": b})), "o")
        assert lab.values("o") == ([1 + b, 2 + b],)
