"""HunyuanImage 2.1's refiner: whole runs by our nodes and by diffusers' pipeline on the same modules."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from engine.sampling.noise import initial_noise
from nodes.conditioning_hunyuan_image import hunyuan_refiner_latent
from nodes.loaders import denoiser_loader, vae_loader
from nodes.sampling import ksampler
from nodes.vae import vae_decode, vae_encode
from tests.conftest import Bench
from tests.families import Tiny
from tests.runs import SEED, STEPS, bench_of, levels, library, text
from tests.tiny_hunyuan_image import TEXT
from tests.tiny_hunyuan_image_refiner import write

SIDES = (48, 80)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> Tiny:
    return write(tmp_path_factory.mktemp("tiny_refiner"))


def photo() -> torch.Tensor:
    return torch.rand(1, *SIDES, 3, generator=torch.Generator().manual_seed(3))


def theirs(tiny: Tiny, model: Any, cfg: float, share: float) -> torch.Tensor:
    """From given texts, and the picture as latents, so that none is drawn."""
    from diffusers.guiders import ClassifierFreeGuidance
    from diffusers.pipelines.hunyuan_image.pipeline_hunyuanimage_refiner import HunyuanImageRefinerPipeline

    parts = {name: part for name, part in tiny.modules.items() if name != "text_encoder_2"}
    words = {"tokenizer": tiny.tokenizers["tokenizer"]}
    guider = ClassifierFreeGuidance(guidance_scale=cfg, enabled=cfg != 1.0)
    made = library(HunyuanImageRefinerPipeline, Tiny(tiny.base, parts, words), guider=guider)
    made.prepare_latents = mixing(made, share)
    latent = tiny.modules["vae"].encode(photo().movedim(-1, 1)[:, :, None] * 2 - 1).latent_dist.mean
    mask = torch.ones(1, 6, dtype=torch.int64)
    found = made(
        prompt_embeds=text(6, TEXT, 1),
        prompt_embeds_mask=mask,
        negative_prompt_embeds=text(6, TEXT, 2),
        negative_prompt_embeds_mask=mask,
        image=made._reorder_image_tokens(latent) * tiny.modules["vae"].config.scaling_factor,
        num_inference_steps=STEPS,
        sigmas=levels(model),
        latents=initial_noise(torch.zeros(1, 64, SIDES[0] // 16, SIDES[1] // 16), SEED)[:, :, None],
        generator=torch.Generator().manual_seed(SEED - 10),
        height=SIDES[0],
        width=SIDES[1],
        output_type="pt",
    )
    return found.images.movedim(1, -1)


def mixing(pipeline: Any, share: float) -> Any:
    """The pipeline's own way of mixing noise in, by another share than the quarter that it always takes."""
    plain = pipeline.prepare_latents
    return lambda **told: plain(**told, strength=share)


def ours(bench: Bench, name: str, cfg: float, share: float) -> torch.Tensor:
    model, vae = denoiser_loader(bench, f"{name}.safetensors"), vae_loader(bench, "refiner_vae.safetensors")
    seen = vae_encode(bench, photo(), vae)
    good, bad = ([[text(6, TEXT, seed), {}]] for seed in (1, 2))
    positive, negative, empty = hunyuan_refiner_latent(good, bad, seen, share)
    assert empty["samples"].shape == (1, 32, SIDES[0] // 16, SIDES[1] // 16)
    told: dict[str, Any] = {"seed": SEED, "steps": STEPS, "cfg": cfg, "sampler_name": "euler", "scheduler": "simple"}
    made = ksampler(bench, model, **told, positive=positive, negative=negative, latent_image=empty)
    return vae_decode(bench, made, vae)


@pytest.mark.parametrize("name", ["refiner", "refiner_diffusers"])
@pytest.mark.parametrize(("cfg", "share"), [(1.0, 0.1), (3.0, 0.1), (1.0, 0.6)])
def test_a_picture_is_refined_as_by_the_pipeline(tiny, name, cfg, share):
    bench = bench_of(tiny)
    model = denoiser_loader(bench, f"{name}.safetensors")
    assert (model.family, model.parameterization.shift) == ("hunyuan_image_refiner", 4.0)
    got = ours(bench, name, cfg, share)
    assert float((got - theirs(tiny, model, cfg, share)).abs().max()) <= 1e-4


def test_noise_in_the_pictures_place_changes_what_is_made(tiny):
    bench = bench_of(tiny)
    assert float((ours(bench, "refiner", 1.0, 0.0) - ours(bench, "refiner", 1.0, 1.0)).abs().max()) > 1e-3


def test_a_picture_of_another_size_is_fitted(tiny):
    bench = bench_of(tiny)
    model, vae = denoiser_loader(bench, "refiner.safetensors"), vae_loader(bench, "refiner_vae.safetensors")
    good, _, _ = hunyuan_refiner_latent([[text(6, TEXT, 1), {}]], [], vae_encode(bench, photo(), vae), 0.1)
    told: dict[str, Any] = {"seed": SEED, "steps": 1, "cfg": 1.0, "sampler_name": "euler", "scheduler": "simple"}
    empty = {"samples": torch.zeros(2, 64, 4, 4)}
    made = ksampler(bench, model, **told, positive=good, negative=good, latent_image=empty)["samples"]
    assert made.shape == (2, 64, 4, 4)
    assert made.isfinite().all()
