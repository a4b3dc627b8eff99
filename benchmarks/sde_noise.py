"""KSampler with the noise of SDE samplers: this build against another revision's, on the bundled model.

    git worktree add ../base REVISION
    python benchmarks/sde_noise.py --base ../base                         # dpmpp_2m_sde, 20 steps, cfg 1 and 8
    python benchmarks/sde_noise.py --base ../base --sampler dpmpp_sde --side 64

Each build holds the model in a process of its own, and the two take whole runs in turn, so that a machine that changes speed
changes both. The number is the median of the quotients of neighbouring runs, for wall and for processor time.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from two_builds import HERE, Build, Comparison, answer, compare

CHECKPOINT = HERE / "models/checkpoints/emoji-64.safetensors"


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
        answer(lambda line: run(float(line)))


def compare_builds(options: argparse.Namespace) -> None:
    """Take runs of both builds in turn and print the medians."""
    arguments = ["--serve", "--checkpoint", str(options.checkpoint), "--sampler", options.sampler]
    for name in ("steps", "side", "threads", "batch"):
        arguments += [f"--{name}", str(getattr(options, name))]
    base, this = (Build(root, __file__, arguments) for root in (options.base.resolve(), HERE))
    print(f"{options.sampler}, {options.steps} steps, latents {options.batch} × {options.side} × {options.side}")
    print(f"{'cfg':>5} {Comparison.HEAD}")
    for cfg in (1.0, 8.0):
        print(f"{cfg:5g} {compare(base, this, [cfg] * options.repeats)}", flush=True)
    base.close()
    this.close()


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
        compare_builds(options)


if __name__ == "__main__":
    main()
