"""Stable Diffusion 2: whole runs, from the prompt, by our nodes and by diffusers' pipeline on the same modules."""

from __future__ import annotations

import math
from copy import deepcopy
from typing import Any

import pytest
import torch

from engine.sampling.noise import initial_noise
from nodes.conditioning import text_encode
from nodes.latent import empty_latent
from nodes.loaders import checkpoint_loader, lora_loader_model_only
from nodes.model_sampling import model_sampling_discrete
from nodes.sampling import ksampler
from nodes.vae import vae_decode
from tests.conftest import _tokenizer_json
from tests.families import Tiny, save, vae
from tests.tiny_pixel import bench_of, classed_unet, unet_lora, write_sd2

PROMPT, NEGATIVE = "a photo of the red apple on the tree", "blue dog"
SEED, STEPS, CFG = 11, 4, 3.0
PREDICTIONS = {"epsilon": "eps", "v_prediction": "v_prediction"}
"""As the library calls them, and the node."""


@pytest.fixture(scope="module")
def tiny(tiny_sd, tmp_path_factory) -> Tiny:
    torch.manual_seed(23)
    files, folder = tiny_sd.tokenizer_files, tmp_path_factory.mktemp("tiny_sd2")
    decoder = vae()
    decoder.register_to_config(scaling_factor=0.18215)
    return write_sd2(folder, files, _tokenizer_json(files), "sd2", {"unet": classed_unet(), "vae": decoder})


def theirs(tiny: Tiny, prediction: str, cfg: float, lora: dict[str, Any] | None = None) -> torch.Tensor:
    from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import StableDiffusionPipeline
    from diffusers.schedulers.scheduling_euler_discrete import EulerDiscreteScheduler

    process = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
    scheduler = EulerDiscreteScheduler(**process, prediction_type=prediction, timestep_spacing="linspace")
    pipeline = StableDiffusionPipeline(
        **deepcopy(tiny.modules),
        **tiny.tokenizers,
        scheduler=scheduler,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.set_progress_bar_config(disable=True)
    if lora:
        pipeline.load_lora_weights(lora)
    scheduler.set_timesteps(STEPS)
    sigma = float(scheduler.init_noise_sigma)
    result = pipeline(
        PROMPT,
        negative_prompt=NEGATIVE,
        num_inference_steps=STEPS,
        guidance_scale=cfg,
        latents=initial_noise(torch.zeros(1, 4, 8, 12), SEED) * math.sqrt(1.0 + sigma**2) / sigma,
        height=64,
        width=96,
        output_type="pt",
    )
    return result.images.movedim(1, -1)


def ours(bench: Any, parts: Any, cfg: float) -> torch.Tensor:
    positive, negative = (text_encode(bench, text, parts.CLIP) for text in (PROMPT, NEGATIVE))
    settings = {"seed": SEED, "steps": STEPS, "cfg": cfg, "sampler_name": "euler", "scheduler": "normal"}
    sides = {"positive": positive, "negative": negative}
    return vae_decode(
        bench, ksampler(bench, parts.MODEL, **settings, **sides, latent_image=empty_latent(96, 64)), parts.VAE
    )


def loaded(tiny: Tiny, prediction: str) -> tuple[Any, Any]:
    bench = bench_of(tiny.base)
    parts = checkpoint_loader(bench, "sd2.safetensors")
    assert (parts.MODEL.family, parts.MODEL.parameterization.prediction) == ("sd2", "eps")
    return bench, parts._replace(MODEL=model_sampling_discrete(parts.MODEL, PREDICTIONS[prediction], False))


@pytest.mark.parametrize("prediction", PREDICTIONS)
@pytest.mark.parametrize("cfg", [1.0, CFG])
def test_a_prompt_gives_the_pipelines_picture(tiny, prediction, cfg):
    """The text encoder stops before its last layer, and pads with zeros."""
    bench, parts = loaded(tiny, prediction)
    made = ours(bench, parts, cfg)
    assert float((made - theirs(tiny, prediction, cfg)).abs().max()) <= 1e-4
    other = next(one for one in PREDICTIONS if one != prediction)
    assert float((made - ours(bench, loaded(tiny, other)[1], cfg)).abs().max()) > 1e-2


def test_a_lora_moves_the_picture_as_in_the_pipeline_and_off_again(tiny):
    bench, parts = loaded(tiny, "v_prediction")
    tensors = unet_lora(tiny.modules["unet"])
    save(tiny.file("loras", "kohya.safetensors"), tensors)
    plain = ours(bench, parts, CFG)
    patched = parts._replace(MODEL=lora_loader_model_only(bench, parts.MODEL, "kohya.safetensors", 1.0))
    made = ours(bench, patched, CFG)
    assert float((made - theirs(tiny, "v_prediction", CFG, dict(tensors))).abs().max()) <= 1e-4
    assert float((made - plain).abs().max()) > 1e-3
    assert torch.equal(ours(bench, parts, CFG), plain)
