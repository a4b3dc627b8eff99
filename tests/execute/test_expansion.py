"""Expansion: a node gives a subgraph, whose nodes are planned and cached each on its own."""

from __future__ import annotations

from typing import Any

import pytest

from engine.api import Expand, WithUi, node
from engine.authoring.decorator import definition_of
from engine.graph.prompt import Link, Node


class Opaque:
    """A value that is no JSON and has no content to hash."""

    def __init__(self, number: int) -> None:
        self.number = number


@node("Add")
def add(a: int, b: int = 0) -> int:
    return a + b


@node("Open")
def open_up(box: Opaque, b: int) -> int:
    return box.number + b


@pytest.fixture
def expanding(lab):
    install(lab)
    return lab


def install(lab: Any) -> None:
    lab.add(definition_of(open_up))

    @lab.node("Repeat")
    def repeat(ctx: Any, a: int, times: int) -> Expand[int]:
        sub = ctx.subgraph()
        for index in range(times):
            a = sub.add(add, a=a, b=index + 1)
        return sub.result(a)

    @lab.node("Countdown")
    def countdown(ctx: Any, a: int) -> Expand[int]:
        sub = ctx.subgraph()
        return sub.result(sub.add_named("Countdown", 1, {"a": a - 1})[0] if a else a)

    @lab.node("Pack")
    def pack(a: int) -> Opaque:
        return Opaque(a)

    @lab.node("UseBox")
    def use_box(ctx: Any, box: Opaque, b: int) -> Expand[int]:
        sub = ctx.subgraph()
        return sub.result(sub.add(open_up, box=box, b=b))

    @lab.node("Raw")
    def raw(ctx: Any, kind: str, a: int) -> Expand[int]:
        """Expansions written by hand, as packs do."""
        if kind == "around":  # links to a node of the graph around it
            return Expand({"x": Node("Add", {"a": Link("n", 0), "b": a})}, Link("x", 0))
        if kind == "through":  # its output is another node's
            return Expand({"x": Node("Show", {"a": Link("n", 0)})}, Link("n", 0))
        if kind == "self":
            return Expand({"x": Node("Add", {"a": Link("e", 0)})}, Link("x", 0))
        if kind == "below":
            return Expand({"x": Node("Add", {"a": Link("h", 0)})}, Link("x", 0))
        if kind == "unknown":
            return Expand({"x": Node("Nonsense", {})}, Link("x", 0))
        return Expand({}, a, ui={"text": ["plain"]})


def test_the_nodes_of_an_expansion_get_ids_below_their_parent(expanding, graph):
    log = expanding.run(graph(e=("Repeat", {"a": 10, "times": 2})), "e")
    assert log == "ran e\nexpanded e into e.0, e.1\nran e.0\nran e.1"
    assert expanding.value("e") == 13
    assert expanding.result.nodes["e.1"].display_node == "e"


def test_an_expansion_is_reused_node_by_node(expanding, graph):
    expanding.run(graph(e=("Repeat", {"a": 10, "times": 2})), "e")
    assert expanding.run(graph(e=("Repeat", {"a": 10, "times": 2})), "e").startswith("reused e, e.0, e.1")
    log = expanding.run(graph(e=("Repeat", {"a": 10, "times": 3})), "e")
    assert log == "ran e\nexpanded e into e.0, e.1, e.2\nreused e.0\nreused e.1\nran e.2"


def test_what_follows_an_expansion_sees_its_values(expanding, graph):
    prompt = graph(e=("Repeat", {"a": 10, "times": 2}), h=("Halve", {"a": "@e"}), s=("Show", {"a": "@h"}))
    expanding.run(prompt, "s")
    assert expanding.result.ui["s"] == {"text": ["6"]}
    prompt["h"].inputs["a"] = Link("e", 0)
    prompt["s"] = Node("Show", {"a": Link("e", 0)})
    assert expanding.run(prompt, "s").endswith("ran s")
    assert expanding.result.ui["s"] == {"text": ["13"]}


def test_expansions_nest(expanding, graph):
    expanding.run(graph(e=("Countdown", {"a": 40})), "e")
    assert expanding.value("e") == 0
    assert "e" + ".0" * 30 in expanding.result.nodes
    assert len(expanding.result.nodes) == 41
    assert max(map(len, expanding.result.nodes)) <= 64, "the 40th is no longer called by all that it is nested in"
    expanding.run(graph(e=("Countdown", {"a": 40})), "e")
    assert expanding.result.counts.ran == 0


def test_an_expansion_per_list_item(expanding, graph):
    @expanding.node("Rows")
    def rows(count: int) -> list[int]:
        return list(range(count))

    prompt = graph(r=("Rows", {"count": 2}), e=("Repeat", {"a": "@r", "times": 1}))
    assert "expanded e into e[0].0, e[1].0" in expanding.run(prompt, "e")
    assert expanding.values("e") == ([1, 2],)


def test_links_may_lead_out_of_an_expansion(expanding, graph):
    prompt = graph(n=("Add", {"a": 5}), e=("Raw", {"kind": "around", "a": 2}))
    expanding.run(prompt, "e")
    assert expanding.value("e") == 7


def test_output_nodes_inside_run_though_nothing_links_to_them(expanding, graph):
    prompt = graph(n=("Add", {"a": 5}), e=("Raw", {"kind": "through", "a": 0}))
    expanding.run(prompt, "e")
    assert expanding.value("e") == 5
    assert expanding.result.ui == {"e.x": {"text": ["5"]}}


def test_values_that_are_no_json_may_stand_in_an_expansion(expanding, graph):
    prompt = graph(p=("Pack", {"a": 3}), e=("UseBox", {"box": "@p", "b": 4}))
    expanding.run(prompt, "e")
    assert expanding.value("e") == 7
    expanding.run(prompt, "e")
    assert expanding.result.counts.ran == 0


def test_such_values_are_made_again_when_they_are_gone(make_lab, graph, tmp_path):
    lab = make_lab(tmp_path, ram_bytes=0)
    install(lab)
    prompt = graph(p=("Pack", {"a": 3}), e=("UseBox", {"box": "@p", "b": 4}), h=("Halve", {"a": "@e"}))
    lab.run(prompt, "h")
    lab.cache.clear()
    lab.run(prompt, "h")
    lab.reopen()
    lab.definitions["Open"].spec  # noqa: B018 - the node below is the same type with a new version
    changed = lab.definitions["Open"]
    import msgspec

    lab.add(
        type(changed)(msgspec.structs.replace(changed.spec, version="2"), changed.run, changed.read, wants_ctx=False)
    )
    log = lab.run(prompt, "h").split("\n")
    assert {"remade e", "remade p", "ran e.0"} <= set(log)
    assert lab.value("h") == 3


@pytest.mark.parametrize("kind", ["self", "below"])
def test_a_cycle_made_by_an_expansion_is_blamed_on_the_submitted_node(expanding, graph, kind):
    prompt = graph(
        n=("Add", {"a": 5}), e=("Raw", {"kind": kind, "a": 0}), h=("Halve", {"a": "@e"}), other=("Show", {"a": "@n"})
    )
    log = expanding.run(prompt, "h", "other")
    assert "ran other" in log
    (problem,) = expanding.result.failures
    assert (problem.node, problem.display_node, problem.exception_type) == ("e", "e", "DependencyCycle")
    assert "wait for each other in a circle" in problem.message
    assert expanding.result.nodes["h"].status == "not_run"


def test_a_cycle_in_the_submitted_graph_fails_too(expanding, graph):
    prompt = graph(a=("Add", {"a": "@b"}), b=("Add", {"a": "@a"}), n=("Add", {"a": 1}))
    log = expanding.run(prompt, "a", "n")
    assert "ran n" in log
    assert expanding.result.failures[0].exception_type == "DependencyCycle"


def test_an_expansion_into_itself_with_the_same_inputs_is_a_cycle(expanding, graph):
    @expanding.node("Forever")
    def forever(ctx: Any, a: int) -> Expand[int]:
        sub = ctx.subgraph()
        return sub.result(sub.add_named("Forever", 1, {"a": a})[0])

    expanding.run(graph(e=("Forever", {"a": 1})), "e")
    assert expanding.result.failures[0].exception_type == "DependencyCycle"


def test_an_unknown_type_inside_is_the_child_nodes_failure(expanding, graph):
    log = expanding.run(graph(e=("Raw", {"kind": "unknown", "a": 0})), "e")
    assert "failed e.x: There is no node type 'Nonsense'." in log
    assert expanding.result.failures[0].display_node == "e"


def test_plain_values_may_be_returned_in_an_expansion(expanding, graph):
    prompt = graph(e=("Raw", {"kind": "plain", "a": 9}), h=("Halve", {"a": "@e"}))
    expanding.run(prompt, "h")
    assert expanding.value("h") == 4
    expanding.run(prompt, "h")
    assert expanding.result.counts.ran == 0


def test_what_an_expanding_node_shows_is_kept(expanding, graph):
    @expanding.node("Showy", output=True)
    def showy(ctx: Any, a: int) -> Expand[int]:
        sub = ctx.subgraph()
        return Expand(sub.nodes | {"0": Node("Add", {"a": a})}, Link("0", 0), ui={"text": ["hello"]})

    for _ in range(2):
        expanding.run(graph(e=("Showy", {"a": 1})), "e")
        assert expanding.result.ui["e"] == {"text": ["hello"]}


def test_withui_and_expansion_are_told_apart(expanding, graph):
    @expanding.node("Both", output=True)
    def both(a: int) -> int:
        return WithUi(a, ui={"text": ["x"]})

    expanding.run(graph(b=("Both", {"a": 2}), h=("Halve", {"a": "@b"})), "h")
    assert expanding.value("h") == 1
