"""KSampler with the noise of SDE samplers: this build against another revision's, on the bundled model.

    git worktree add ../base REVISION
    python benchmarks/sde_noise.py --base ../base                         # dpmpp_2m_sde, 20 steps, cfg 1 and 8
    python benchmarks/sde_noise.py --base ../base --sampler dpmpp_sde --side 64

Each build holds the model in a process of its own, and the two take whole runs in turn, so that a machine that changes speed
changes both. The number is the median of the quotients of neighbouring runs, for wall and for processor time.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent.parent
CHECKPOINT = HERE / "models/checkpoints/emoji-64.safetensors"


class Build:
    """One build's process: asked for a run, it answers with the seconds of it, wall and processor."""

    def __init__(self, root: Path, options: argparse.Namespace) -> None:
        command = [sys.executable, str(Path(__file__).resolve()), "--serve", "--checkpoint", str(options.checkpoint)]
        command += ["--sampler", options.sampler, "--steps", str(options.steps), "--side", str(options.side)]
        command += ["--threads", str(options.threads), "--batch", str(options.batch)]
        environment = {**os.environ, "PYTHONPATH": str(root)}
        self._process = subprocess.Popen(
            command, env=environment, cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def run(self, cfg: float) -> tuple[float, float]:
        """Take one run and return its seconds, (wall, processor)."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(cfg, file=self._process.stdin, flush=True)
        wall, processor = json.loads(self._process.stdout.readline())
        return wall, processor

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


def serve(options: argparse.Namespace) -> None:
    """Hold the model and take a run for each line of standard input, which is its cfg."""
    import torch

    from engine.denoising.live import live_model
    from engine.denoising.records import StepPlan
    from engine.denoising.run import ksampler
    from engine.models.manager import ModelManager
    from engine.sampling.guiders import CfgGuidance

    torch.set_num_threads(options.threads)
    manager = ModelManager()
    handle = manager.checkpoint(options.checkpoint)[0]
    texts = [[[torch.randn(1, 77, handle.context_dim), {}]] for _ in range(2)]
    latent = {"samples": torch.zeros(options.batch, handle.latent.channels, options.side, options.side)}
    plan = StepPlan(steps=options.steps, sampler_name=options.sampler, scheduler="karras")
    with live_model(manager, handle) as live:

        def run(cfg: float) -> Any:
            return ksampler(live, latent, CfgGuidance(texts[0], texts[1], cfg), plan, seed=7)

        run(1.0)
        for line in sys.stdin:
            start = time.perf_counter(), time.process_time()
            run(float(line))
            print(json.dumps([time.perf_counter() - start[0], time.process_time() - start[1]]), flush=True)


def compare(options: argparse.Namespace) -> None:
    """Take runs of both builds in turn and print the medians."""
    builds = {"base": Build(options.base.resolve(), options), "this": Build(HERE, options)}
    print(f"{options.sampler}, {options.steps} steps, latents {options.batch} × {options.side} × {options.side}")
    print(f"{'cfg':>5} {'base ms':>9} {'this ms':>9} {'wall':>7} {'processor':>10}")
    for cfg in (1.0, 8.0):
        times: dict[str, list[tuple[float, float]]] = {"base": [], "this": []}
        for number in range(options.repeats):
            for name in ("base", "this") if number % 2 else ("this", "base"):
                times[name].append(builds[name].run(cfg))
        quotients = [
            [this[i] / base[i] for base, this in zip(times["base"], times["this"], strict=True)] for i in range(2)
        ]
        base, this = (statistics.median(wall for wall, _ in times[name]) * 1e3 for name in ("base", "this"))
        wall, processor = (statistics.median(one) for one in quotients)
        print(f"{cfg:5g} {base:9.1f} {this:9.1f} {wall:7.3f} {processor:10.3f}", flush=True)
    for build in builds.values():
        build.close()


def main() -> None:
    """Parse the options and compare, or serve as one of the two."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", type=Path, help="root of a checkout of the revision to compare with")
    parser.add_argument("--checkpoint", type=Path, default=CHECKPOINT)
    parser.add_argument("--sampler", default="dpmpp_2m_sde")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--side", type=int, default=8, help="side of the latent; 8 is the bundled model's own")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options)
    elif options.base is None:
        parser.error("--base: expected a checkout of the revision to compare with")
    else:
        compare(options)


if __name__ == "__main__":
    main()
