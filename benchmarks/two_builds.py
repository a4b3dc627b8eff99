"""Two builds in turn: this one and that of another checkout, each in a process of its own, so that a machine that changes
speed changes both.

A benchmark starts a `Build` of each by its own command line with an option that has it `answer`, and compares them.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).resolve().parent.parent
"""Root of this build."""


class Build:
    """One build's process: asked for a run, it answers with the seconds of it, wall and processor."""

    def __init__(self, root: Path, script: str, arguments: Sequence[str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(Path(script).resolve()), *arguments],
            env={**os.environ, "PYTHONPATH": str(root)},
            cwd=root,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, ask: float) -> tuple[float, float]:
        """Take one run, of what `ask` means to the benchmark, and return its seconds, (wall, processor)."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(ask, file=self._process.stdin, flush=True)
        wall, processor = json.loads(self._process.stdout.readline())
        return wall, processor

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


class Comparison(NamedTuple):
    """Medians over the runs: milliseconds of either build, and the quotients of neighbouring runs (this over base)."""

    base: float
    this: float
    wall: float
    processor: float

    HEAD = f"{'base ms':>9} {'this ms':>9} {'wall':>7} {'processor':>10}"

    def __str__(self) -> str:
        return f"{self.base:9.1f} {self.this:9.1f} {self.wall:7.3f} {self.processor:10.3f}"


def compare(base: Build, this: Build, asks: Sequence[float]) -> Comparison:
    """Take a run of both builds for each of `asks`; which begins changes each time."""
    times: dict[Build, list[tuple[float, float]]] = {base: [], this: []}
    for number, ask in enumerate(asks):
        for build in (base, this) if number % 2 else (this, base):
            times[build].append(build.run(ask))
    pairs = list(zip(times[base], times[this], strict=True))
    wall, processor = (statistics.median(new[i] / old[i] for old, new in pairs) for i in range(2))
    milliseconds = (statistics.median(wall for wall, _ in times[build]) * 1e3 for build in (base, this))
    return Comparison(*milliseconds, wall, processor)


def answer(run: Callable[[str], object]) -> None:
    """The other side of a `Build`: call `run` for each line of standard input, and print its seconds."""
    for line in sys.stdin:
        start = time.perf_counter(), time.process_time()
        run(line)
        print(json.dumps([time.perf_counter() - start[0], time.process_time() - start[1]]), flush=True)
