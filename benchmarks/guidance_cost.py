"""What each guidance node costs: a step with it ÷ the bare step, classifier-free guidance at cfg 7, in one run.

    python benchmarks/guidance_cost.py                    # a random U-Net of the bundled model's size, latents of 32 × 32
    python benchmarks/guidance_cost.py --side 64 --steps 2 --repeats 5
    python benchmarks/guidance_cost.py --json result.json

Before each node's run there is one of the bare step, and the ratio is the median of node ÷ the bare one before it: a machine
that changes speed changes both. `outside` is what a step spends beside its network, in milliseconds, from the same runs; where
the machine is busy that is the number to read. `by outside` is 1 + what it adds there ÷ the bare step. The classifier and the
image encoder are stand-ins of a few million parameters, so that their rows tell of the gradient's way more than of theirs: back
through the classifier alone, or through the denoiser too.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from sampler_overhead import NETWORKS, _Clock, _seconds, random_network

from engine.datatypes.parameterization import LatentFormat, Parameterization
from engine.denoising.live import rescale_of
from engine.denoising.records import LiveModel, Start
from engine.denoising.run import sample
from engine.models.handles import ClipVisionHandle, ModelHandle, PerceptionHandle, Source
from engine.models.networks.noise_classifier import HalfUNet, NoiseClassifier
from engine.models.vision import VisionEncoder
from engine.sampling.guiders import CfgGuidance
from engine.sampling.noise import initial_noise
from engine.sampling.noise_schedule import NoiseSchedule
from engine.sampling.schedules import compute_sigmas
from nodes.guidance_frequencies import fresca
from nodes.guidance_gradients import classifier_guidance, clip_guidance
from nodes.guidance_norm import cfg_norm, renorm_cfg
from nodes.guidance_perp_neg import perp_neg
from nodes.guidance_predictions import apg, cfg_zero_star, epsilon_scaling, mahiro, tcfg, temporal_score_rescaling
from nodes.guidance_video import video_linear_cfg_guidance
from nodes.latent_operations import (
    latent_apply_operation_cfg,
    latent_operation_sharpen,
    latent_operation_tonemap_reinhard,
)
from nodes.model_sampling import rescale_cfg

CFG = 7.0


def nodes(neutral: Any, further: Further) -> dict[str, Callable[[ModelHandle], ModelHandle]]:
    """Return every node by its name, as what it does to a model."""
    return {
        "RescaleCFG": rescale_cfg,
        "CFGNorm": cfg_norm,
        "RenormCFG": renorm_cfg,
        "FreSca": lambda model: fresca(model, 1.0, 1.25, 20),
        "APG": lambda model: apg(model, 0.5, 5.0, -0.5),
        "TCFG": lambda model: tcfg(model).patched_model,
        "CFGZeroStar": lambda model: cfg_zero_star(model).patched_model,
        "Mahiro": lambda model: mahiro(model).patched_model,
        "Epsilon Scaling": epsilon_scaling,
        "TemporalScoreRescaling": lambda model: temporal_score_rescaling(model).patched_model,
        "VideoLinearCFGGuidance": video_linear_cfg_guidance,
        "LatentOperationTonemapReinhard": lambda model: latent_apply_operation_cfg(
            model, latent_operation_tonemap_reinhard()
        ),
        "LatentOperationSharpen": lambda model: latent_apply_operation_cfg(model, latent_operation_sharpen()),
        "APG, TCFG, CFGZeroStar, CFGNorm": lambda model: cfg_norm(
            cfg_zero_star(tcfg(apg(model)).patched_model).patched_model
        ),
        "PerpNeg": lambda model: perp_neg(model, neutral),
        "ClassifierGuidance": lambda model: classifier_guidance(model, further.classifier.handle),
        "CLIPGuidance": lambda model: clip_guidance(model, further.encoder.handle, None, further.words),
    }


class Further:
    """A classifier and an image encoder with random weights, for latents (B, `channels`, `side`, `side`)."""

    def __init__(self, channels: int, side: int) -> None:
        from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

        place = torch.device("cpu"), torch.float32
        config: dict[str, Any] = {
            "in_channels": channels,
            "time_channels": 64,
            "channels": [64, 64, 64, 128, 128, 128],
            "attends": [False, False, False, True, False, True],
            "depth": 1,
            "head": 64,
            "scaled": True,
            "image_size": side,
            "classes": 10,
        }
        handle = PerceptionHandle(source=Source("classifier", "1"), kind="noise_classifier", config=config)
        self.classifier = NoiseClassifier(HalfUNet(**config).eval().requires_grad_(False), handle, *place)
        seen = CLIPVisionConfig(
            hidden_size=192, intermediate_size=768, num_hidden_layers=6, num_attention_heads=3, image_size=224,
            patch_size=32, projection_dim=64,
        )  # fmt: skip
        module = CLIPVisionModelWithProjection(seen).eval().requires_grad_(False)
        vision = ClipVisionHandle(source=Source("vision", "2"), family="clip", config={"image_size": 224})
        self.encoder = VisionEncoder(module, vision, *place)
        self.words = [[torch.zeros(1, 1, 8), {"pooled_output": torch.randn(1, 64)}]]

    def hold(self, handle: Any) -> Any:
        """Return what a handle is of."""
        return self.encoder if isinstance(handle, ClipVisionHandle) else self.classifier


def measure(name: str, side: int, batch: int, steps: int, repeats: int) -> list[dict[str, Any]]:
    """Return a row for the bare step and for each node: milliseconds a step, ratio, milliseconds outside the network."""
    network, channels, _, width = random_network(name)
    process = Parameterization(prediction="v")
    latent = torch.zeros(batch, channels, side, side)
    texts = [[[torch.randn(1, 77, width), {}]] for _ in range(3)]
    further, clock = Further(channels, side), _Clock(network)
    sigmas, noise = compute_sigmas(process, "karras", steps), initial_noise(latent, 0)
    space = LatentFormat(channels=channels)
    plain = ModelHandle(source=Source("random", "0"), family="sd1", parameterization=process, latent=space)
    models = {"bare": plain, **{title: put(plain) for title, put in nodes(texts[2], further).items()}}
    lives = {
        title: LiveModel(clock, NoiseSchedule(process), space, handle=model, hold=further.hold)
        for title, model in models.items()
    }
    times: dict[str, list[float]] = {title: [] for title in models}
    ratios: dict[str, list[float]] = {title: [] for title in models}
    rests: dict[str, list[float]] = {title: [] for title in models}

    def run(title: str) -> float:
        guidance = CfgGuidance(texts[0], texts[1], CFG, rescale_of(models[title]))
        clock.inside = 0.0
        taken = _seconds(lambda: sample(lives[title], Start(latent, noise), guidance, sigmas, "euler")) / steps * 1e3
        times[title].append(taken)
        rests[title].append(taken - clock.inside / steps * 1e3)
        return taken

    for title in models:
        run(title)  # the first of each is left out
        times[title].clear(), rests[title].clear()
    for _ in range(repeats):
        for title in models:
            alone = run("bare")
            ratios[title].append(run(title) / alone)
    own, step = statistics.median(rests["bare"]), statistics.median(times["bare"])
    return [
        {
            "node": title,
            "step_ms": statistics.median(times[title]),
            "ratio": statistics.median(ratios[title]),
            "outside_ms": statistics.median(rests[title]),
            "ratio_outside": 1.0 + (statistics.median(rests[title]) - own) / step,
        }
        for title in models
    ]


def main() -> None:
    """Parse the options, measure, print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", choices=NETWORKS, default="bundled")
    parser.add_argument("--side", type=int, default=32, help="of the latents, in latent pixels")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--json", type=Path, help="write the numbers to this file")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    rows = measure(options.network, options.side, options.batch, options.steps, options.repeats)
    print(
        f"{options.network}: euler, {options.steps} steps at cfg {CFG:g}, {options.batch} latents of {options.side} × "
        f"{options.side}, medians of {options.repeats}, {options.threads} threads"
    )
    print(f"{'node':32} {'step ms':>10} {'ratio':>8} {'outside ms':>11} {'by outside':>11}")
    for row in rows:
        print(
            f"{row['node']:32} {row['step_ms']:10.2f} {row['ratio']:8.3f} {row['outside_ms']:11.3f} {row['ratio_outside']:11.4f}"
        )
    if options.json:
        facts = {name: getattr(options, name) for name in ("network", "side", "batch", "steps", "repeats", "threads")}
        facts |= {"torch": torch.__version__, "machine": platform.machine(), "rows": rows}
        options.json.write_text(json.dumps(facts, indent=2) + "\n")


if __name__ == "__main__":
    main()
