"""What each patch of the network costs: a step with it ÷ the bare step, classifier-free guidance at cfg 7, in one run.

    python benchmarks/network_patches.py                          # a random U-Net of Stable Diffusion 1's layout, a fifth as wide
    python benchmarks/network_patches.py --side 64 --steps 2 --repeats 5
    python benchmarks/network_patches.py --json result.json

Before each node's run there is one of the bare step, and the ratio is the median of node ÷ the bare one before it: a machine
that changes speed changes both. Times are of the processor, so that others who use the machine count less. Perturbed and
self-attention guidance take one prediction more, of two; caches and tiles are to take less.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from engine.datatypes.parameterization import LatentFormat, Parameterization
from engine.denoising.inside.network import patched
from engine.denoising.records import LiveModel, Start
from engine.denoising.run import sample
from engine.models.handles import ModelHandle, Source
from engine.sampling.guiders import CfgGuidance
from engine.sampling.noise import initial_noise
from engine.sampling.noise_schedule import NoiseSchedule
from engine.sampling.schedules import compute_sigmas
from nodes.context_windows import context_windows_manual
from nodes.guidance_attention import na_guidance, perturbed_attention_guidance, self_attention_guidance
from nodes.step_caches import easy_cache, lazy_cache
from nodes.unet_patches import free_u, free_u_v2, hyper_tile, patch_model_add_downscale, tome_patch_model

CFG = 7.0
WIDTH = 256
LEVELS = ("CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D")
CONFIG = {
    "block_out_channels": (64, 128, 256, 256),
    "layers_per_block": 2,
    "down_block_types": LEVELS,
    "up_block_types": tuple(one.replace("Down", "Up") for one in LEVELS[::-1]),
    "cross_attention_dim": WIDTH,
    "attention_head_dim": 8,
}

NODES: Mapping[str, Callable[[ModelHandle], ModelHandle]] = {
    "FreeU": free_u,
    "FreeU_V2": free_u_v2,
    "HyperTile": lambda model: hyper_tile(model, 128, 2, 1),
    "TomePatchModel": lambda model: tome_patch_model(model, 0.5),
    "PatchModelAddDownscale": lambda model: patch_model_add_downscale(model, end_percent=1.0),
    "PerturbedAttentionGuidance": perturbed_attention_guidance,
    "SelfAttentionGuidance": self_attention_guidance,
    "NAGuidance": na_guidance,
    "FreeU, HyperTile": lambda model: hyper_tile(free_u(model), 128, 2, 1),
    "ContextWindowsManual (one window)": lambda model: context_windows_manual(model, 16, 4),
    "EasyCache": easy_cache,
    "LazyCache": lazy_cache,
}


class UNet:
    """A network with random weights."""

    def __init__(self, handle: ModelHandle) -> None:
        from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

        torch.manual_seed(0)
        module = UNet2DConditionModel(**CONFIG)
        self.module: Any = module.eval().requires_grad_(False)
        self.handle, self.device = handle, torch.device("cpu")

    def __call__(
        self, x: Any, t: Any, context: Any, *, concat: Any = None, control: Any = None, options: Any = None
    ) -> Any:
        """Return the prediction (B, 4, h, w)."""
        return self.module(x, t, encoder_hidden_states=context, return_dict=False)[0]


def measure(side: int, steps: int, repeats: int) -> list[dict[str, Any]]:
    """Return a row for the bare step and for each node: milliseconds a step, and the ratio."""
    process, space = Parameterization(), LatentFormat()
    schedule = NoiseSchedule(process)
    plain = ModelHandle(
        source=Source("random", "0"), family="sd1", config=CONFIG, parameterization=process, latent=space
    )
    network: Any = UNet(plain)
    models = {"bare": plain, **{title: put(plain) for title, put in NODES.items()}}
    lives = {
        title: LiveModel(patched(network, model, schedule), schedule, space, handle=model)
        for title, model in models.items()
    }
    latent = torch.zeros(1, 4, side, side)
    texts = [[[torch.randn(1, 77, WIDTH), {}]] for _ in range(2)]
    sigmas, noise = compute_sigmas(process, "karras", steps), initial_noise(latent, 0)
    times: dict[str, list[float]] = {title: [] for title in models}
    ratios: dict[str, list[float]] = {title: [] for title in models}

    def run(title: str) -> float:
        start = time.process_time()
        sample(lives[title], Start(latent, noise), CfgGuidance(texts[0], texts[1], CFG), sigmas, "euler")
        times[title].append((time.process_time() - start) / steps * 1e3)
        return times[title][-1]

    for title in models:
        run(title)  # the first of each is left out
        times[title].clear()
    for _ in range(repeats):
        for title in models:
            alone = run("bare")
            ratios[title].append(run(title) / alone)
    median = statistics.median
    return [{"node": title, "step_ms": median(times[title]), "ratio": median(ratios[title])} for title in models]


def main() -> None:
    """Parse the options, measure, print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", type=int, default=32, help="of the latents, in latent pixels")
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path, help="write the numbers to this file")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    rows = measure(options.side, options.steps, options.repeats)
    print(f"{'node':36} {'step ms':>10} {'ratio':>8}")
    for row in rows:
        print(f"{row['node']:36} {row['step_ms']:10.1f} {row['ratio']:8.3f}")
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
