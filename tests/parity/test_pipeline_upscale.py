"""Stable Diffusion's x4 upscaler: whole runs by our nodes and by diffusers' pipeline on the same modules."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from engine.models.errors import ModelError
from engine.sampling.noise import initial_noise
from nodes.conditioning import text_encode
from nodes.conditioning_upscale import upscale_conditioning
from nodes.loaders import checkpoint_loader, lora_loader_model_only
from nodes.sampling import ksampler
from nodes.vae import vae_decode
from tests.conftest import _tokenizer_json
from tests.families import Tiny, save
from tests.tiny_pixel import UPSCALER, bench_of, classed_unet, smaller_vae, unet_lora, write_sd2

PROMPT, NEGATIVE = "a photo of the red apple on the tree", "blue dog"
SEED, STEPS, CFG, LEVEL = 13, 4, 5.0, 70


@pytest.fixture(scope="module")
def tiny(tiny_sd, tmp_path_factory) -> Tiny:
    torch.manual_seed(22)
    files, folder = tiny_sd.tokenizer_files, tmp_path_factory.mktemp("tiny_x4")
    modules = {"unet": classed_unet(**UPSCALER), "vae": smaller_vae()}
    return write_sd2(folder, files, _tokenizer_json(files), "sd_x4", modules)


def picture() -> torch.Tensor:
    return torch.rand(1, 16, 24, 3, generator=torch.Generator().manual_seed(5))


def theirs(tiny: Tiny, monkeypatch: Any, level: int, lora: dict[str, Any] | None = None) -> torch.Tensor:
    from copy import deepcopy

    from diffusers.pipelines.stable_diffusion import pipeline_stable_diffusion_upscale as module
    from diffusers.schedulers.scheduling_ddpm import DDPMScheduler
    from diffusers.schedulers.scheduling_euler_discrete import EulerDiscreteScheduler

    process = {"beta_start": 0.0001, "beta_end": 0.02, "beta_schedule": "scaled_linear"}
    scheduler = EulerDiscreteScheduler(**process, prediction_type="v_prediction", timestep_spacing="linspace")
    pipeline = module.StableDiffusionUpscalePipeline(
        **deepcopy(tiny.modules), **tiny.tokenizers, low_res_scheduler=DDPMScheduler(**process), scheduler=scheduler
    )
    pipeline.set_progress_bar_config(disable=True)
    if lora:
        pipeline.load_lora_weights(lora)
    scheduler.set_timesteps(STEPS)
    sigma = float(scheduler.init_noise_sigma)
    # The picture's noise is that of another seed than the run's, as the field has it.
    drawn = torch.randn(1, 3, 16, 24, generator=torch.Generator().manual_seed(SEED - 10))
    monkeypatch.setattr(module, "randn_tensor", lambda *_, **__: drawn)
    result = pipeline(
        PROMPT,
        image=picture().movedim(-1, 1),
        negative_prompt=NEGATIVE,
        num_inference_steps=STEPS,
        guidance_scale=CFG,
        noise_level=level,
        latents=initial_noise(torch.zeros(1, 4, 16, 24), SEED) * math.sqrt(1.0 + sigma**2) / sigma,
        output_type="pt",
    )
    return result.images.movedim(1, -1)


def ours(bench: Any, parts: Any, augmentation: float) -> torch.Tensor:
    sides = [text_encode(bench, text, parts.CLIP) for text in (PROMPT, NEGATIVE)]
    told = upscale_conditioning(picture(), *sides, 4.0, augmentation)
    settings = {"seed": SEED, "steps": STEPS, "cfg": CFG, "sampler_name": "euler", "scheduler": "normal"}
    latent = ksampler(
        bench, parts.MODEL, **settings, positive=told.positive, negative=told.negative, latent_image=told.latent
    )
    return vae_decode(bench, latent, parts.VAE)


def test_a_small_picture_gives_the_pipelines_large_one(tiny, monkeypatch):
    bench = bench_of(tiny.base)
    parts = checkpoint_loader(bench, "sd_x4.safetensors")
    assert (parts.MODEL.latent.downscale, parts.MODEL.extra_channels) == (4, 3)
    large = ours(bench, parts, LEVEL / 350)
    assert large.shape == (1, 64, 96, 3)
    assert float((large - theirs(tiny, monkeypatch, LEVEL)).abs().max()) <= 1e-4
    assert float((large - ours(bench, parts, 0.0)).abs().max()) > 1e-3, "the noise on the picture counts"


def test_a_lora_moves_the_picture_as_in_the_pipeline_and_off_again(tiny, monkeypatch):
    bench = bench_of(tiny.base)
    parts = checkpoint_loader(bench, "sd_x4.safetensors")
    tensors = unet_lora(tiny.modules["unet"])
    save(tiny.file("loras", "kohya.safetensors"), tensors)
    plain = ours(bench, parts, LEVEL / 350)
    patched = parts._replace(MODEL=lora_loader_model_only(bench, parts.MODEL, "kohya.safetensors", 1.0))
    large = ours(bench, patched, LEVEL / 350)
    assert float((large - theirs(tiny, monkeypatch, LEVEL, dict(tensors))).abs().max()) <= 1e-4
    assert float((large - plain).abs().max()) > 1e-3
    assert torch.equal(ours(bench, parts, LEVEL / 350), plain)


def test_a_text_of_another_model_is_refused(tiny):
    bench = bench_of(tiny.base)
    model = checkpoint_loader(bench, "sd_x4.safetensors").MODEL
    told = upscale_conditioning(picture(), [[torch.zeros(1, 77, 32), {}]], [[torch.zeros(1, 77, 32), {}]])
    with pytest.raises(ModelError, match="width 48, got 32"):
        ksampler(
            bench,
            model,
            seed=0,
            steps=1,
            cfg=1.0,
            sampler_name="euler",
            scheduler="simple",
            positive=told.positive,
            negative=told.negative,
            latent_image=told.latent,
        )
