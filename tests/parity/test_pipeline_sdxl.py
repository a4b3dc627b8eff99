"""Stable Diffusion XL: whole runs by our nodes and by diffusers' pipelines on the same modules."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
import torch

from engine.models import sd_keys
from engine.models.errors import ModelError
from engine.models.manager import ModelManager
from engine.paths import Paths
from engine.sampling.noise import initial_noise
from nodes.conditioning import text_encode
from nodes.conditioning_sdxl import text_encode_sdxl, text_encode_sdxl_refiner
from nodes.controlnet import control_net_apply_advanced, set_union_control_net_type
from nodes.loaders import checkpoint_loader, control_net_loader, dual_text_encoder_loader, lora_loader
from nodes.sampling import ksampler
from nodes.vae import vae_decode, vae_encode
from tests.conftest import Bench, _tokenizer_json
from tests.families import TIMES, Tiny, save, write_xl, xl_controlnet
from tests.tiny_control import xl_union

PROMPT, NEGATIVE = "a photo of the red apple on the tree", "blue dog"
SEED, CFG, STEPS = 11, 7.0, 10


@pytest.fixture(scope="module")
def tiny_xl(tiny_sd, tmp_path_factory) -> Tiny:
    files = tiny_sd.tokenizer_files
    return write_xl(tmp_path_factory.mktemp("tiny_xl"), files, _tokenizer_json(files))


@pytest.fixture(scope="module")
def tiny_refiner(tiny_sd, tmp_path_factory) -> Tiny:
    files = tiny_sd.tokenizer_files
    return write_xl(tmp_path_factory.mktemp("tiny_refiner"), files, _tokenizer_json(files), refiner=True)


def bench_of(tiny: Tiny) -> Bench:
    return Bench(ModelManager("cpu"), Paths(tiny.base))


def scheduler() -> Any:
    from diffusers.schedulers.scheduling_euler_discrete import EulerDiscreteScheduler

    return EulerDiscreteScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", timestep_spacing="linspace"
    )


def noise_for(pipeline: Any, height: int, width: int) -> torch.Tensor:
    """diffusers starts an evenly spaced run from sigma * noise, we (as the field) from sqrt(1 + sigma^2) * noise."""
    pipeline.scheduler.set_timesteps(STEPS)
    sigma = float(pipeline.scheduler.init_noise_sigma)
    noise = initial_noise(torch.zeros(1, 4, height // 8, width // 8), SEED)
    return noise * math.sqrt(1.0 + sigma**2) / sigma


def theirs(
    tiny: Tiny, height: int = 64, width: int = 96, lora: dict[str, Any] | None = None, **told: Any
) -> torch.Tensor:
    from copy import deepcopy

    from diffusers.pipelines.stable_diffusion_xl.pipeline_stable_diffusion_xl import StableDiffusionXLPipeline

    pipeline = StableDiffusionXLPipeline(
        **deepcopy(tiny.modules), **tiny.tokenizers, scheduler=scheduler(), add_watermarker=False
    )
    pipeline.set_progress_bar_config(disable=True)
    if lora:
        pipeline.load_lora_weights(lora)
    result = pipeline(
        PROMPT,
        negative_prompt=NEGATIVE,
        num_inference_steps=STEPS,
        guidance_scale=CFG,
        latents=noise_for(pipeline, height, width),
        height=height,
        width=width,
        output_type="pt",
        **told,
    )
    return result.images.movedim(1, -1)


def ours(
    bench: Bench, model: Any, positive: Any, negative: Any, vae: Any, height: int = 64, width: int = 96
) -> torch.Tensor:
    settings = {"seed": SEED, "steps": STEPS, "cfg": CFG, "sampler_name": "euler", "scheduler": "normal"}
    empty = {"samples": torch.zeros(1, 4, height // 8, width // 8)}
    return vae_decode(
        bench, ksampler(bench, model, **settings, positive=positive, negative=negative, latent_image=empty), vae
    )


def test_a_prompt_gives_the_pipelines_picture(tiny_xl):
    bench = bench_of(tiny_xl)
    model, clip, vae = checkpoint_loader(bench, "xl.safetensors")
    picture = ours(bench, model, text_encode(bench, PROMPT, clip), text_encode(bench, NEGATIVE, clip), vae)
    assert float((picture - theirs(tiny_xl)).abs().max()) <= 1e-4


def test_sizes_are_told_to_the_network_as_to_the_pipelines(tiny_xl):
    bench = bench_of(tiny_xl)
    model, clip, vae = checkpoint_loader(bench, "xl.safetensors")
    sizes = {"width": 200, "height": 300, "crop_w": 7, "crop_h": 5, "target_width": 640, "target_height": 512}
    positive, negative = (
        text_encode_sdxl(bench, clip, **sizes, text_g=text, text_l=text) for text in (PROMPT, NEGATIVE)
    )
    picture = ours(bench, model, positive, negative, vae)
    told = {"original_size": (300, 200), "crops_coords_top_left": (5, 7), "target_size": (512, 640)}
    negatives = {f"negative_{name}": value for name, value in told.items()}
    expected = theirs(tiny_xl, **told, **negatives)
    assert float((picture - expected).abs().max()) <= 1e-4
    assert float((expected - theirs(tiny_xl)).abs().max()) > 1e-3, "the sizes count"


def test_each_encoder_reads_its_own_text(tiny_xl):
    bench = bench_of(tiny_xl)
    clip = checkpoint_loader(bench, "xl.safetensors").CLIP
    [[both, options]] = text_encode_sdxl(bench, clip, text_g="red apple", text_l="blue dog")
    [[apple, of_apple]], [[dog, _]] = (text_encode(bench, text, clip) for text in ("red apple", "blue dog"))
    assert torch.equal(both, torch.cat([dog[..., :32], apple[..., 32:]], dim=-1))
    assert torch.equal(options["pooled_output"], of_apple["pooled_output"])
    [[longer, _]] = text_encode_sdxl(bench, clip, text_g="red apple " * 60, text_l="blue dog")
    assert longer.shape == (1, 77 * 2, 80), "the shorter text is filled up with an empty row"


def test_the_encoders_may_come_from_files_of_their_own_in_any_order(tiny_xl):
    bench = bench_of(tiny_xl)
    [[expected, told]] = text_encode(bench, PROMPT, checkpoint_loader(bench, "xl.safetensors").CLIP)
    for names in (("clip_l.safetensors", "clip_g.safetensors"), ("clip_g.safetensors", "clip_l.safetensors")):
        [[context, options]] = text_encode(bench, PROMPT, dual_text_encoder_loader(bench, *names, "sdxl"))
        assert torch.equal(context, expected)
        assert torch.allclose(options["pooled_output"], told["pooled_output"], atol=1e-5)


def lora(tiny: Tiny) -> dict[str, Any]:
    """kohya's names, for the network and both text encoders."""
    torch.manual_seed(3)
    tensors = {}
    for prefix, module, part in (
        ("lora_unet_", tiny.modules["unet"], "attn"),
        ("lora_te1_text_model_", tiny.modules["text_encoder"], "self_attn"),
        ("lora_te2_text_model_", tiny.modules["text_encoder_2"], "self_attn"),
    ):
        for name, linear in module.named_modules():
            if isinstance(linear, torch.nn.Linear) and part in name:
                key = prefix + name.removeprefix("text_model.").replace(".", "_")
                tensors[f"{key}.lora_down.weight"] = torch.randn(4, linear.in_features) * 0.2
                tensors[f"{key}.lora_up.weight"] = torch.randn(linear.out_features, 4) * 0.2
                tensors[f"{key}.alpha"] = torch.tensor(2.0)
    return tensors


def test_a_lora_on_the_network_and_both_encoders_gives_the_pipelines_picture(tiny_xl):
    bench = bench_of(tiny_xl)
    tensors = lora(tiny_xl)
    save(tiny_xl.file("loras", "kohya.safetensors"), tensors)
    model, clip, vae = checkpoint_loader(bench, "xl.safetensors")
    model, clip = lora_loader(bench, model, clip, "kohya.safetensors", 1.0, 1.0)
    picture = ours(bench, model, text_encode(bench, PROMPT, clip), text_encode(bench, NEGATIVE, clip), vae)
    assert float((picture - theirs(tiny_xl, lora=dict(tensors))).abs().max()) <= 1e-4
    for one in ("lora_te1_", "lora_te2_", "lora_unet_"):
        save(
            tiny_xl.file("loras", "part.safetensors"),
            {name: t for name, t in tensors.items() if not name.startswith(one)},
        )
        model, clip, vae = checkpoint_loader(bench, "xl.safetensors")
        model, clip = lora_loader(bench, model, clip, "part.safetensors", 1.0, 1.0)
        other = ours(bench, model, text_encode(bench, PROMPT, clip), text_encode(bench, NEGATIVE, clip), vae)
        assert float((picture - other).abs().max()) > 1e-3, one


def test_the_refiner_gives_the_pipelines_picture(tiny_refiner):
    from diffusers.pipelines.stable_diffusion_xl.pipeline_stable_diffusion_xl_img2img import (
        StableDiffusionXLImg2ImgPipeline,
    )

    bench = bench_of(tiny_refiner)
    model, clip, vae = checkpoint_loader(bench, "xl.safetensors")
    assert model.family == "sdxl_refiner"
    picture = torch.rand(1, 64, 96, 3, generator=torch.Generator().manual_seed(4))
    positive = text_encode_sdxl_refiner(bench, clip, 6.0, 96, 64, PROMPT)
    negative = text_encode_sdxl_refiner(bench, clip, 2.5, 96, 64, NEGATIVE)
    assert torch.equal(text_encode(bench, PROMPT, clip)[0][0], positive[0][0])
    latent = vae_encode(bench, picture, vae)
    settings = {
        "seed": SEED,
        "steps": STEPS,
        "cfg": CFG,
        "sampler_name": "euler",
        "scheduler": "normal",
        "denoise": 1.0,
    }
    got = ksampler(bench, model, **settings, positive=positive, negative=negative, latent_image=latent)["samples"]
    modules = tiny_refiner.modules | {"text_encoder": None}
    pipeline = StableDiffusionXLImg2ImgPipeline(
        **modules,
        **(tiny_refiner.tokenizers | {"tokenizer": None}),
        scheduler=scheduler(),
        requires_aesthetics_score=True,
        add_watermarker=False,
    )
    pipeline.set_progress_bar_config(disable=True)
    pipeline.scheduler.set_timesteps(STEPS)
    sigma = float(pipeline.scheduler.sigmas[0])
    noise = initial_noise(torch.zeros(1, 4, 8, 12), SEED)
    # The pipeline is handed the noisy latent as its image would be: strength 1 starts at the first level.
    start = latent["samples"] * 0.13025 + math.sqrt(1.0 + sigma**2) * noise
    expected = pipeline(
        PROMPT,
        negative_prompt=NEGATIVE,
        image=picture.movedim(-1, 1),
        latents=start,
        strength=1.0,
        num_inference_steps=STEPS,
        guidance_scale=CFG,
        original_size=(64, 96),
        target_size=(64, 96),
        output_type="latent",
    ).images
    assert float((got * 0.13025 - expected).abs().max()) <= 1e-4


@pytest.mark.parametrize("naming", ["original", "diffusers"])
def test_a_controlnet_gives_the_pipelines_picture(tiny_xl, naming):
    from diffusers.pipelines.controlnet.pipeline_controlnet_sd_xl import StableDiffusionXLControlNetPipeline

    torch.manual_seed(12)
    control = xl_controlnet(80, 40)
    state = control.state_dict()
    tensors = sd_keys.controlnet_to_original(state, control.config) if naming == "original" else state
    facts = {"safelight.config": json.dumps({"unet": {"heads": [2, 4, 4], "size_width": TIMES}})}
    save(tiny_xl.file("controlnet", f"{naming}.safetensors"), tensors, facts)
    hint = torch.rand(1, 64, 64, 3, generator=torch.Generator().manual_seed(2))
    bench = bench_of(tiny_xl)
    model, clip, vae = checkpoint_loader(bench, "xl.safetensors")
    edges = control_net_loader(bench, f"{naming}.safetensors")
    both = text_encode(bench, PROMPT, clip), text_encode(bench, NEGATIVE, clip)
    positive, negative = control_net_apply_advanced(*both, edges, hint, 0.7)
    picture = ours(bench, model, positive, negative, vae, 64, 64)
    pipeline = StableDiffusionXLControlNetPipeline(
        **tiny_xl.modules, **tiny_xl.tokenizers, controlnet=control, scheduler=scheduler(), add_watermarker=False
    )
    pipeline.set_progress_bar_config(disable=True)
    result = pipeline(
        PROMPT,
        image=hint.movedim(-1, 1),
        negative_prompt=NEGATIVE,
        num_inference_steps=STEPS,
        guidance_scale=CFG,
        controlnet_conditioning_scale=0.7,
        latents=noise_for(pipeline, 64, 64),
        height=64,
        width=64,
        output_type="pt",
    )
    assert float((picture - result.images.movedim(1, -1)).abs().max()) <= 1e-4
    assert float((picture - ours(bench, model, *both, vae, 64, 64)).abs().max()) > 1e-3


@pytest.mark.parametrize(("kind", "number"), [("canny", 3), ("hed/pidi/softedge", 2), ("tile", 6)])
def test_a_union_of_controlnets_gives_the_pipelines_picture(tiny_xl, kind, number):
    from diffusers.pipelines.controlnet.pipeline_controlnet_union_sd_xl import StableDiffusionXLControlNetUnionPipeline

    torch.manual_seed(13)
    control = xl_union(80, 40)
    facts = {"safelight.config": json.dumps({"unet": {"heads": [2, 4, 4], "size_width": TIMES, "num_trans_head": 4}})}
    save(tiny_xl.file("controlnet", "union.safetensors"), control.state_dict(), facts)
    hint = torch.rand(1, 64, 64, 3, generator=torch.Generator().manual_seed(2))
    bench = bench_of(tiny_xl)
    model, clip, vae = checkpoint_loader(bench, "xl.safetensors")
    union = control_net_loader(bench, "union.safetensors")
    both = text_encode(bench, PROMPT, clip), text_encode(bench, NEGATIVE, clip)
    applied = control_net_apply_advanced(*both, set_union_control_net_type(union, kind), hint, 0.7)
    made = ours(bench, model, *applied, vae, 64, 64)
    pipeline = StableDiffusionXLControlNetUnionPipeline(
        **tiny_xl.modules, **tiny_xl.tokenizers, controlnet=control, scheduler=scheduler(), add_watermarker=False
    )
    pipeline.set_progress_bar_config(disable=True)
    result = pipeline(
        PROMPT,
        control_image=[hint.movedim(-1, 1)],
        control_mode=[number],
        negative_prompt=NEGATIVE,
        num_inference_steps=STEPS,
        guidance_scale=CFG,
        controlnet_conditioning_scale=0.7,
        latents=noise_for(pipeline, 64, 64),
        height=64,
        width=64,
        output_type="pt",
    )
    assert float((made - result.images.movedim(1, -1)).abs().max()) <= 1e-4
    with pytest.raises(ModelError, match="told 'auto': expected what the picture shows, one of openpose"):
        ours(bench, model, *control_net_apply_advanced(*both, union, hint, 0.7), vae, 64, 64)
