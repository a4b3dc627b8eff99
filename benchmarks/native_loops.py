"""A loop of StartLoop and EndLoop against the same passes written out as nodes: first run, run from the cache, after a restart.

A pass is three nodes: two sums and a switch. Both graphs run in this process, on a cache in a folder, each in turn, as often
as `--rounds` says; the medians are compared.

    python benchmarks/native_loops.py [--passes 1000] [--rounds 5]
"""

from __future__ import annotations

import argparse
import gc
import importlib
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any, Final

from engine.authoring.decorator import definition_of
from engine.cache.facade import Cache
from engine.execute.executor import Executor
from engine.graph.schema import Catalogue
from engine.graph.validate import check
from nodes.aliases import ALIASES

MOST: Final = 1.5
"""The loop takes at most so many times as long as the passes written out."""

DEFINITIONS: Final = {
    definition.spec.name: definition
    for name in ("arithmetic", "lists", "logic", "loops", "primitives")
    for value in vars(importlib.import_module(f"nodes.{name}")).values()
    if (definition := definition_of(value)) is not None
}
for _definition in DEFINITIONS.values():
    _definition.trusted = True  # as the library of nodes says of those that are built in
CATALOGUE: Final = Catalogue([definition.spec for definition in DEFINITIONS.values()], ALIASES)


def one_pass(name: str, index: Any, current: Any) -> dict[str, Any]:
    """The nodes of a pass: what it is given plus its index, and that again."""
    return {
        f"{name}first": _node("IntArithmetic", a=current, b=index, operation="add"),
        f"{name}second": _node("IntArithmetic", a=[f"{name}first", 0], b=index, operation="add"),
        f"{name}pick": _node("Switch", switch=True, on_true=[f"{name}second", 0], on_false=[f"{name}first", 0]),
    }


def loop(passes: int, salt: int) -> dict[str, Any]:
    """The loop."""
    return {
        "begin": _node("PrimitiveInt", value=salt),
        "start": _node(
            "StartLoop",
            mode="simple",
            cache_iterations=True,
            initial_iteration_value=["begin", 0],
            **{"mode.num_iterations": passes},
        ),
        **one_pass("", ["start", 0], ["start", 4]),
        "end": _node("EndLoop", output_value=["pick", 0], next_iteration_value=["pick", 0], accumulate=False),
        "show": _node("PreviewAny", source=["end", 0]),
    }


def unrolled(passes: int, salt: int) -> dict[str, Any]:
    """The same passes written out."""
    prompt = {"begin": _node("PrimitiveInt", value=salt)}
    current = ["begin", 0]
    for index in range(passes):
        prompt |= one_pass(f"{index}.", index, current)
        current = [f"{index}.pick", 0]
    prompt["show"] = _node("PreviewAny", source=current)
    return prompt


def _node(kind: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": kind, "inputs": inputs}


def timed(executor: Executor, prompt: dict[str, Any]) -> tuple[float, str]:
    """Seconds of a check and a run, and what it showed."""
    begun = time.perf_counter()
    checked = check(prompt, CATALOGUE, choices=lambda files: [])
    result = executor.run_sync(checked.prompt, checked.outputs)
    seconds = time.perf_counter() - begun
    return seconds, result.ui["show"]["text"][0]


def measure(folder: Path, prompt: dict[str, Any]) -> tuple[list[float], str]:
    """A first run, one from the cache, and one after a restart, with a cache of its own in `folder`."""
    seconds = []
    shown = ""
    cache = Cache(folder)
    for restart in (False, False, True):
        if restart:
            cache.close()
            cache = Cache(folder)
        executor = Executor(DEFINITIONS.__getitem__, CATALOGUE, cache)
        took, shown = timed(executor, prompt)
        seconds.append(took)
        executor.close()
        cache.flush()  # what one run has to write does not count for the next
        gc.collect()
    cache.close()
    return seconds, shown


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--passes", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    found: dict[str, list[list[float]]] = {"unrolled": [], "loop": []}
    for round_number in range(options.rounds + 1):
        shown = set()
        for name, make in (("unrolled", unrolled), ("loop", loop)):
            with tempfile.TemporaryDirectory() as folder:
                seconds, text = measure(Path(folder), make(options.passes, round_number))
            shown.add(text)
            if round_number:  # the first warms up
                found[name].append(seconds)
        if len(shown) != 1:
            raise RuntimeError(f"The loop and the passes written out differ: {shown}")
    for at, what in enumerate(("first run", "from the cache", "after a restart")):
        written, looped = (statistics.median(one[at] for one in found[name]) * 1000 for name in ("unrolled", "loop"))
        ratio = looped / written
        print(
            f"{what:16s} {options.passes} passes: written out {written:8.1f} ms, loop {looped:8.1f} ms, {ratio:.2f} × "
            f"({'ok' if ratio <= MOST else 'MISSED'}: ≤ {MOST})"
        )


if __name__ == "__main__":
    main()
