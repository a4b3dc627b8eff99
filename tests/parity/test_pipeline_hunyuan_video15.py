"""HunyuanVideo 1.5: whole runs, from the prompt, by our nodes and by diffusers' pipeline on the same modules."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from engine.sampling.noise import initial_noise
from nodes.conditioning import text_encode
from nodes.latent_hunyuan_video import empty_hunyuan_video15_latent
from nodes.loaders import denoiser_loader, dual_text_encoder_loader
from nodes.sampling import ksampler
from tests.families import Tiny
from tests.runs import SEED, STEPS, bench_of, levels, library
from tests.tiny_hunyuan_video15 import write

PROMPT, NEGATIVE = "a photo of a sign, 'red apple' and \"the tree\" on it", "blue dog"
FRAMES, HEIGHT, WIDTH = 9, 64, 96


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> Tiny:
    return write(tmp_path_factory.mktemp("tiny_hunyuan_video15"))


def theirs(tiny: Tiny, model: Any, cfg: float, prompt: str, empty: torch.Tensor) -> torch.Tensor:
    from diffusers.guiders import ClassifierFreeGuidance
    from diffusers.pipelines.hunyuan_video1_5.pipeline_hunyuan_video1_5 import HunyuanVideo15Pipeline

    guider = ClassifierFreeGuidance(guidance_scale=cfg, enabled=cfg != 1.0)
    found = library(HunyuanVideo15Pipeline, tiny, guider=guider)(
        prompt,
        negative_prompt=NEGATIVE,
        num_inference_steps=STEPS,
        sigmas=levels(model),
        latents=initial_noise(empty, SEED),
        height=HEIGHT,
        width=WIDTH,
        num_frames=FRAMES,
        output_type="latent",
    )
    return found.frames / tiny.modules["vae"].config.scaling_factor


@pytest.mark.parametrize("cfg", [1.0, 3.5])
@pytest.mark.parametrize("prompt", [PROMPT, "a photo of the red apple on the tree"])
def test_a_prompt_gives_the_pipelines_latents_with_words_to_write_and_without(tiny, cfg, prompt):
    bench = bench_of(tiny)
    model = denoiser_loader(bench, "hunyuan_video15.safetensors")
    texts = "qwen_2.5_vl_7b.safetensors", "byt5_small_glyphxl.safetensors"
    clip = dual_text_encoder_loader(bench, *texts, "hunyuan_video_15")
    assert (model.family, model.parameterization.shift) == ("hunyuan_video15", 7.0)
    empty = empty_hunyuan_video15_latent(WIDTH, HEIGHT, FRAMES)
    settings = {"seed": SEED, "steps": STEPS, "cfg": cfg, "sampler_name": "euler", "scheduler": "simple"}
    good, bad = text_encode(bench, prompt, clip), text_encode(bench, NEGATIVE, clip)
    got = ksampler(bench, model, **settings, positive=good, negative=bad, latent_image=empty)["samples"]
    wanted = theirs(tiny, model, cfg, prompt, empty["samples"])
    assert got.shape == wanted.shape == (1, 32, 3, 4, 6)
    assert float((got - wanted).abs().max()) <= 1e-4


@pytest.mark.parametrize("name", ["hunyuan_video15", "stacked", "field", "diffusers"])
def test_each_layout_has_the_librarys_tensors(tiny, name):
    bench = bench_of(tiny)
    wanted = tiny.modules["transformer"].state_dict()
    with bench.models.use(denoiser_loader(bench, f"{name}.safetensors")) as network:
        state = network.module.state_dict()
        assert state.keys() == wanted.keys()
        assert all(torch.equal(value, wanted[name]) for name, value in state.items())
