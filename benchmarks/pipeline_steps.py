"""Our step ÷ the step of diffusers' pipeline, on the same random weights, texts and sizes, with one branch of guidance and two.

    python benchmarks/pipeline_steps.py                         # networks like SDXL, SD 3, FLUX.1 and Qwen-Image, in two sizes
    python benchmarks/pipeline_steps.py --networks flux --sizes small --repeats 15
    python benchmarks/pipeline_steps.py --json result.json

A step is a run of `--steps` Euler steps from texts that are encoded to a latent, without encoders and decoder, divided by its
steps. Runs of ours and of the pipeline alternate, and the median of their quotients is told, so that a machine that changes
speed changes both; the spread tells how far to trust it.
"""

from __future__ import annotations

import argparse
import copy
import json
import logging
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch

from engine.denoising.records import LiveModel, Start
from engine.denoising.run import sample
from engine.models.families import family_named
from engine.models.families.base import named
from engine.models.handles import ModelHandle, Source
from engine.sampling.guiders import BasicGuidance, CfgGuidance
from engine.sampling.noise import initial_noise
from engine.sampling.noise_schedule import NoiseSchedule
from engine.sampling.schedules import compute_sigmas

CFG = 3.0
SIDE = {"small": 16, "middle": 32}
"""Latent pixels a side."""


class Subject(NamedTuple):
    """A network with the pipeline around it. `options`: what a conditioning has beside the text."""

    family: str
    module: torch.nn.Module
    pipeline: Any
    words: int
    width: int
    options: dict[str, Any]
    arguments: Callable[[torch.Tensor, torch.Tensor, float], dict[str, Any]]


def sdxl(size: str) -> Subject:
    """Stable Diffusion XL's U-Net, narrower and of fewer blocks."""
    from diffusers import EulerDiscreteScheduler, StableDiffusionXLPipeline, UNet2DConditionModel

    widths, width = {"small": ((64, 128, 128), 128), "middle": ((160, 320, 640), 1024)}[size]
    pooled = 128
    unet = UNet2DConditionModel(
        sample_size=SIDE[size],
        block_out_channels=widths,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        transformer_layers_per_block=(1, 2, 4),
        cross_attention_dim=width,
        attention_head_dim=tuple(side // 32 for side in widths),
        use_linear_projection=True,
        addition_embed_type="text_time",
        addition_time_embed_dim=64,
        projection_class_embeddings_input_dim=6 * 64 + pooled,
    )
    made = StableDiffusionXLPipeline(
        None, None, None, None, None, unet, EulerDiscreteScheduler(timestep_spacing="trailing")
    )
    text = torch.randn(1, pooled)
    both = {"pooled_prompt_embeds": text, "negative_pooled_prompt_embeds": text}
    return Subject("sdxl", unet, made, 77, width, {"pooled_output": text}, _with(both, "guidance_scale", 0.0))


def sd3(size: str) -> Subject:
    """Stable Diffusion 3's transformer."""
    from diffusers import FlowMatchEulerDiscreteScheduler, SD3Transformer2DModel, StableDiffusion3Pipeline

    layers, heads, width = {"small": (4, 4, 256), "middle": (8, 12, 1024)}[size]
    module = SD3Transformer2DModel(
        sample_size=SIDE[size],
        num_layers=layers,
        attention_head_dim=64,
        num_attention_heads=heads,
        joint_attention_dim=width,
        caption_projection_dim=64 * heads,
        pooled_projection_dim=128,
        pos_embed_max_size=96,
    )
    made = StableDiffusion3Pipeline(module, FlowMatchEulerDiscreteScheduler(shift=3.0), *[None] * 7)
    text = torch.randn(1, 128)
    both = {"pooled_prompt_embeds": text, "negative_pooled_prompt_embeds": text}
    return Subject("sd3", module, made, 154, width, {"pooled_output": text}, _with(both, "guidance_scale", 0.0))


def flux(size: str) -> Subject:
    """FLUX.1 dev's transformer."""
    from diffusers import FlowMatchEulerDiscreteScheduler, FluxPipeline, FluxTransformer2DModel

    layers, single, heads, width = {"small": (2, 4, 4, 256), "middle": (4, 8, 8, 1024)}[size]
    module = FluxTransformer2DModel(
        num_layers=layers,
        num_single_layers=single,
        attention_head_dim=64,
        num_attention_heads=heads,
        joint_attention_dim=width,
        pooled_projection_dim=128,
        guidance_embeds=True,
        axes_dims_rope=(8, 28, 28),
    )
    made = FluxPipeline(FlowMatchEulerDiscreteScheduler(), None, None, None, None, None, module)
    text = torch.randn(1, 128)
    both = {"pooled_prompt_embeds": text, "negative_pooled_prompt_embeds": text, "guidance_scale": 3.5}
    options = {"pooled_output": text, "guidance": 3.5}
    return Subject("flux", module, made, 256, width, options, _with(both, "true_cfg_scale", 1.0))


def qwen(size: str) -> Subject:
    """Qwen-Image's transformer."""
    from diffusers import FlowMatchEulerDiscreteScheduler, QwenImagePipeline, QwenImageTransformer2DModel

    layers, heads, width = {"small": (4, 2, 256), "middle": (8, 6, 1024)}[size]
    module = QwenImageTransformer2DModel(
        num_layers=layers, attention_head_dim=128, num_attention_heads=heads, joint_attention_dim=width
    )
    made = QwenImagePipeline(FlowMatchEulerDiscreteScheduler(), None, None, None, module)
    words = torch.ones(1, 64, dtype=torch.long)
    both = {"prompt_embeds_mask": words, "negative_prompt_embeds_mask": words}
    return Subject("qwen_image", module, made, 64, width, {}, _with(both, "true_cfg_scale", 1.0))


NETWORKS = {"sdxl": sdxl, "sd3": sd3, "flux": flux, "qwen": qwen}


def _with(
    both: dict[str, Any], scale: str, off: float
) -> Callable[[torch.Tensor, torch.Tensor, float], dict[str, Any]]:
    """Arguments of a pipeline for two texts and a guidance scale; those of negative texts only where there is guidance."""

    def arguments(positive: torch.Tensor, negative: torch.Tensor, cfg: float) -> dict[str, Any]:
        given = {"prompt_embeds": positive, "negative_prompt_embeds": negative, **both}
        guided = cfg != 1.0
        kept = {name: value for name, value in given.items() if guided or not name.startswith("negative")}
        return {**kept, scale: cfg if guided else off}

    return arguments


def ours(subject: Subject, texts: list[torch.Tensor], side: int, cfg: float, steps: int) -> Callable[[], torch.Tensor]:
    """A run of this project's sampler on the subject's module."""
    family = family_named(subject.family)
    handle = ModelHandle(
        source=Source("benchmark", "benchmark"),
        family=family.name,
        config={name: value for name, value in subject.module.config.items() if not name.startswith("_")},
        parameterization=family.parameterization,
        latent=family.latent,
    )
    module = copy.deepcopy(subject.module)  # some of our calls put parts of their own into a module
    network = named(family.network.call)(module, handle, torch.device("cpu"), torch.float32)
    schedule = NoiseSchedule.of(handle.parameterization)
    live = LiveModel(network, schedule, handle.latent, inputs=network.inputs, handle=handle)
    positive, negative = ([[text, dict(subject.options)]] for text in texts)
    guidance = BasicGuidance(positive) if cfg == 1.0 else CfgGuidance(positive, negative, cfg)
    latent = torch.zeros(1, handle.latent.channels, side, side)
    noise, sigmas = initial_noise(latent, 0), compute_sigmas(schedule, "simple", steps)
    return lambda: sample(live, Start(latent, noise), guidance, sigmas, "euler").samples


def theirs(subject: Subject, texts: list[torch.Tensor], side: int, cfg: float, steps: int) -> Callable[[], Any]:
    """A run of the library's pipeline."""
    subject.pipeline.set_progress_bar_config(disable=True)
    told = {"height": side * 8, "width": side * 8, "num_inference_steps": steps, "output_type": "latent"}
    given = {**told, **subject.arguments(texts[0], texts[1], cfg)}
    return lambda: subject.pipeline(**given).images


@torch.no_grad()
def measure(make: Callable[[str], Subject], size: str, cfg: float, steps: int, repeats: int) -> dict[str, Any]:
    """Return median milliseconds a step of both, and the median and the quartiles of their quotients."""
    torch.manual_seed(0)
    subject = make(size)
    subject.module.eval().requires_grad_(False)
    texts = [torch.randn(1, subject.words, subject.width) for _ in range(2)]
    own, other = (run(subject, texts, SIDE[size], cfg, steps) for run in (ours, theirs))
    own(), other()
    pairs = []
    for number in range(repeats):
        first, second = (own, other) if number % 2 else (other, own)
        times = {run: _seconds(run) / steps for run in (first, second)}
        pairs.append((times[own], times[other]))
    quotients = [a / b for a, b in pairs]
    low, middle, high = statistics.quantiles(quotients, n=4)
    return {
        "network": make.__name__,
        "size": size,
        "millions": sum(one.numel() for one in subject.module.parameters()) / 1e6,
        "cfg": cfg,
        "ours_ms": statistics.median(a for a, _ in pairs) * 1e3,
        "theirs_ms": statistics.median(b for _, b in pairs) * 1e3,
        "ratio": middle,
        "quartiles": (low, high),
    }


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main() -> None:
    """Parse the options, measure, print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    parser.add_argument("--sizes", nargs="+", choices=SIDE, default=list(SIDE))
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--json", type=Path, help="write the numbers to this file")
    options = parser.parse_args()
    logging.getLogger("diffusers").setLevel(logging.ERROR)
    rows = []
    print(
        f"{'network':8} {'size':7} {'params':>7} {'cfg':>4} {'ours ms':>9} {'theirs ms':>10} {'ratio':>7}   quartiles"
    )
    for name in options.networks:
        for size in options.sizes:
            for cfg in (1.0, CFG):
                row = measure(NETWORKS[name], size, cfg, options.steps, options.repeats)
                rows.append(row)
                print(
                    f"{name:8} {size:7} {row['millions']:6.1f}M {cfg:4g} {row['ours_ms']:9.2f} {row['theirs_ms']:10.2f} "
                    f"{row['ratio']:7.3f}   {row['quartiles'][0]:.3f} to {row['quartiles'][1]:.3f}",
                    flush=True,
                )
    if options.json:
        facts = {"torch": torch.__version__, "machine": platform.machine(), "steps": options.steps}
        options.json.write_text(json.dumps({**facts, "rows": rows}, indent=2) + "\n")


if __name__ == "__main__":
    main()
