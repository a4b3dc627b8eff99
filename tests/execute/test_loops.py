"""Loops: nodes that expand into copies of themselves, pass after pass."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest

from engine.api import Expand
from engine.execute.events import NodeCollected, NodeExpanded
from engine.execute.executor import Executor
from engine.execute.growth import ExpansionLimits
from engine.execute.state import StoredInput
from engine.execute.told import MOST_INNER, MOST_SHOWING, outcomes, shown
from engine.graph.prompt import DISPLAY, Link, Node

MIB = 1024**2


@pytest.fixture
def loops(lab: Any) -> Any:
    @lab.node("Loop")
    def loop(ctx: Any, left: int, value: int = 0) -> Expand[int]:
        """Copies itself, and names the copies by the whole id of the one before, as packs do."""
        if not left:
            return Expand({}, value)
        step, again = f"{ctx.node_id}.step", f"{ctx.node_id}.again"
        inside = {
            step: Node("Add", {"a": value, "b": 1}),
            again: Node("Loop", {"left": left - 1, "value": Link(step, 0)}),
        }
        return Expand(inside, Link(again, 0))

    @lab.node("ShowingLoop")
    def showing(ctx: Any, left: int) -> Expand[int]:
        if not left:
            return Expand({}, 0)
        inside = {
            "show": Node("Show", {"a": left}, {DISPLAY: "s"}),
            "again": Node("ShowingLoop", {"left": left - 1}),
        }
        return Expand(inside, Link("again", 0))

    @lab.node("Fill")
    def fill(value: Any, letter: int) -> Any:
        return np.full(MIB, letter, np.uint8)

    @lab.node("Carry")
    def carry(ctx: Any, left: int, value: Any) -> Expand[Any]:
        """Hands a value that is no JSON from pass to pass."""
        if not left:
            return Expand({}, int(value[0]))
        inside = {
            "fill": Node("Fill", {"value": value, "letter": left}),
            "again": Node("Carry", {"left": left - 1, "value": Link("fill", 0)}),
        }
        return Expand(inside, Link("again", 0))

    @lab.node("Write")
    def write(ctx: Any, left: int, text: str = "") -> Expand[int]:
        if not left:
            return Expand({}, len(text))
        again = Node("Write", {"left": left - 1, "text": str(left) + "x" * MIB})
        return Expand({"again": again}, Link("again", 0))

    return lab


def limited(lab: Any, **limits: int) -> None:
    """Have the laboratory's executor refuse more than this."""
    lab.executor.close()
    lab.executor = Executor(
        lab._definition, lab.catalogue, lab.cache, expansion_limits=ExpansionLimits(**limits), services=lab.services
    )


def test_ids_stay_short_and_are_the_same_in_every_run(loops: Any, graph: Any) -> None:
    prompt = graph(n=("Loop", {"left": 300}))
    loops.run(prompt, "n")
    assert loops.value("n") == 300
    ids = set(loops.result.nodes)
    assert len(ids) == 601
    assert max(map(len, ids)) <= 64
    loops.run(prompt, "n")
    assert set(loops.result.nodes) == ids
    assert loops.result.counts.ran == 0


def test_what_is_told_of_a_loop_grows_with_its_passes_only(loops: Any, graph: Any) -> None:
    sizes = []
    for passes in (100, 200):
        loops.run(graph(n=("Loop", {"left": passes, "value": passes * 1000})), "n")
        sizes.append(sum(len(msgspec.json.encode(event)) for event in loops.events))
    assert sizes[1] < 2.2 * sizes[0]


def test_an_id_of_the_submitted_graph_is_not_taken_for_that_of_an_expanded_node(loops: Any, graph: Any) -> None:
    other = "n.n.step"
    prompt = graph(n=("Loop", {"left": 1, "value": 5})) | {other: Node("Add", {"a": 100, "b": 1})}
    loops.run(prompt, "n", other)
    assert loops.value("n") == 6
    assert loops.value(other) == 101


def test_a_loop_without_end_fails_with_its_name_the_bound_and_the_setting(loops: Any, graph: Any) -> None:
    limited(loops, depth=20)
    log = loops.run(graph(n=("Loop", {"left": 10**6}), other=("Add", {"a": 1}), h=("Halve", {"a": "@n"})), "h", "other")
    [problem] = loops.result.failures
    assert problem.display_node == "n"
    assert problem.exception_type == "ExpansionLimit"
    assert problem.message.startswith("Node n (Loop), here as n.")
    assert "nested 21 deep" in problem.message
    assert problem.expected == "at most 20"
    assert "`depth = 40` under [expansion] in safelight.toml" in problem.hint
    assert "ran other" in log
    assert loops.result.nodes["h"].status == "not_run"


def test_the_bound_holds_for_what_is_reused_too_and_a_higher_one_lets_it_end(loops: Any, graph: Any) -> None:
    prompt = graph(n=("Loop", {"left": 30}))
    limited(loops, depth=20)
    for _ in range(2):
        loops.run(prompt, "n")
        assert loops.result.status == "failed"
    limited(loops, depth=40)
    loops.run(prompt, "n")
    assert loops.value("n") == 30
    assert loops.result.counts.reused > 20, "the passes that it had made"


def test_a_wide_expansion_is_refused_before_its_values_are_kept(loops: Any, graph: Any) -> None:
    @loops.node("Wide")
    def wide(ctx: Any) -> Expand[int]:
        return Expand({str(n): Node("Fill", {"value": np.zeros(10), "letter": 1}) for n in range(11)}, 0)

    limited(loops, nodes=10)
    loops.run(graph(n=("Wide", {})), "n")
    [problem] = loops.result.failures
    assert "have 11 nodes" in problem.message
    assert len(loops.cache._memory) == 0


def test_values_that_a_pass_hands_on_are_let_go_when_they_are_read(loops: Any, graph: Any) -> None:
    prompt = graph(f=("Fill", {"value": 0, "letter": 7}), n=("Carry", {"left": 40, "value": "@f"}))
    limited(loops, bytes=4 * MIB)
    loops.run(prompt, "n")
    assert loops.value("n") == 1


def test_what_stays_in_the_graph_counts(loops: Any, graph: Any) -> None:
    limited(loops, bytes=4 * MIB)
    loops.run(graph(n=("Write", {"left": 3})), "n")
    assert loops.value("n") == MIB + 1
    loops.run(graph(n=("Write", {"left": 40})), "n")
    [problem] = loops.result.failures
    assert problem.expected == "at most 4 MiB"
    assert problem.display_node == "n"


def test_a_pack_that_looks_at_the_graph_sees_the_values_of_expanded_nodes(loops: Any, graph: Any) -> None:
    from tests.execute.test_context import with_spec

    seen: list[Any] = []

    @loops.node("Look")
    def look(value: Any, dynamic: Any = None, me: Any = None) -> int:
        seen.append(dynamic.get_node(me)["inputs"]["value"])
        return 1

    with_spec(loops, "Look", hidden={"me": "UNIQUE_ID", "dynamic": "DYNPROMPT"})

    @loops.node("Outer")
    def outer(ctx: Any) -> Expand[int]:
        return Expand({"x": Node("Look", {"value": np.arange(3)})}, Link("x", 0))

    loops.run(graph(n=("Outer", {})), "n")
    assert loops.result.status == "done", loops.result.failures
    [value] = seen
    assert not isinstance(value, StoredInput)
    assert list(value) == [0, 1, 2]


def test_the_history_joins_what_many_passes_showed_and_how_they_ended(loops: Any, graph: Any) -> None:
    passes = MOST_INNER
    prompt = graph(n=("ShowingLoop", {"left": passes}), s=("Show", {"a": 0}))
    loops.run(prompt, "n", "s")
    result = loops.result
    assert len(result.nodes) == 2 * passes + 2
    assert shown(result) == {"s": {"text": ["0", *(str(left) for left in range(passes, 0, -1))]}}
    told = outcomes(result)
    assert set(told) == {"n", "s"}
    assert told["n"]["inner"]["ran"] == passes
    assert told["s"]["inner"]["ran"] == passes


def test_a_few_expanded_nodes_are_told_one_by_one(loops: Any, graph: Any) -> None:
    prompt = graph(n=("ShowingLoop", {"left": MOST_SHOWING}), s=("Add", {"a": 0}))
    loops.run(prompt, "n", "s")
    assert len(shown(loops.result)) == MOST_SHOWING
    assert outcomes(loops.result) == loops.result.nodes


def test_the_submitted_node_is_done_when_all_that_it_expanded_into_is(loops: Any, graph: Any) -> None:
    loops.run(graph(n=("Loop", {"left": 3})), "n")
    expanded = [event for event in loops.events if isinstance(event, NodeExpanded)]
    collected = [event.node for event in loops.events if isinstance(event, NodeCollected)]
    assert len(expanded) == 3 + 0
    assert collected == ["n"]
