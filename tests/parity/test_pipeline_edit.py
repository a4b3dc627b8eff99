"""Networks that see a picture beside the latent (8 channels to edit it, 9 to fill its hole), against diffusers' pipelines."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch

from engine.models import sd_keys
from engine.models.manager import ModelManager
from engine.paths import Paths
from engine.sampling.noise import initial_noise
from engine.sampling.schedules import compute_sigmas
from nodes.conditioning import text_encode
from nodes.custom_sampling import dual_cfg_guider, ksampler_select, random_noise, sampler_custom_advanced
from nodes.loaders import checkpoint_loader
from nodes.sampling import ksampler
from nodes.vae import inpaint_model_conditioning, instruct_pix_to_pix_conditioning, vae_decode
from tests.conftest import Bench, _tokenizer_json
from tests.families import Tiny, save, write_xl, xl_unet

PROMPT, NEGATIVE = "a photo of the red apple on the tree", "blue dog"
SEED, STEPS, CFG, IMAGE_CFG = 3, 4, 6.0, 1.5
SETTINGS = {"seed": SEED, "cfg": CFG, "sampler_name": "euler", "scheduler": "normal", "steps": STEPS}


def scheduler() -> Any:
    from diffusers.schedulers.scheduling_euler_discrete import EulerDiscreteScheduler

    return EulerDiscreteScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", timestep_spacing="linspace"
    )


def noise_for(pipeline: Any) -> torch.Tensor:
    """diffusers starts an evenly spaced run from sigma * noise, we (as the field) from sqrt(1 + sigma^2) * noise."""
    pipeline.set_progress_bar_config(disable=True)
    pipeline.scheduler.set_timesteps(STEPS)
    sigma = float(pipeline.scheduler.init_noise_sigma)
    return initial_noise(torch.zeros(1, 4, 8, 8), SEED) * math.sqrt(1.0 + sigma**2) / sigma


def picture() -> torch.Tensor:
    return torch.rand(1, 64, 64, 3, generator=torch.Generator().manual_seed(2))


def with_network(checkpoint: Path, name: str, unet: Any) -> Any:
    """A copy of a checkpoint that has another network."""
    from safetensors import safe_open
    from safetensors.torch import load_file

    unet = unet.eval().requires_grad_(False)
    rest = {n: tensor for n, tensor in load_file(checkpoint).items() if not n.startswith(sd_keys.UNET_PREFIX)}
    with safe_open(checkpoint, framework="pt") as file:
        metadata = file.metadata()
    save(checkpoint.with_name(name), rest | sd_keys.unet_to_original(unet.state_dict(), unet.config), metadata)
    return unet


def edited(bench: Any, checkpoint: str) -> torch.Tensor:
    """By our nodes: the text with the picture, the negative with the picture, and the negative alone."""
    model, clip, vae = checkpoint_loader(bench, checkpoint)
    positive, negative = text_encode(bench, PROMPT, clip), text_encode(bench, NEGATIVE, clip)
    told = instruct_pix_to_pix_conditioning(bench, positive, negative, vae, picture())
    assert told.latent["samples"].shape == (1, 4, 8, 8)
    assert not told.latent["samples"].any()
    guider = dual_cfg_guider(model, told.positive, told.negative, negative, CFG, IMAGE_CFG)
    levels = compute_sigmas(model.parameterization, "normal", STEPS)
    ends = sampler_custom_advanced(bench, random_noise(SEED), guider, ksampler_select("euler"), levels, told.latent)
    return vae_decode(bench, ends.output, vae)


def call(pipeline: Any, **told: Any) -> torch.Tensor:
    result = pipeline(
        PROMPT,
        image=picture().movedim(-1, 1),
        negative_prompt=NEGATIVE,
        num_inference_steps=STEPS,
        guidance_scale=CFG,
        latents=noise_for(pipeline),
        output_type="pt",
        **told,
    )
    return result.images.movedim(1, -1)


def test_stable_diffusion_1_edits_a_picture_under_two_guidances(tiny_sd, bench):
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
    from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion_instruct_pix2pix import (
        StableDiffusionInstructPix2PixPipeline,
    )
    from transformers import CLIPTokenizer

    torch.manual_seed(9)
    unet = UNet2DConditionModel.from_config(tiny_sd.modules["unet"].config, in_channels=8)
    unet = with_network(tiny_sd.file("checkpoints", "tiny.safetensors"), "edit.safetensors", unet)
    vocabulary, merges = tiny_sd.tokenizer_files
    pairs = [tuple(line.split()) for line in merges.read_text().splitlines()[1:]]
    pipeline = StableDiffusionInstructPix2PixPipeline(
        unet=unet,
        vae=tiny_sd.modules["vae"],
        text_encoder=tiny_sd.modules["text_encoder"],
        tokenizer=CLIPTokenizer(vocab=json.loads(vocabulary.read_text()), merges=pairs, model_max_length=77),
        scheduler=scheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    expected = call(pipeline, image_guidance_scale=IMAGE_CFG)
    assert float((edited(bench, "edit.safetensors") - expected).abs().max()) <= 1e-4
    assert float((expected - call(pipeline, image_guidance_scale=3.0)).abs().max()) > 1e-3, "the picture counts"


@pytest.fixture(scope="module")
def tiny_xl(tiny_sd, tmp_path_factory) -> Tiny:
    files = tiny_sd.tokenizer_files
    return write_xl(tmp_path_factory.mktemp("tiny_xl_edit"), files, _tokenizer_json(files))


def test_stable_diffusion_xl_edits_a_picture_under_two_guidances(tiny_xl):
    from diffusers.pipelines.stable_diffusion_xl.pipeline_stable_diffusion_xl_instruct_pix2pix import (
        StableDiffusionXLInstructPix2PixPipeline,
    )

    torch.manual_seed(10)
    unet = with_network(
        tiny_xl.file("checkpoints", "xl.safetensors"), "edit.safetensors", xl_unet(80, 40, sizes=6, in_channels=8)
    )
    pipeline = StableDiffusionXLInstructPix2PixPipeline(
        **(tiny_xl.modules | {"unet": unet}), **tiny_xl.tokenizers, scheduler=scheduler(), add_watermarker=False
    )
    expected = call(pipeline, image_guidance_scale=IMAGE_CFG, height=64, width=64)
    bench = Bench(ModelManager("cpu"), Paths(tiny_xl.base))
    assert float((edited(bench, "edit.safetensors") - expected).abs().max()) <= 1e-4


def test_stable_diffusion_xl_fills_a_hole_as_the_pipeline(tiny_xl):
    from diffusers.pipelines.stable_diffusion_xl.pipeline_stable_diffusion_xl_inpaint import (
        StableDiffusionXLInpaintPipeline,
    )

    torch.manual_seed(11)
    unet = with_network(
        tiny_xl.file("checkpoints", "xl.safetensors"), "fill.safetensors", xl_unet(80, 40, sizes=6, in_channels=9)
    )
    mask = torch.zeros(1, 64, 64)
    mask[:, 24:, :40] = 1.0
    bench = Bench(ModelManager("cpu"), Paths(tiny_xl.base))
    model, clip, vae = checkpoint_loader(bench, "fill.safetensors")
    texts = (text_encode(bench, text, clip) for text in (PROMPT, NEGATIVE))
    told = inpaint_model_conditioning(bench, *texts, vae, picture(), mask, noise_mask=False)
    sides = {"positive": told.positive, "negative": told.negative}
    # From pure noise, as the pipeline at strength 1; we would add it to the picture's latent.
    empty = {"samples": torch.zeros_like(told.latent["samples"])}
    ours = vae_decode(bench, ksampler(bench, model, **sides, latent_image=empty, **SETTINGS), vae)
    pipeline = StableDiffusionXLInpaintPipeline(
        **(tiny_xl.modules | {"unet": unet}), **tiny_xl.tokenizers, scheduler=scheduler(), add_watermarker=False
    )
    signed = picture().movedim(-1, 1) * 2 - 1
    seen = pipeline.vae.encode(signed * (mask[:, None] < 0.5)).latent_dist.mode() * pipeline.vae.config.scaling_factor
    # The mean of what is seen, where the pipeline itself would draw from the posterior.
    expected = call(pipeline, mask_image=mask[:, None], masked_image_latents=seen, strength=1.0, height=64, width=64)
    assert float((ours - expected).abs().max()) <= 1e-4
