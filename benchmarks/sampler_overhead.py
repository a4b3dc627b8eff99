"""Sampler overhead: wall time of a run ÷ (steps × one bare call of the same network on the same rows).

    python benchmarks/sampler_overhead.py                          # a random U-Net of the bundled model's size
    python benchmarks/sampler_overhead.py --checkpoint FILE        # the U-Net of a checkpoint
    python benchmarks/sampler_overhead.py --network sd15 --steps 3 --repeats 3
    python benchmarks/sampler_overhead.py --json result.json

A step at cfg 1 is one call on B rows, at cfg 7 one on 2B rows; the bare calls are timed on just that. Runs and bare calls
alternate, and medians are compared, so that a machine that changes speed changes both. On a busy machine that quotient is
still mostly noise; `outside` is then the number to read: the time of a run that was not spent in the network, per step,
from the same run, and `1 + outside / inside` beside it.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from engine.datatypes.parameterization import LatentFormat, Parameterization
from engine.denoising.records import LiveModel, Start
from engine.denoising.run import sample
from engine.sampling.guiders import BasicGuidance, CfgGuidance
from engine.sampling.noise import initial_noise
from engine.sampling.noise_schedule import NoiseSchedule
from engine.sampling.schedules import compute_sigmas

# The architectures timed: the bundled model's, and Stable Diffusion 1.5's (860 M parameters).
NETWORKS: dict[str, dict[str, Any]] = {
    "bundled": {
        "in_channels": 16,
        "out_channels": 16,
        "sample_size": 8,
        "block_out_channels": (160, 320, 320),
        "layers_per_block": 1,
        "down_block_types": ("CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
        "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
        "cross_attention_dim": 256,
        "attention_head_dim": 8,
    },
    "sd15": {"in_channels": 4, "out_channels": 4, "sample_size": 16, "cross_attention_dim": 768},
}


def random_network(name: str) -> tuple[Callable[..., Tensor], int, int, int]:
    """Return (network, channels, latent side, context width) of a U-Net with random weights."""
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

    config = NETWORKS[name]
    torch.manual_seed(0)
    unet = UNet2DConditionModel(**config).eval().requires_grad_(False)

    def network(x: Tensor, t: Tensor, context: Tensor, **_: object) -> Tensor:
        return unet(x, t, context, return_dict=False)[0]

    return network, config["in_channels"], config["sample_size"], config["cross_attention_dim"]


def checkpoint_network(path: Path, run: Callable[[Callable[..., Tensor], int, int, int], None], side: int) -> None:
    """Call `run` with the network of a checkpoint while it is loaded."""
    from engine.models.manager import ModelManager

    manager = ModelManager()
    handle = manager.checkpoint(path)[0]
    with manager.use(handle) as used:
        run(used, handle.latent.channels, side, handle.context_dim)


def measure(
    network: Callable[..., Tensor],
    channels: int,
    side: int,
    width: int,
    *,
    cfg: float,
    batch: int,
    steps: int,
    repeats: int,
    sampler: str,
) -> dict[str, float]:
    """Return medians of alternating runs and bare calls, in milliseconds a step, and their quotient."""
    parameterization = Parameterization(prediction="v")
    rows = batch if cfg == 1.0 else 2 * batch
    latent = torch.zeros(batch, channels, side, side)
    texts = [[[torch.randn(1, 77, width), {}]] for _ in range(2)]
    guidance = BasicGuidance(texts[0]) if cfg == 1.0 else CfgGuidance(texts[0], texts[1], cfg)
    sigmas = compute_sigmas(parameterization, "karras", steps)
    noise = initial_noise(latent, 0)
    x = torch.randn(rows, channels, side, side)
    context = torch.randn(rows, 77, width)
    t = torch.full((rows,), NoiseSchedule(parameterization).timestep(1.0))
    whole, bare, outside = [], [], []
    clock = _Clock(network)
    live = LiveModel(clock, NoiseSchedule(parameterization), LatentFormat(channels=channels))

    @torch.no_grad()
    def call() -> None:
        network(x, t, context)

    def run() -> None:
        sample(live, Start(latent, noise), guidance, sigmas, sampler)

    call(), run()
    for _ in range(repeats):
        bare.append(_seconds(lambda: [call() for _ in range(steps)]) / steps)
        clock.inside = 0.0
        whole.append(_seconds(run) / steps)
        outside.append(whole[-1] - clock.inside / steps)
    step, alone = statistics.median(whole), statistics.median(bare)
    ratio = statistics.median(a / b for a, b in zip(whole, bare, strict=True))
    own = statistics.median(outside)
    inside = statistics.median(total - rest for total, rest in zip(whole, outside, strict=True))
    return {
        "cfg": cfg,
        "batch": batch,
        "step_ms": step * 1e3,
        "bare_ms": alone * 1e3,
        "ratio": ratio,
        "outside_ms": own * 1e3,
        "ratio_inside": 1.0 + own / inside,
    }


class _Clock:
    """A network that sums up the time spent in it."""

    def __init__(self, network: Callable[..., Tensor]):
        self.network, self.inside = network, 0.0

    def __call__(self, *args: Any, **options: Any) -> Tensor:
        start = time.perf_counter()
        output = self.network(*args, **options)
        self.inside += time.perf_counter() - start
        return output


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main() -> None:
    """Parse the options, measure, print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", choices=NETWORKS, default="bundled")
    parser.add_argument("--checkpoint", type=Path, help="time the U-Net of this checkpoint instead")
    parser.add_argument("--sampler", default="euler")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=11)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--json", type=Path, help="write the numbers to this file")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    rows: list[dict[str, float]] = []

    def run(network: Callable[..., Tensor], channels: int, side: int, width: int) -> None:
        for cfg in (1.0, 7.0):
            settings = {"batch": options.batch, "steps": options.steps, "repeats": options.repeats}
            rows.append(measure(network, channels, side, width, cfg=cfg, sampler=options.sampler, **settings))

    if options.checkpoint:
        checkpoint_network(options.checkpoint, run, side=8)
    else:
        run(*random_network(options.network))
    subject = str(options.checkpoint or options.network)
    print(
        f"{subject}: {options.sampler}, {options.steps} steps, medians of {options.repeats}, {options.threads} threads"
    )
    print(f"{'cfg':>5} {'batch':>6} {'step ms':>10} {'bare ms':>10} {'ratio':>8} {'outside ms':>11} {'1 + o / i':>10}")
    for row in rows:
        print(
            f"{row['cfg']:5g} {row['batch']:6d} {row['step_ms']:10.2f} {row['bare_ms']:10.2f} {row['ratio']:8.3f}"
            f" {row['outside_ms']:11.3f} {row['ratio_inside']:10.4f}"
        )
    if options.json:
        facts = {"network": subject, "sampler": options.sampler, "steps": options.steps, "torch": torch.__version__}
        options.json.write_text(json.dumps({**facts, "machine": platform.machine(), "rows": rows}, indent=2) + "\n")


if __name__ == "__main__":
    main()
