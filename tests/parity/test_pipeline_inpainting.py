"""An inpainting checkpoint (nine input channels), by our nodes and by diffusers' pipeline on the same modules."""

from __future__ import annotations

import json
import math
from copy import deepcopy
from typing import Any

import pytest
import torch

from engine.sampling.noise import initial_noise
from nodes.conditioning import text_encode
from nodes.loaders import checkpoint_loader
from nodes.sampling import ksampler
from nodes.vae import inpaint_model_conditioning, vae_decode

PROMPT, NEGATIVE = "a green ball on the tree", "blue dog"
SEED, CFG, STEPS = 5, 6.0, 10
SETTINGS = {"seed": SEED, "cfg": CFG, "sampler_name": "euler", "scheduler": "normal"}


@pytest.fixture(scope="module")
def inpainting_unet(tiny_sd) -> Any:
    """A denoiser with nine input channels, in a checkpoint of its own beside the session's."""
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
    from safetensors import safe_open
    from safetensors.torch import load_file, save_file

    from engine.models.sd_keys import UNET_PREFIX, unet_to_original

    with torch.random.fork_rng():
        torch.manual_seed(8)
        unet = UNet2DConditionModel.from_config(tiny_sd.modules["unet"].config, in_channels=9)
    unet = unet.eval().requires_grad_(False)
    assert unet.config.in_channels == 9
    plain = tiny_sd.file("checkpoints", "tiny.safetensors")
    rest = {name: tensor for name, tensor in load_file(plain).items() if not name.startswith(UNET_PREFIX)}
    with safe_open(plain, framework="pt") as file:
        metadata = file.metadata()
    tensors = rest | {name: x.clone() for name, x in unet_to_original(unet.state_dict(), unet.config).items()}
    save_file(tensors, tiny_sd.file("checkpoints", "tiny_inpainting.safetensors"), metadata)
    return unet


@pytest.fixture
def pipeline(tiny_sd, inpainting_unet) -> Any:
    from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion_inpaint import StableDiffusionInpaintPipeline
    from diffusers.schedulers.scheduling_euler_discrete import EulerDiscreteScheduler
    from transformers import CLIPTokenizer

    vocabulary, merges = tiny_sd.tokenizer_files
    pairs = [tuple(line.split()) for line in merges.read_text().splitlines()[1:]]
    made = StableDiffusionInpaintPipeline(
        vae=deepcopy(tiny_sd.modules["vae"]),
        text_encoder=deepcopy(tiny_sd.modules["text_encoder"]),
        tokenizer=CLIPTokenizer(vocab=json.loads(vocabulary.read_text()), merges=pairs, model_max_length=77),
        unet=inpainting_unet,
        scheduler=EulerDiscreteScheduler(
            beta_start=0.00085,
            beta_end=0.012,
            beta_schedule="scaled_linear",
            timestep_spacing="linspace",
            steps_offset=1,
        ),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    made.set_progress_bar_config(disable=True)
    return made


def picture_and_mask() -> tuple[torch.Tensor, torch.Tensor]:
    """A colour ramp (1, 64, 64, 3), and a mask (1, 64, 64) of its lower left part, on the latent's grid."""
    ramp = torch.linspace(0, 1, 64)
    picture = torch.stack([ramp.expand(64, 64), ramp.expand(64, 64).T, torch.full((64, 64), 0.3)], dim=-1)[None]
    mask = torch.zeros(1, 64, 64)
    mask[:, 24:, :40] = 1.0
    return picture, mask


def theirs(pipeline: Any) -> torch.Tensor:
    picture, mask = picture_and_mask()
    pipeline.scheduler.set_timesteps(STEPS)
    sigma = float(pipeline.scheduler.init_noise_sigma)
    signed = picture.movedim(-1, 1) * 2 - 1
    masked = pipeline.vae.encode(signed * (mask[:, None] < 0.5)).latent_dist.mode() * pipeline.vae.config.scaling_factor
    result = pipeline(
        PROMPT,
        image=signed,
        mask_image=mask[:, None],
        masked_image_latents=masked,  # the mean, where the pipeline itself would draw from the posterior
        negative_prompt=NEGATIVE,
        num_inference_steps=STEPS,
        guidance_scale=CFG,
        strength=1.0,
        # diffusers starts an evenly spaced run from sigma * noise, we (as the field) from sqrt(1 + sigma^2) * noise.
        latents=initial_noise(torch.zeros(1, 4, 8, 8), SEED) * math.sqrt(1.0 + sigma**2) / sigma,
        height=64,
        width=64,
        output_type="pt",
    )
    return result.images.movedim(1, -1)


def test_an_inpainting_run_gives_the_pipelines_picture(bench, pipeline):
    picture, mask = picture_and_mask()
    model, clip, vae = checkpoint_loader(bench, "tiny_inpainting.safetensors")
    texts = (text_encode(bench, text, clip) for text in (PROMPT, NEGATIVE))
    told = inpaint_model_conditioning(bench, *texts, vae, picture, mask, noise_mask=False)
    # From pure noise, as the pipeline at strength 1; we would add it to the picture's latent.
    empty = {"samples": torch.zeros_like(told.latent["samples"])}
    sides = {"positive": told.positive, "negative": told.negative}
    latent = ksampler(bench, model, **sides, latent_image=empty, steps=STEPS, **SETTINGS)
    assert float((vae_decode(bench, latent, vae) - theirs(pipeline)).abs().max()) <= 1e-4


def test_without_its_conditioning_an_inpainting_checkpoint_still_runs_as_if_all_were_masked(bench, inpainting_unet):
    model, clip, _ = checkpoint_loader(bench, "tiny_inpainting.safetensors")
    text = text_encode(bench, PROMPT, clip)
    empty = {"samples": torch.zeros(1, 4, 8, 8)}
    result = ksampler(bench, model, positive=text, negative=text, latent_image=empty, steps=2, **SETTINGS)
    assert result["samples"].isfinite().all()
