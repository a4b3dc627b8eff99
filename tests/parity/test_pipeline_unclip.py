"""Stable Diffusion 2.1 unCLIP: whole runs by our nodes and by diffusers' pipeline on the same modules."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from engine.models.errors import ModelError
from engine.models.vision import Seen
from engine.sampling.noise import initial_noise
from nodes.clip_vision import clip_vision_encode, unclip_checkpoint_loader, unclip_conditioning
from nodes.conditioning import text_encode
from nodes.latent import empty_latent
from nodes.loaders import lora_loader_model_only
from nodes.sampling import ksampler
from nodes.vae import vae_decode
from tests.conftest import _tokenizer_json
from tests.families import Tiny, save, vae
from tests.tiny_pixel import UNCLIP, bench_of, classed_unet, unet_lora, vision_to_open_clip, vision_tower, write_sd2

PROMPT, NEGATIVE = "a photo of the red apple on the tree", "blue dog"
SEED, STEPS, CFG, LEVEL = 14, 4, 5.0, 300


@pytest.fixture(scope="module")
def tiny(tiny_sd, tmp_path_factory) -> Tiny:
    torch.manual_seed(24)
    files, folder = tiny_sd.tokenizer_files, tmp_path_factory.mktemp("tiny_unclip")
    vision = vision_tower()
    modules = {"unet": classed_unet(**UNCLIP), "vae": vae()}
    modules["vae"].register_to_config(scaling_factor=0.18215)
    more = vision_to_open_clip(vision.state_dict(), "embedder.model.visual.")
    tiny = write_sd2(folder, files, _tokenizer_json(files), "sd2_unclip", modules, tensors=more)
    tiny.modules["image_encoder"] = vision
    return tiny


def picture() -> torch.Tensor:
    return torch.rand(1, 28, 28, 3, generator=torch.Generator().manual_seed(6))


def theirs(tiny: Tiny, monkeypatch: Any, level: int, lora: dict[str, Any] | None = None) -> torch.Tensor:
    from copy import deepcopy

    from diffusers.pipelines.stable_diffusion import pipeline_stable_unclip_img2img as module
    from diffusers.pipelines.stable_diffusion.stable_unclip_image_normalizer import StableUnCLIPImageNormalizer
    from diffusers.schedulers.scheduling_ddpm import DDPMScheduler
    from diffusers.schedulers.scheduling_euler_discrete import EulerDiscreteScheduler

    from engine.models.vision import preprocess

    scheduler = EulerDiscreteScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        prediction_type="v_prediction",
        timestep_spacing="linspace",
    )
    pipeline = module.StableUnCLIPImg2ImgPipeline(
        **deepcopy(tiny.modules),
        **tiny.tokenizers,
        feature_extractor=None,
        image_normalizer=StableUnCLIPImageNormalizer(32),
        image_noising_scheduler=DDPMScheduler(beta_schedule="squaredcos_cap_v2"),
        scheduler=scheduler,
    )
    pipeline.set_progress_bar_config(disable=True)
    if lora:
        pipeline.load_lora_weights(lora)
    scheduler.set_timesteps(STEPS)
    sigma = float(scheduler.init_noise_sigma)
    # The noise on what was seen is that of another seed than the run's, as the field has it.
    drawn = torch.randn(1, 32, generator=torch.Generator().manual_seed(SEED - 10))
    monkeypatch.setattr(module, "randn_tensor", lambda *_, **__: drawn)
    result = pipeline(
        prompt=PROMPT,
        image=preprocess(picture(), 28),
        negative_prompt=NEGATIVE,
        num_inference_steps=STEPS,
        guidance_scale=CFG,
        noise_level=level,
        latents=initial_noise(torch.zeros(1, 4, 8, 8), SEED) * math.sqrt(1.0 + sigma**2),
        height=64,
        width=64,
        output_type="pt",
    )
    return result.images.movedim(1, -1)


def run(bench: Any, parts: Any, positive: Any) -> torch.Tensor:
    settings = {"seed": SEED, "steps": STEPS, "cfg": CFG, "sampler_name": "euler", "scheduler": "normal"}
    negative = text_encode(bench, NEGATIVE, parts.CLIP)
    latent = ksampler(
        bench, parts.MODEL, **settings, positive=positive, negative=negative, latent_image=empty_latent(64, 64)
    )
    return vae_decode(bench, latent, parts.VAE)


@pytest.mark.parametrize("level", [0, LEVEL])
def test_a_picture_that_was_seen_gives_the_pipelines_variation(tiny, monkeypatch, level):
    bench = bench_of(tiny.base)
    parts = unclip_checkpoint_loader(bench, "sd2_unclip.safetensors")
    assert (parts.MODEL.family, parts.MODEL.parameterization.prediction) == ("sd2_unclip", "v")
    text = text_encode(bench, PROMPT, parts.CLIP)
    seen = clip_vision_encode(bench, parts.CLIP_VISION, picture())
    varied = run(bench, parts, unclip_conditioning(text, seen, 1.0, level / 999))
    assert float((varied - theirs(tiny, monkeypatch, level)).abs().max()) <= 1e-4
    assert float((varied - run(bench, parts, text)).abs().max()) > 1e-3


def test_a_lora_moves_the_picture_as_in_the_pipeline_and_off_again(tiny, monkeypatch):
    bench = bench_of(tiny.base)
    parts = unclip_checkpoint_loader(bench, "sd2_unclip.safetensors")
    tensors = unet_lora(tiny.modules["unet"])
    save(tiny.file("loras", "kohya.safetensors"), tensors)
    seen = clip_vision_encode(bench, parts.CLIP_VISION, picture())
    told = unclip_conditioning(text_encode(bench, PROMPT, parts.CLIP), seen, 1.0, LEVEL / 999)
    plain = run(bench, parts, told)
    patched = parts._replace(MODEL=lora_loader_model_only(bench, parts.MODEL, "kohya.safetensors", 1.0))
    varied = run(bench, patched, told)
    assert float((varied - theirs(tiny, monkeypatch, LEVEL, dict(tensors))).abs().max()) <= 1e-4
    assert float((varied - plain).abs().max()) > 1e-3
    assert torch.equal(run(bench, parts, told), plain)


def test_several_pictures_add_up_and_strength_zero_is_none(tiny):
    bench = bench_of(tiny.base)
    parts = unclip_checkpoint_loader(bench, "sd2_unclip.safetensors")
    text = text_encode(bench, PROMPT, parts.CLIP)
    seen = clip_vision_encode(bench, parts.CLIP_VISION, picture())
    assert unclip_conditioning(text, seen, 0.0) is text
    one = unclip_conditioning(text, seen, 0.5)
    two = unclip_conditioning(one, clip_vision_encode(bench, parts.CLIP_VISION, 1.0 - picture()), 0.5)
    assert [len(entry[1]["unclip_conditioning"]) for entry in (one[0], two[0])] == [1, 2]
    with bench.models.use(parts.MODEL) as network:
        given = [network.inputs(entry[0][1], torch.zeros(1, 4, 8, 8), True)["class_labels"] for entry in (one, two)]
    assert given[0].shape == given[1].shape == (1, 64)
    assert torch.allclose(given[0][:, :32], seen.image_embeds * 0.5, atol=0.05), (
        "there is a little noise at level 0 too"
    )
    assert not torch.allclose(given[0], given[1], atol=1e-2)


def test_what_another_encoder_saw_is_refused(tiny):
    bench = bench_of(tiny.base)
    parts = unclip_checkpoint_loader(bench, "sd2_unclip.safetensors")
    other = Seen(torch.zeros(1, 5, 16), torch.zeros(1, 48), torch.zeros(1, 5, 16))
    with pytest.raises(ModelError, match="width 32 saw, got width 48"):
        run(bench, parts, unclip_conditioning(text_encode(bench, PROMPT, parts.CLIP), other))
