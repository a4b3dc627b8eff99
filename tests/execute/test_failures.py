"""One failing branch leaves the others alone, and says what was wrong."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest

from engine.api import ExecutionBlocker, WithUi
from engine.execute import events
from engine.execute.services import Services


@pytest.fixture
def failing(lab):
    @lab.node("Fail")
    def fail(a: int, kind: str = "ValueError") -> int:
        if kind == "SystemExit":
            sys.exit(3)
        if kind == "KeyboardInterrupt":
            raise KeyboardInterrupt
        raise ValueError(f"{a} is no good")

    return lab


def test_other_branches_finish_and_are_kept(failing, graph):
    prompt = graph(
        src=("Add", {"a": 1}),
        bad=("Fail", {"a": "@src"}),
        after=("Add", {"a": "@bad"}),
        good=("Show", {"a": "@src"}),
        end=("Show", {"a": "@after"}),
    )
    log = failing.run(prompt, "end", "good")
    assert sorted(log.split("\n")) == [
        "failed bad: 1 is no good",
        "ran good",
        "ran src",
        "skipped after (upstream_failed)",
        "skipped end (upstream_failed)",
    ]
    assert failing.result.status == "failed"
    assert (failing.result.counts.failed, failing.result.counts.not_run) == (1, 2)
    assert failing.run(prompt, "end", "good").startswith("reused src, good")


def test_a_failure_names_node_and_inputs_and_carries_the_traceback_of_the_nodes_own_code(failing, graph):
    failing.run(graph(n=("Add", {"a": 3}), bad=("Fail", {"a": "@n"})), "bad")
    (problem,) = failing.result.failures
    assert (problem.node, problem.class_type, problem.exception_type) == ("bad", "Fail", "ValueError")
    assert problem.current_inputs == {"a": "3"}
    assert "in fail" in problem.traceback
    assert "engine/execute" not in problem.traceback


def test_an_error_may_say_which_input_what_was_expected_and_what_to_do(lab, graph):
    @lab.node("Check")
    def check(size: int) -> int:
        error = ValueError("The crop is larger than the picture.")
        error.input_name, error.expected, error.got, error.hint = "size", "at most 64", "100", "Crop less."
        raise error

    lab.run(graph(c=("Check", {"size": 100})), "c")
    (problem,) = lab.result.failures
    assert (problem.input, problem.expected, problem.got, problem.hint) == ("size", "at most 64", "100", "Crop less.")


def test_a_missing_input_is_named(lab, graph):
    lab.run(graph(h=("Halve", {})), "h")
    (problem,) = lab.result.failures
    assert (problem.input, problem.message) == ("a", "The required input 'a' is missing.")


def test_shapes_of_inputs_are_summarised(lab, graph):
    @lab.node("Array")
    def array() -> object:
        return np.zeros((2, 3), np.float32)

    @lab.node("Boom")
    def boom(x: object) -> int:
        raise RuntimeError

    lab.run(graph(a=("Array", {}), b=("Boom", {"x": "@a"})), "b")
    assert lab.result.failures[0].current_inputs == {"x": "array (2, 3) float32"}
    assert lab.result.failures[0].message == "RuntimeError"


@pytest.mark.parametrize("kind", ["SystemExit", "KeyboardInterrupt"])
def test_a_node_cannot_end_the_program(failing, graph, kind):
    prompt = graph(bad=("Fail", {"a": 1, "kind": kind}), good=("Add", {"a": 2}))
    failing.run(prompt, "bad", "good")
    assert failing.result.failures[0].exception_type == kind
    assert failing.value("good") == 2


@pytest.mark.parametrize(
    ("prompt", "message"),
    [
        ({"x": ("Nonsense", {})}, "There is no node type 'Nonsense'."),
        ({"x": ("Add", {"a": "@gone"})}, "Node gone is linked to but is not in the graph."),
        ({"n": ("Add", {"a": 1}), "x": ("Add", {"a": "@n:4"})}, "Input 'a' is linked to output 4 of node n."),
    ],
)
def test_a_graph_that_nobody_validated_fails_at_the_node(lab, graph, prompt, message):
    lab.run(graph(**prompt), "x")
    assert lab.result.failures[0].message == message
    assert lab.result.status == "failed"


def test_a_wrong_number_of_outputs_is_the_nodes_failure(lab, graph):
    @lab.node("Two")
    def two() -> int:
        return WithUi(1, 2, ui={})

    lab.run(graph(t=("Two", {})), "t")
    assert "returned 2 value(s)" in lab.result.failures[0].message


def test_a_node_type_that_cannot_be_imported_fails_alone(lab, graph):
    def definitions(name: str) -> Any:
        if name == "Halve":
            raise ImportError("No module named 'missing_pack'")
        return lab.definitions[name]

    lab.executor.definition = definitions
    lab.run(graph(a=("Add", {"a": 1}), h=("Halve", {"a": "@a"}), g=("Add", {"a": "@a", "b": 1})), "h", "g")
    assert lab.result.failures[0].message == "No module named 'missing_pack'"
    assert lab.value("g") == 2


def test_equal_nodes_that_fail_are_both_reported(failing, graph):
    prompt = graph(x=("Fail", {"a": 1}), y=("Fail", {"a": 1}))
    failing.run(prompt, "x", "y")
    assert sorted(problem.node for problem in failing.result.failures) == ["x", "y"]


def test_a_failed_node_is_tried_again_next_time(lab, graph):
    tries = []

    @lab.node("Flaky")
    def flaky(a: int) -> int:
        tries.append(a)
        if len(tries) == 1:
            raise OSError("the disk was busy")
        return a

    lab.run(graph(f=("Flaky", {"a": 1})), "f")
    assert lab.run(graph(f=("Flaky", {"a": 1})), "f") == "ran f"


@pytest.mark.parametrize("name", ["MemoryError", "OutOfMemoryError"])
def test_when_memory_runs_out_models_are_freed_and_the_node_runs_once_more(make_lab, graph, name):
    class Models:
        freed = 0

        def free(self) -> None:
            self.freed += 1

    kind = MemoryError if name == "MemoryError" else type(name, (RuntimeError,), {})
    models = Models()
    lab = make_lab(services=Services(models=models))

    @lab.node("Hungry")
    def hungry(ctx: Any, enough: int) -> int:
        if ctx.models.freed < enough:
            raise kind("out of memory")
        return 5

    lab.run(graph(h=("Hungry", {"enough": 1})), "h")
    assert (lab.value("h"), models.freed) == (5, 1)
    lab.run(graph(h=("Hungry", {"enough": 9})), "h")
    assert "smaller size" in lab.result.failures[0].hint
    assert models.freed == 2


def test_an_async_failure_is_reported_like_any_other(lab, graph):
    @lab.node("Later")
    async def later(a: int) -> int:
        raise LookupError("not there")

    assert lab.run(graph(x=("Later", {"a": 1}), g=("Add", {"a": 1})), "x", "g").count("failed x: not there") == 1
    assert lab.value("g") == 1


def test_a_ui_that_is_no_json_is_shown_but_not_kept_on_disk(make_lab, graph, tmp_path):
    lab = make_lab(tmp_path)

    @lab.node("Odd", output=True)
    def odd(a: int) -> None:
        return WithUi(ui={"thing": [object()]})

    lab.run(graph(o=("Odd", {"a": 1})), "o")
    assert lab.result.status == "done"
    lab.reopen()
    assert lab.run(graph(o=("Odd", {"a": 1})), "o") == "ran o"


def test_a_sink_that_raises_ends_the_run_with_its_error(lab, graph):
    def sink(event: events.Event) -> None:
        if isinstance(event, events.NodeFinished):
            raise BrokenPipeError("nobody listens")

    with pytest.raises(BrokenPipeError):
        lab.executor.run_sync(graph(a=("Add", {"a": 1})), ["a"], sink=sink)
    assert lab.run(graph(a=("Add", {"a": 1}), b=("Halve", {"a": "@a"})), "b").endswith("ran b")


def test_an_output_may_be_a_blocker_for_some_outputs_only(lab, graph):
    from typing import NamedTuple

    class Two(NamedTuple):
        yes: int
        no: int

    globals()["Two"] = Two

    @lab.node("Fork")
    def fork(a: int) -> Two:
        return Two(a, ExecutionBlocker(None))

    prompt = graph(f=("Fork", {"a": 4}), y=("Halve", {"a": "@f:0"}), n=("Halve", {"a": "@f:1"}))
    assert "skipped n (blocked)" in lab.run(prompt, "y", "n")
    assert lab.value("y") == 2
