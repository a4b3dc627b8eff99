"""Random edits of random graphs: what the incremental executor gives is what running everything gives.

After each edit the graph runs on the long-lived cache (with its restarts, tiny budgets and evictions) and on a fresh one;
values, shown texts and failing nodes must agree. The seed is in the test's name; a seed that once failed stays in PINNED.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine.api import ExecutionBlocker, Expand, Lazy, WithUi, node
from engine.authoring.decorator import definition_of
from engine.authoring.definition import NodeDefinition, read_result
from engine.cache.facade import Cache
from engine.execute.executor import Executor
from engine.graph.prompt import Link, Node, Prompt
from engine.graph.schema import Catalogue, InputSpec, NodeSpec, OutputSpec

PINNED: tuple[int, ...] = ()
SEEDS = (*range(24), *PINNED)
EDITS = 25
SIZE = 14


class Box:
    """A value that can neither be hashed nor written to disk."""

    def __init__(self, content: Any) -> None:
        self.content = content


@node("Number")
def number(value: int) -> int:
    return value


@node("Add")
def add(a: int, b: int) -> int:
    return a + b


@node("Halve")
def halve(a: int) -> int:
    return a // 2


@node("AddLater")
async def add_later(a: int, b: int) -> int:
    await asyncio.sleep(0)
    return a + 2 * b


@node("Nap")
def nap(a: int, b: int) -> int:
    time.sleep(0.0015)  # long enough for other threads to be woken
    return a * 2 - b


@node("Uncached", cache=False)
def uncached(a: int) -> int:
    return a - 1


@node("Rows")
def rows(a: int) -> list[int]:
    return [a + index for index in range(a % 4)]


@node("Sum", input_is_list=True)
def total(a: list[int], b: list[int]) -> int:
    return sum(a) * 10 + sum(b)


@node("Switch")
async def switch(pick: int, a: Lazy[int], b: Lazy[int]) -> int:
    return await (a() if pick % 2 else b())


@node("Both")
async def both(pick: int, a: Lazy[int], b: Lazy[int]) -> int:
    first = await a()
    return first if first % 3 == 0 else first + await b()


@node("Wrap")
def wrap(a: int) -> Box:
    return Box(a)


@node("Unwrap")
def unwrap(a: Box) -> int:
    return a.content + 1


@node("Fail")
def fail(a: int, when: int) -> int:
    if a % 5 == when:
        raise ValueError(f"{a} is refused")
    return a


@node("Block")
def block(a: int, when: int) -> int:
    return ExecutionBlocker(None) if a % 4 == when else a  # type: ignore[return-value]


@node("Warn")
def warn(a: int, when: int) -> int:
    return ExecutionBlocker(f"{a} is blocked") if a % 5 == when else a  # type: ignore[return-value]


@node("Table")
def table(a: int) -> dict:
    return {"items": [a, a + 1]}


@node("Spoil")
def spoil(a: dict, b: int) -> int:
    a["items"].append(b)  # what a node must never do
    return sum(a["items"])


@node("Read")
def read(a: dict) -> int:
    return sum(a["items"])


@node("Grow")
def grow(ctx: Any, a: int, times: int) -> Expand[int]:
    sub = ctx.subgraph()
    for index in range(abs(times) % 4):
        a = sub.add(add, a=a, b=index)
    return sub.result(a)


@node("GrowBox")
def grow_box(ctx: Any, a: Box, times: int) -> Expand[int]:
    sub = ctx.subgraph()
    value = sub.add(unwrap, a=a)
    for _ in range(abs(times) % 3):
        value = sub.add(unwrap, a=sub.add(wrap, a=value))
    return sub.result(value)


@node("Nest")
def nest(ctx: Any, a: int, times: int) -> Expand[int]:
    sub = ctx.subgraph()
    inner = sub.add(grow, a=a, times=times)
    return sub.result(sub.add(nest, a=inner, times=times - 1) if times > 0 else inner)


@node("Show", output=True)
def show(a: int) -> None:
    return WithUi(ui={"text": [str(a)]})  # type: ignore[return-value]


def _class_switch() -> NodeDefinition:
    """A lazy switch of the class protocol."""
    inputs = (
        InputSpec(name="pick", type="INT"),
        InputSpec(name="a", type="INT", lazy=True),
        InputSpec(name="b", type="INT", lazy=True),
    )
    spec = NodeSpec(name="ClassSwitch", inputs=inputs, outputs=(OutputSpec(name="INT", type="INT"),))

    def status(pick: int, a: Any, b: Any) -> list[str]:
        return ["a"] if pick % 2 and a is None else ["b"] if not pick % 2 and b is None else []

    def run(pick: int, a: Any, b: Any) -> int:
        return a if pick % 2 else b

    return NodeDefinition(spec, run, read_result, wants_ctx=False, lazy_status=status)


_FUNCTIONS = (
    *(number, add, halve, add_later, uncached, rows, total, switch, both, wrap, unwrap, fail, block, warn, nap),
    *(table, spoil, read, grow, grow_box, nest, show),
)
DEFINITIONS = {d.spec.name: d for d in (*map(definition_of, _FUNCTIONS), _class_switch()) if d is not None}
CATALOGUE = Catalogue([definition.spec for definition in DEFINITIONS.values()])
INT_NODES = [d.spec.name for d in DEFINITIONS.values() if d.spec.outputs and d.spec.outputs[0].type == "INT"]
CONSTANTS = {"value": 9, "times": 3, "when": 5, "pick": 4}
"""Inputs that are always constants, and how many values they take."""


class Fuzzer:
    """A random graph whose nodes link only to earlier ones, and the edits it undergoes."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.prompt: Prompt = {}
        self.types: dict[str, str] = {}
        for index in range(SIZE):
            self.put(index)

    def put(self, index: int) -> None:
        """Make node `index` anew, of a random type."""
        kinds = [*INT_NODES, *INT_NODES, "Wrap", "Table", "Show"] if index else ["Number"]
        kind = self.random.choice(kinds)
        spec = DEFINITIONS[kind].spec
        if any(item.type in ("BOX", "DICT") and not self.earlier(index, item.type) for item in spec.inputs):
            kind, spec = "Number", DEFINITIONS["Number"].spec
        inputs = {item.name: self.value(index, item.name, item.type) for item in spec.inputs}
        self.prompt[f"n{index}"] = Node(kind, inputs)
        self.types[f"n{index}"] = spec.outputs[0].type if spec.outputs else ""

    def earlier(self, index: int, io_type: str) -> list[str]:
        return [f"n{i}" for i in range(index) if self.types.get(f"n{i}") == io_type]

    def value(self, index: int, name: str, io_type: str) -> Any:
        if name in CONSTANTS:
            return self.random.randrange(CONSTANTS[name])
        choices = self.earlier(index, io_type)
        if not choices or (io_type == "INT" and self.random.random() < 0.2):
            return self.random.randrange(6)
        return Link(self.random.choice(choices), 0)

    def edit(self) -> None:
        """Change one constant or link, or replace a node whose type others do not rely on."""
        index = self.random.randrange(SIZE)
        name = f"n{index}"
        if self.random.random() < 0.3 and self.types[name] in ("INT", ""):
            before = self.types[name]
            self.put(index)
            if self.types[name] != before:
                self.repair()
            return
        inputs = self.prompt[name].inputs
        spec = DEFINITIONS[self.prompt[name].class_type].spec
        if inputs:
            item = self.random.choice(spec.inputs)
            inputs[item.name] = self.value(index, item.name, item.type)

    def repair(self) -> None:
        """Links to nodes that changed their type become constants, or their nodes numbers."""
        for index in range(SIZE):
            target = self.prompt[f"n{index}"]
            for item in DEFINITIONS[target.class_type].spec.inputs:
                link = target.inputs.get(item.name)
                if isinstance(link, Link) and self.types[link.node] != item.type:
                    if item.type != "INT":
                        self.prompt[f"n{index}"] = Node("Number", {"value": 1})
                        self.types[f"n{index}"] = "INT"
                        break
                    target.inputs[item.name] = 3

    def outputs(self) -> list[str]:
        return self.random.sample(sorted(self.prompt), self.random.randint(1, 5))


def outcome(executor: Executor, prompt: Prompt, outputs: list[str]) -> dict[str, Any]:
    """What a run gave, in comparable form."""
    result = executor.run_sync(prompt, outputs, values=outputs)
    return {
        "values": {name: repr([plain(value) for value in values]) for name, values in result.values.items()},
        "ui": {name: ui for name, ui in result.ui.items() if name in outputs},
        "failed": sorted({(problem.node, problem.message) for problem in result.failures}),
        "status": {name: result.nodes[name].status in ("ran", "reused", "remade") for name in outputs},
    }


def plain(value: Any) -> Any:
    if isinstance(value, Box):
        return f"Box {value.content}"
    if isinstance(value, ExecutionBlocker):
        return "blocked"
    return [plain(item) for item in value] if isinstance(value, list) else value


def fresh(prompt: Prompt, outputs: list[str]) -> dict[str, Any]:
    cache = Cache(None)
    executor = Executor(DEFINITIONS.__getitem__, CATALOGUE, cache)
    try:
        return outcome(executor, prompt, outputs)
    finally:
        executor.close()
        cache.close()


@pytest.mark.parametrize("seed", SEEDS)
def test_incremental_runs_give_what_running_everything_gives(seed: int, tmp_path: Path) -> None:
    fuzzer = Fuzzer(seed)
    budgets: Callable[[], int] = lambda: fuzzer.random.choice([0, 500, 3000, 1 << 30])  # noqa: E731
    folder = tmp_path if seed % 3 else None
    cache = Cache(folder, ram_bytes=budgets(), disk_bytes=budgets())
    executor = Executor(DEFINITIONS.__getitem__, CATALOGUE, cache)
    for step in range(EDITS):
        if step:
            fuzzer.edit()
        if fuzzer.random.random() < 0.15:
            executor.close()
            cache.close()
            cache = Cache(folder, ram_bytes=budgets(), disk_bytes=budgets())
            executor = Executor(DEFINITIONS.__getitem__, CATALOGUE, cache)
        outputs = fuzzer.outputs()
        assert outcome(executor, fuzzer.prompt, outputs) == fresh(fuzzer.prompt, outputs), f"seed {seed}, step {step}"
    executor.close()
    cache.close()


@pytest.mark.parametrize("seed", range(6))
def test_a_second_run_of_the_same_graph_runs_nothing_that_may_be_reused(seed: int) -> None:
    fuzzer = Fuzzer(1000 + seed)
    cache = Cache(None)
    executor = Executor(DEFINITIONS.__getitem__, CATALOGUE, cache)
    outputs = sorted(fuzzer.prompt)
    executor.run_sync(fuzzer.prompt, outputs)
    again = executor.run_sync(fuzzer.prompt, outputs)
    ran = {name for name, outcome in again.nodes.items() if outcome.status == "ran"}
    excused = {name for name in again.nodes if name in fuzzer.prompt and fuzzer.prompt[name].class_type == "Uncached"}
    assert ran <= excused
    executor.close()
    cache.close()
