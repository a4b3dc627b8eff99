"""What previews cost: pictures of each kind and size, and whole runs of the bundled model with and without them.

    python benchmarks/preview_cost.py
    python benchmarks/preview_cost.py --runs 10 --steps 50

Runs with and without previews alternate, so that a machine that changes speed changes both; medians are compared.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch

from engine.__main__ import make_app
from engine.datatypes.latent_formats import FLUX, SD
from engine.datatypes.parameterization import LatentFormat
from engine.denoising.previews import MIN_SIDE, preview
from engine.execute.events import NodePreview
from engine.graph.prompt import prompt_from_json
from engine.models.tiny_decoder import TinyDecoder
from engine.sampling.samplers.steps import StepInfo
from engine.worker.pictures import encode


def milliseconds(call: Callable[[], object], times: int = 20) -> float:
    """The median of `times` calls, after one that does not count."""
    call()
    taken = []
    for _ in range(times):
        started = time.perf_counter()
        call()
        taken.append(time.perf_counter() - started)
    return statistics.median(taken) * 1e3


def step_of(latent_format: LatentFormat, side: int) -> StepInfo:
    latent = torch.randn(1, latent_format.channels, side, side)
    return StepInfo(step=0, total=1, x=latent, denoised=latent, sigma=1.0)


def show_pictures() -> None:
    print("one preview, ms:             colours   tiny decoder   as JPEG")
    for name, latent_format, side in (
        ("64 px, 16 channels", FLUX, 8),
        ("512 px, SD", SD, 64),
        ("1024 px, Flux", FLUX, 128),
    ):
        step = step_of(latent_format, side)
        decoder = TinyDecoder(latent_format.channels, 64).requires_grad_(False).eval()
        colours = milliseconds(partial(preview, step, latent_format))
        decoded = milliseconds(partial(preview, step, latent_format, decoder.decode, MIN_SIDE), 3)
        jpeg = milliseconds(partial(encode, preview(step, latent_format)))
        print(f"  {name:24} {colours:9.2f} {decoded:14.1f} {jpeg:9.2f}")


def prompt_of(steps: int, seed: int) -> dict[str, Any]:
    words = {"positive": "red apple", "negative": ""}
    texts = {
        name: {"class_type": "CLIPTextEncode", "inputs": {"text": text, "clip": ["model", 1]}}
        for name, text in words.items()
    }
    sampler = {
        "model": ["model", 0],
        "positive": ["positive", 0],
        "negative": ["negative", 0],
        "latent_image": ["empty", 0],
        "seed": seed,
        "steps": steps,
        "cfg": 4.0,
        "sampler_name": "euler",
        "scheduler": "normal",
        "denoise": 1.0,
    }
    return texts | {
        "model": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "emoji-64.safetensors"}},
        "empty": {"class_type": "EmptyLatentImage", "inputs": {"width": 64, "height": 64, "batch_size": 1}},
        "sampler": {"class_type": "KSampler", "inputs": sampler},
    }


def show_runs(runs: int, steps: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        app = make_app(Path(folder))
        cache = app.open_cache(False)
        executor = app.open_executor(app.load_library(), cache)
        taken: dict[str, list[float]] = {"none": [], "latent2rgb": []}
        shown = 0

        def watch(event: object) -> None:
            nonlocal shown
            shown += isinstance(event, NodePreview)

        for run in range(runs + 1):
            for number, (method, seconds) in enumerate(taken.items()):
                prompt = prompt_from_json(prompt_of(steps, seed=2 * run + number))
                started = time.perf_counter()
                executor.run_sync(prompt, ["sampler"], sink=watch, preview_method=method)
                if run:  # the first run of each loads the model
                    seconds.append(time.perf_counter() - started)
        executor.close()
        cache.close()
    without, with_previews = (statistics.median(seconds) for seconds in taken.values())
    print(f"bundled model, {steps} steps: {without:.3f} s without previews, {with_previews:.3f} s with; ")
    print(f"  {shown / (runs + 1):.1f} previews a run, {100 * (with_previews / without - 1):+.1f} % of its time")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=7, help="runs of each kind (7)")
    parser.add_argument("--steps", type=int, default=30, help="steps of a run (30)")
    options = parser.parse_args()
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, python {sys.version.split()[0]}")
    show_pictures()
    show_runs(options.runs, options.steps)


if __name__ == "__main__":
    main()
