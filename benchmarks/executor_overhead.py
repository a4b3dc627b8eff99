"""What the executor itself costs: microseconds per node that runs and per node that is reused.

Graphs of trivial nodes (a function that returns its input plus one), as one chain and as many chains side by side, with
the cache in RAM and on disk. "ran": nothing is cached (on disk: everything is written when the run ends). "reused": the same
graph again on the same executor. "reopened": the same graph on a cache folder opened anew, as by another process. Each
number is the least of some repeats, since whatever else the machine does only ever adds. "cpu" counts the processor time of
all threads, "wall" what the caller waits. A run has a fixed price besides, to a thread and back: the row of one node.

    python benchmarks/executor_overhead.py [--json FILE] [--sizes 1,10,1000,10000] [--repeats 5]
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from engine.api import node
from engine.authoring.definition import NodeDefinition
from engine.cache.facade import Cache
from engine.execute.executor import Executor
from engine.graph.prompt import Link, Node, Prompt
from engine.graph.schema import Catalogue

CHAIN_OF_WIDE = 10
"""Length of each chain of the wide graph."""

GOALS = {"ran": 50.0, "reused": 10.0, "reopened": 10.0}
"""Microseconds per node."""


@node("Increment")
def increment(value: int, salt: int = 0) -> int:
    """`value` plus one."""
    return value + 1


def definition(name: str) -> NodeDefinition:
    """The one node type of this benchmark."""
    found: NodeDefinition = increment.__safelight_node__  # type: ignore[attr-defined]
    return found


def chain(size: int, salt: int) -> tuple[Prompt, list[str]]:
    """One chain of `size` nodes."""
    prompt: Prompt = {"0": Node("Increment", {"value": 0, "salt": salt})}
    for index in range(1, size):
        prompt[str(index)] = Node("Increment", {"value": Link(str(index - 1), 0), "salt": salt})
    return prompt, [str(size - 1)]


def wide(size: int, salt: int) -> tuple[Prompt, list[str]]:
    """Chains of ten, each beginning with its own constant."""
    prompt: Prompt = {}
    for index in range(size):
        value: Any = Link(str(index - 1), 0) if index % CHAIN_OF_WIDE else index * 1000
        prompt[str(index)] = Node("Increment", {"value": value, "salt": salt})
    ends = range(CHAIN_OF_WIDE - 1, size + CHAIN_OF_WIDE - 1, CHAIN_OF_WIDE)
    return prompt, [str(min(index, size - 1)) for index in ends]


SHAPES = {"chain": chain, "wide": wide}


class Tally:
    """An event sink that counts, as a display would at least."""

    def __init__(self) -> None:
        self.events = 0

    def __call__(self, event: object) -> None:
        self.events += 1


@contextmanager
def executor_on(folder: Path | None) -> Iterator[Executor]:
    """An executor with its own cache."""
    cache = Cache(folder)
    executor = Executor(definition, Catalogue([definition("").spec]), cache)
    try:
        yield executor
    finally:
        executor.close()
        cache.close()


async def timed(executor: Executor, graph: tuple[Prompt, list[str]], expected: str) -> tuple[float, float]:
    """(processor, wall) microseconds per node of one run, all of whose nodes must end as `expected`."""
    prompt, outputs = graph
    gc.collect()
    wall, cpu = time.perf_counter(), time.process_time()
    result = await executor.run(prompt, outputs, sink=Tally())
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    counted = getattr(result.counts, expected)
    if counted != len(prompt):
        raise RuntimeError(f"Expected {len(prompt)} nodes to be {expected}, got {result.counts}.")
    return cpu / len(prompt) * 1e6, wall / len(prompt) * 1e6


async def measure(shape: str, size: int, persistent: bool, repeats: int) -> dict[str, Any]:
    """The least of `repeats` times of each kind."""
    times: dict[str, list[tuple[float, float]]] = {"ran": [], "reused": [], "reopened": []}
    warm_up = chain(1, -1)
    for salt in range(repeats):
        graph = SHAPES[shape](size, salt)
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name) if persistent else None
            with executor_on(folder) as executor:
                await executor.run(*warm_up)
                times["ran"].append(await timed(executor, graph, "ran"))
                times["reused"].append(await timed(executor, graph, "reused"))
            if persistent:
                with executor_on(folder) as executor:
                    await executor.run(*warm_up)
                    times["reopened"].append(await timed(executor, graph, "reused"))
    found = {
        kind: {"cpu": min(cpu for cpu, _ in values), "wall": min(wall for _, wall in values)}
        for kind, values in times.items()
        if values
    }
    return {"shape": shape, "nodes": size, "cache": "disk" if persistent else "ram", "microseconds": found}


async def measure_all(sizes: list[int], repeats: int) -> list[dict[str, Any]]:
    """Every shape and size, in RAM and on disk, on one event loop as a worker process has it."""
    cases = [(shape, size, persistent) for persistent in (False, True) for shape in SHAPES for size in sizes]
    return [await measure(shape, size, persistent, repeats) for shape, size, persistent in cases]


def report(rows: list[dict[str, Any]]) -> None:
    """Print the table; what misses its goal is marked."""
    print("microseconds per node" + " " * 9 + "".join(f"{kind + ' cpu':>14}{'wall':>9}" for kind in GOALS))
    for row in rows:
        line = f"{row['shape']:8}{row['nodes']:>8} nodes{row['cache']:>7} "
        for kind, goal in GOALS.items():
            found = row["microseconds"].get(kind)
            line += f"{found['cpu']:>14.1f}{found['wall']:>9.1f}{'!' if found['cpu'] > goal else ' '}" if found else ""
        print(line.rstrip())
    print("! processor time misses the goal of " + ", ".join(f"{goal:.0f} µs ({kind})" for kind, goal in GOALS.items()))


def main() -> None:
    """Measure everything, print the table, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--json", type=Path, help="write the numbers to this file too")
    parser.add_argument("--sizes", default="1,10,1000,10000", help="numbers of nodes")
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    gc.freeze()
    sizes = [int(size) for size in options.sizes.split(",")]
    rows = asyncio.run(measure_all(sizes, options.repeats))
    report(rows)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2))


if __name__ == "__main__":
    main()
