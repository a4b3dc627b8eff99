"""A warm picture on the bundled model with each fixed choice of OpenMP threads and waiting, and with ours, in turn.

Each choice is a process of its own that has loaded the model; one at a time draws the same picture. First on the machine as it
is, then with a spinning process beside it for each core. Told are the median of each and, against the best fixed one, ours.

    python benchmarks/threads.py [--rounds 7] [--steps 20] [--json FILE]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parent.parent
CORES: Final = os.cpu_count() or 1
OURS: Final = "ours"
NAMES: Final = ("OMP_", "GOMP_", "KMP_", "OPENBLAS_", "MKL_")

CHOICES: Final[dict[str, dict[str, str]]] = {
    "the library's default": {},
    "all cores, active": {"OMP_WAIT_POLICY": "active", "OMP_NUM_THREADS": str(CORES)},
    "all cores, a short spin": {"GOMP_SPINCOUNT": "10000", "OMP_NUM_THREADS": str(CORES)},
    "all cores, passive": {"OMP_WAIT_POLICY": "passive", "OMP_NUM_THREADS": str(CORES)},
    "one thread": {"OMP_NUM_THREADS": "1"},
}
"""What somebody could choose once and for all."""


def prompt(seed: int, steps: int) -> dict[str, Any]:
    """Text to image with the bundled model."""
    sampler = {"seed": seed, "steps": steps, "cfg": 4.0, "sampler_name": "euler", "scheduler": "normal", "denoise": 1.0}
    text = {"class_type": "CLIPTextEncode", "inputs": {"clip": ["1", 1], "text": "red apple"}}
    none = {"class_type": "CLIPTextEncode", "inputs": {"clip": ["1", 1], "text": ""}}
    size = {"width": 64, "height": 64, "batch_size": 1}
    links = {"model": ["1", 0], "positive": ["2", 0], "negative": ["3", 0], "latent_image": ["4", 0]}
    return {
        "1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "emoji-64.safetensors"}},
        "2": text,
        "3": none,
        "4": {"class_type": "EmptyLatentImage", "inputs": size},
        "5": {"class_type": "KSampler", "inputs": sampler | links},
        "6": {"class_type": "VAEDecode", "inputs": {"samples": ["5", 0], "vae": ["1", 2]}},
        "7": {"class_type": "PreviewAny", "inputs": {"source": ["6", 0]}},
    }


def draw(fixed: bool, steps: int) -> None:
    """Be one of the processes: draw a picture for each seed on standard input, and print how long it took."""
    before = {name: value for name, value in os.environ.items() if name.startswith(NAMES)}
    sys.path.insert(0, str(ROOT))
    from engine.__main__ import make_app
    from engine.graph.validate import check

    app = make_app(ROOT)
    if fixed:  # the choice that is measured, not what the engine adds to it
        for name in [name for name in os.environ if name.startswith(NAMES)]:
            del os.environ[name]
        os.environ.update(before)
    library, cache = app.load_library(), app.open_cache(False)
    executor = app.open_executor(library, cache)

    def once(seed: int) -> float:
        found = check(
            prompt(seed, steps),
            library.catalogue,
            choices=lambda files: app.paths.folder_files(files.folder),
            targets=None,
        )
        began = time.perf_counter()
        result = asyncio.run(executor.run(found.prompt, found.outputs))
        if result.status != "done":
            raise RuntimeError(result)
        return time.perf_counter() - began

    once(0)
    print("ready", flush=True)
    for line in sys.stdin:
        print(once(int(line)), flush=True)


class Drawer:
    """A process that draws."""

    def __init__(self, environment: dict[str, str] | None, steps: int) -> None:
        bare = {name: value for name, value in os.environ.items() if not name.startswith(NAMES)}
        kind = "--draw-ours" if environment is None else "--draw-fixed"
        self._process = subprocess.Popen(
            [sys.executable, __file__, kind, "--steps", str(steps)],
            env={**bare, **(environment or {})},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        while self._read() != "ready":
            pass

    def _read(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("A process that draws has ended.")
        return line.strip()

    def picture(self, seed: int) -> float:
        """Seconds for one picture."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{seed}\n")
        self._process.stdin.flush()
        return float(self._read())

    def end(self) -> None:
        self._process.kill()
        self._process.wait()


@contextmanager
def spinning(count: int) -> Iterator[None]:
    """Processes that want all of a core each."""
    processes = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for one in processes:
            one.kill()
            one.wait()


def measured(name: str, drawers: dict[str, Drawer], rounds: int, seed: int) -> dict[str, Any]:
    """All in turn, `rounds` times; printed and given."""
    seconds: dict[str, list[float]] = {choice: [] for choice in drawers}
    load = os.getloadavg()[0]
    for number in range(rounds):
        for choice, drawer in drawers.items():
            seconds[choice].append(drawer.picture(seed + number))
    medians = {choice: statistics.median(found) for choice, found in seconds.items()}
    best = min(value for choice, value in medians.items() if choice != OURS)
    print(f"{name} (load before: {load:.1f})")
    for choice, value in medians.items():
        spread = f"{min(seconds[choice]):.3f} to {max(seconds[choice]):.3f}"
        print(f"  {choice:26} {value:7.3f} s  ({spread})  {value / best:5.2f} of the best fixed choice")
    return {"load": load, "seconds": seconds, "ours_of_best": medians[OURS] / best}


def main() -> None:
    """Run, print, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--draw-ours", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--draw-fixed", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--json", type=Path, help="write the numbers to this file too")
    options = parser.parse_args()
    if options.draw_ours or options.draw_fixed:
        draw(options.draw_fixed, options.steps)
        return
    drawers = {name: Drawer(environment, options.steps) for name, environment in CHOICES.items()}
    drawers[OURS] = Drawer(None, options.steps)
    try:
        found = {"as it is": measured("as it is", drawers, options.rounds, 1000)}
        with spinning(CORES):
            found["busy"] = measured(f"{CORES} spinning processes beside it", drawers, options.rounds, 2000)
    finally:
        for drawer in drawers.values():
            drawer.end()
    if options.json:
        options.json.write_text(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
