"""Loops: what they give, what runs again, and what is refused."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.authoring.decorator import definition_of
from engine.cache.facade import Cache
from engine.execute.events import NodeProgress
from engine.execute.executor import Executor
from engine.execute.growth import ExpansionLimits
from engine.execute.result import RunResult
from engine.graph.loops import MOST_NESTED, Loops
from engine.graph.prompt import prompt_from_json
from engine.graph.schema import Catalogue
from engine.graph.validate import Checked, check
from nodes.aliases import ALIASES
from nodes.loop_bodies import whole_loop

MODULES = ("arithmetic", "image", "lists", "logic", "loops", "primitives", "text")
DEFINITIONS = {
    definition.spec.name: definition
    for name in MODULES
    for value in vars(importlib.import_module(f"nodes.{name}")).values()
    if (definition := definition_of(value)) is not None
}
CATALOGUE = Catalogue([definition.spec for definition in DEFINITIONS.values()], ALIASES)
Graph = dict[str, tuple[str, dict[str, Any]]]


class Lab:
    """An executor with a cache, and which nodes ran the last time."""

    def __init__(self, cache: Cache, limits: ExpansionLimits | None = None) -> None:
        self.executor = Executor(
            DEFINITIONS.__getitem__, CATALOGUE, cache, expansion_limits=limits or ExpansionLimits()
        )
        self.events: list[Any] = []

    def run(self, graph: Graph, *values: str) -> RunResult:
        checked = checked_of(graph)
        assert checked.problems == []
        self.events = []
        return self.executor.run_sync(checked.prompt, checked.outputs, values=values, sink=self.events.append)

    def shown(self, graph: Graph, node: str = "show") -> list[str]:
        """What the PreviewAny `node` shows, an entry for each item that it is fed."""
        result = self.run(graph)
        assert [failure.message for failure in result.failures] == []
        found: list[str] = result.ui[node]["text"]
        return found

    def ran(self, graph: Graph, kind: str) -> int:
        """How many nodes of a type run in `graph`."""
        self.run(graph)
        return sum(1 for one in self.events if type(one).__name__ == "NodeFinished" and one.class_type == kind)


def checked_of(graph: Graph) -> Checked:
    prompt = {key: {"class_type": kind, "inputs": inputs} for key, (kind, inputs) in graph.items()}
    return check(prompt, CATALOGUE, choices=lambda files: [])


@pytest.fixture
def lab() -> Iterator[Lab]:
    made = Lab(Cache(None))
    yield made
    made.executor.close()


def adding(passes: int | list[Any] = 4, *, accumulate: bool = False, cached: bool = True, initial: Any = 100) -> Graph:
    """A loop whose passes add their index to what they are given."""
    return {
        "begin": ("PrimitiveInt", {"value": initial}),
        "start": (
            "StartLoop",
            {
                "mode": "simple",
                "mode.num_iterations": passes,
                "cache_iterations": cached,
                "initial_iteration_value": ["begin", 0],
            },
        ),
        "add": ("IntArithmetic", {"a": ["start", 4], "b": ["start", 0], "operation": "add"}),
        "end": (
            "EndLoop",
            {"output_value": ["add", 0], "next_iteration_value": ["add", 0], "accumulate": accumulate},
        ),
        "show": ("PreviewAny", {"source": ["end", 0]}),
    }


def test_a_value_goes_from_pass_to_pass(lab: Lab) -> None:
    assert lab.shown(adding(5)) == ["110"]
    assert lab.shown(adding(5, accumulate=True)) == ["100", "101", "103", "106", "110"]


def test_no_pass_gives_no_value(lab: Lab) -> None:
    assert lab.run(adding(0)).failures == []
    assert lab.ran(adding(0), "IntArithmetic") == 0


def test_the_number_of_passes_may_be_linked(lab: Lab) -> None:
    graph = adding(["count", 1], accumulate=True)
    graph["count"] = ("ComfyMathExpression", {"expression": "a + 1", "values.a": ["begin", 0]})
    graph["begin"] = ("PrimitiveInt", {"value": 2})
    assert lab.shown(graph) == ["2", "3", "5"]


def told(mode: dict[str, Any]) -> Graph:
    """A loop whose passes tell of themselves."""
    return {
        "start": ("StartLoop", {**mode, "cache_iterations": True}),
        "text": (
            "StringFormat",
            {
                "f_string": "{a} {b} {c} {d}",
                **{f"values.{letter}": ["start", slot] for slot, letter in enumerate("abcd")},
            },
        ),
        "end": ("EndLoop", {"output_value": ["text", 0], "accumulate": True}),
        "show": ("PreviewAny", {"source": ["end", 0]}),
    }


def test_indices_by_range(lab: Lab) -> None:
    mode = {"mode": "For", "mode.start_iteration_index": -1, "mode.max_iteration": 6, "mode.step": 3}
    graph = told(mode)
    graph["text"][1].pop("values.d")
    graph["text"][1]["f_string"] = "{a} {b} {c}"
    assert lab.shown(graph) == ["-1 True False", "2 False False", "5 False True"]


def test_a_pass_for_each_item_of_a_list(lab: Lab) -> None:
    graph = told({"mode": "List", "mode.list": ["lines", 0]})
    graph["lines"] = ("TextLines", {"text": "one\ntwo"})
    assert lab.shown(graph) == ["0 True False one", "1 False True two"]


def test_items_that_are_pictures_come_one_by_one(lab: Lab) -> None:
    graph: Graph = {
        "small": ("EmptyImage", {"width": 8, "height": 8, "batch_size": 1, "color": 1}),
        "large": ("EmptyImage", {"width": 16, "height": 8, "batch_size": 1, "color": 2}),
        "list": ("CreateList", {"inputs.input0": ["small", 0], "inputs.input1": ["large", 0]}),
        "start": ("StartLoop", {"mode": "List", "mode.list": ["list", 0], "cache_iterations": True}),
        "size": ("GetImageSize", {"image": ["start", 3]}),
        "end": ("EndLoop", {"output_value": ["size", 0], "accumulate": True}),
        "show": ("PreviewAny", {"source": ["end", 0]}),
    }
    assert lab.shown(graph) == ["8", "16"]


def gcd(width: int, height: int) -> Graph:
    """Euclid's algorithm as a published workflow has it: a list of two numbers is carried."""
    number = {
        "remainder": ("a % b if b > 0 else 0", "ComfyMathExpression"),
        "other": ("b if b > 0 else a", "ComfyMathExpression"),
    }
    graph: Graph = {
        "w": ("PrimitiveInt", {"value": width}),
        "h": ("PrimitiveInt", {"value": height}),
        "pair": ("CreateList", {"inputs.input0": ["w", 0], "inputs.input1": ["h", 0]}),
        "start": (
            "StartLoop",
            {
                "mode": "simple",
                "mode.num_iterations": 12,
                "cache_iterations": False,
                "initial_iteration_value": ["pair", 0],
            },
        ),
        "a": ("GetItemFromList", {"list": ["start", 4], "index": 0}),
        "b": ("GetItemFromList", {"list": ["start", 4], "index": 1}),
        "next": ("CreateList", {"inputs.input0": ["other", 1], "inputs.input1": ["remainder", 1]}),
        "end": ("EndLoop", {"output_value": ["next", 0], "next_iteration_value": ["next", 0], "accumulate": False}),
        "gcd": ("GetItemFromList", {"list": ["end", 0], "index": 0}),
        "show": ("PreviewAny", {"source": ["gcd", 0]}),
    }
    for name, (expression, kind) in number.items():
        graph[name] = (kind, {"expression": expression, "values.a": ["a", 0], "values.b": ["b", 0]})
    return graph


@pytest.mark.parametrize(("width", "height", "expected"), [(896, 1152, 128), (1000, 999, 1), (640, 0, 640)])
def test_lists_are_carried_whole(lab: Lab, width: int, height: int, expected: int) -> None:
    assert lab.shown(gcd(width, height)) == [str(expected)]


def nested(outer: int, inner: int, *, depth: int = 2) -> Graph:
    """Loops within loops: each adds 1, as often as all the numbers of passes multiplied."""
    counts = [outer, inner] + [inner] * (depth - 2)
    graph: Graph = {"zero": ("PrimitiveInt", {"value": 0})}
    value = ["zero", 0]
    for level, count in enumerate(counts):
        inputs: dict[str, Any] = {
            "mode": "simple",
            "mode.num_iterations": count,
            "cache_iterations": True,
            "initial_iteration_value": value,
        }
        if level:
            inputs["parent_iteration"] = [f"start{level - 1}", 0]
        graph[f"start{level}"] = ("StartLoop", inputs)
        value = [f"start{level}", 4]
    graph["add"] = ("IntArithmetic", {"a": value, "b": ["one", 0], "operation": "add"})
    graph["one"] = ("PrimitiveInt", {"value": 1})
    value = ["add", 0]
    for level in reversed(range(len(counts))):
        graph[f"end{level}"] = (
            "EndLoop",
            {"output_value": value, "next_iteration_value": value, "accumulate": False},
        )
        value = [f"end{level}", 0]
    graph["show"] = ("PreviewAny", {"source": value})
    return graph


def test_loops_within_loops(lab: Lab) -> None:
    assert lab.shown(nested(3, 4)) == ["12"]
    assert lab.shown(nested(2, 2, depth=5)) == ["32"]


def test_the_inner_loop_reads_the_index_of_the_outer_one(lab: Lab) -> None:
    graph: Graph = {
        "outer": ("StartLoop", {"mode": "simple", "mode.num_iterations": 2, "cache_iterations": True}),
        "inner": (
            "StartLoop",
            {
                "mode": "simple",
                "mode.num_iterations": 3,
                "cache_iterations": True,
                "parent_iteration": ["outer", 0],
            },
        ),
        "text": ("StringFormat", {"f_string": "{a}{b}", "values.a": ["outer", 0], "values.b": ["inner", 0]}),
        "row": ("EndLoop", {"output_value": ["text", 0], "accumulate": True}),
        "all": ("EndLoop", {"output_value": ["row", 0], "accumulate": True}),
        "show": ("PreviewAny", {"source": ["all", 0]}),
    }
    assert lab.shown(graph) == ["00", "01", "02", "10", "11", "12"]


def test_a_loop_that_hangs_on_no_other_runs_once_for_all_passes(lab: Lab) -> None:
    graph = {f"first.{name}": value for name, value in adding(3).items() if name != "show"}
    for _, inputs in graph.values():
        for name, value in inputs.items():
            if isinstance(value, list):
                inputs[name] = [f"first.{value[0]}", value[1]]
    second = adding(2)
    second["add"][1]["a"] = ["first.end", 0]
    assert lab.shown(graph | second) == [str(103 + 1)]


def test_passes_that_are_known_are_reused_unless_they_must_run_anew(lab: Lab) -> None:
    assert lab.ran(adding(6), "IntArithmetic") == 6
    assert lab.ran(adding(6), "IntArithmetic") == 0
    assert lab.ran(adding(8), "IntArithmetic") == 2
    assert lab.ran(adding(6, cached=False), "IntArithmetic") == 6
    assert lab.ran(adding(6, cached=False), "IntArithmetic") == 6


def test_passes_are_known_after_a_restart(tmp_path: Path) -> None:
    for expected in (6, 0):
        cache = Cache(tmp_path)
        lab = Lab(cache)
        assert lab.ran(adding(6), "IntArithmetic") == expected
        lab.executor.close()
        cache.close()


def test_what_must_run_in_every_pass_does(lab: Lab) -> None:
    graph = adding(3)
    graph["end"][1].pop("next_iteration_value")
    assert lab.ran(graph, "IntArithmetic") == 1  # nothing but the last pass is used
    graph["other"] = ("IntArithmetic", {"a": ["start", 0], "b": 1000, "operation": "add"})
    graph["end"][1]["terminations.termination0"] = ["other", 0]
    graph["end"][1]["terminations.termination1"] = ["start", 1]
    assert lab.ran(graph, "IntArithmetic") == 3  # the last pass itself is known


def test_what_shows_within_a_loop_shows_in_every_pass(lab: Lab) -> None:
    graph = adding(3)
    graph["look"] = ("PreviewAny", {"source": ["add", 0]})
    graph["end"][1]["output_value"] = ["look", 0]
    result = lab.run(graph)
    assert sorted(ui["text"][0] for node, ui in result.ui.items() if node.endswith(".look")) == ["100", "101", "103"]


def test_a_loop_without_nodes_hands_on_what_it_is_given(lab: Lab) -> None:
    graph = adding(3)
    del graph["add"]
    graph["end"] = ("EndLoop", {"output_value": ["start", 4], "accumulate": False})
    assert lab.shown(graph) == ["100"]
    graph["end"] = ("EndLoop", {"output_value": ["start", 0], "accumulate": True})
    assert lab.shown(graph) == ["0", "1", "2"]


def test_passes_of_loops_within_loops_run_anew_too(lab: Lab) -> None:
    graph = nested(3, 4)
    for kind, inputs in graph.values():
        if kind == "StartLoop":
            inputs["cache_iterations"] = False
    assert [lab.ran(graph, "IntArithmetic") for _ in range(2)] == [12, 12]


def gated(name: str) -> Graph:
    """A loop of ten passes whose value goes through a gate that is open below 110."""
    graph = adding(10, accumulate=True)
    graph["below"] = ("ComfyMathExpression", {"expression": "a < 110 or a > 120", "values.a": ["add", 0]})
    graph["gate"] = ("Gate", {"value": ["add", 0], "open": ["below", 2]})
    graph["end"][1][name] = ["gate", 0]
    return graph


def test_a_gate_ends_a_loop_early(lab: Lab) -> None:
    graph = gated("next_iteration_value")
    assert lab.shown(graph) == ["100", "101", "103", "106", "110"]
    lab.executor.cache.clear()
    assert lab.ran(graph, "IntArithmetic") == 5
    assert lab.shown(graph) == ["100", "101", "103", "106", "110"]


def test_a_gate_leaves_passes_out(lab: Lab) -> None:
    assert lab.shown(gated("output_value")) == ["100", "101", "103", "106", "121", "128", "136", "145"]


def test_a_gate_that_is_closed_from_the_first_pass_on_leaves_an_empty_list(lab: Lab) -> None:
    graph = gated("output_value")
    graph["below"][1]["expression"] = "a < 0"
    graph["count"] = ("TextLines", {"text": "a"})
    assert lab.run(graph).failures == []


def test_passes_are_told_on_the_start(lab: Lab) -> None:
    lab.run(adding(250))
    told = [(one.display_node, one.value, one.total) for one in lab.events if isinstance(one, NodeProgress)]
    assert len(told) == 83
    assert set(told) == {("start", passes, 250) for passes in range(3, 250, 3)}


def test_what_no_end_hangs_on_runs_with_the_values_of_the_first_pass(lab: Lab) -> None:
    graph = adding(4)
    graph["look"] = ("PreviewAny", {"source": ["add", 0]})
    assert lab.shown(graph, "look") == ["100"]
    assert lab.ran(graph, "IntArithmetic") == 0  # it is the first pass


def problems(graph: Graph) -> dict[str, str]:
    return {str(one.node_id): one.details for one in checked_of(graph).problems}


def test_a_start_without_an_end_is_refused() -> None:
    graph = adding()
    del graph["end"]
    graph["show"] = ("PreviewAny", {"source": ["add", 0]})
    found = checked_of(graph).problems
    assert [(one.node_id, one.type) for one in found] == [("start", "broken_loop")]
    assert "never ends" in found[0].details
    assert "EndLoop" in found[0].hint


def test_an_end_without_a_start_is_refused() -> None:
    graph = adding()
    graph["add"][1].update(a=["begin", 0], b=["begin", 0])
    assert "does not hang on a StartLoop" in problems(graph)["end"]


def test_two_ends_of_one_start_are_refused() -> None:
    graph = adding()
    graph["second"] = ("EndLoop", {"output_value": ["add", 0], "accumulate": False})
    graph["both"] = ("CreateList", {"inputs.input0": ["end", 0], "inputs.input1": ["second", 0]})
    graph["show"] = ("PreviewAny", {"source": ["both", 0]})
    found = problems(graph)
    assert found == {
        "end": "The StartLoop start has a second EndLoop, second",
        "second": "The StartLoop start has a second EndLoop, end",
    }


def test_two_starts_of_one_end_are_refused() -> None:
    graph = adding()
    graph["other"] = ("StartLoop", {"mode": "simple", "mode.num_iterations": 2, "cache_iterations": True})
    graph["add"][1]["b"] = ["other", 0]
    found = problems(graph)
    assert "none of them is within the others" in found["end"]
    assert {"start", "other"} < found.keys()


def test_loops_nested_too_deep_are_refused() -> None:
    assert problems(nested(1, 1, depth=MOST_NESTED)) == {}
    assert any("nested more than" in details for details in problems(nested(1, 1, depth=MOST_NESTED + 1)).values())


def test_bodies_do_not_double_with_every_level() -> None:
    def written(graph: Graph) -> dict[str, Any]:
        return {name: {"class_type": kind, "inputs": inputs} for name, (kind, inputs) in graph.items()}

    def size(depth: int) -> int:
        loops = Loops(prompt_from_json(written(nested(1, 1, depth=depth))))
        outermost = next(end for end in loops.start_of if len(loops.within(loops.start_of[end])) == 0)
        return len(whole_loop(loops, outermost).inputs["body"])

    assert size(MOST_NESTED) < 3 * size(MOST_NESTED // 2)


def test_more_passes_than_a_run_may_have_are_refused_at_once() -> None:
    lab = Lab(Cache(None), ExpansionLimits(nodes=100))
    for passes in (50, 2**62):
        (failure,) = lab.run(adding(passes)).failures
        assert failure.display_node == "end"
        assert "raise `nodes` under [expansion]" in failure.message
    lab.executor.close()


def test_a_body_that_reads_too_much_is_refused(lab: Lab) -> None:
    graph = adding()
    names = [f"n{at}" for at in range(300)]
    graph |= {name: ("PrimitiveInt", {"value": at}) for at, name in enumerate(names)}
    for at in range(0, 300, 50):
        inputs = {f"inputs.input{slot}": [name, 0] for slot, name in enumerate(names[at : at + 50])}
        graph[f"l{at}"] = ("CreateList", {**inputs, "inputs.input50": ["start", 0]})
    graph["lists"] = ("CreateList", {f"inputs.input{at}": [f"l{at}", 0] for at in range(0, 100, 50)})
    graph["end"][1].update({f"terminations.termination{at}": [f"l{at * 50}", 0] for at in range(6)})
    (failure,) = lab.run(graph).failures
    assert "reads 301 outputs of nodes outside of it" in failure.message


def test_a_pass_that_fails_is_named(lab: Lab) -> None:
    graph = adding(4, initial=2)
    graph["add"] = ("IntArithmetic", {"a": 10, "b": ["less", 0], "operation": "divide"})
    graph["less"] = ("IntArithmetic", {"a": 2, "b": ["start", 0], "operation": "subtract"})
    failures = lab.run(graph).failures
    assert [(one.display_node, "divides by zero" in one.message) for one in failures] == [("add", True)]


def test_many_loops_behind_one_another_are_found_in_linear_time() -> None:
    prompt: dict[str, Any] = {"n0": {"class_type": "PrimitiveInt", "inputs": {"value": 1}}}
    for at in range(2000):
        prompt[f"s{at}"] = {"class_type": "StartLoop", "inputs": {"initial_iteration_value": [f"n{at}", 0]}}
        prompt[f"n{at + 1}"] = {"class_type": "EndLoop", "inputs": {"output_value": [f"s{at}", 4]}}
    loops = Loops(prompt_from_json(prompt))
    assert loops.problems == {}
    assert all(loops.body(end) == [] for end in loops.start_of)
    assert loops.within("n2000") == frozenset()
