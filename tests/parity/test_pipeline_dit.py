"""DiT: whole runs by our nodes and by diffusers' pipeline on the same modules, under a class of pictures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from engine.models.errors import ModelError
from engine.sampling.noise import initial_noise
from nodes.conditioning_classes import class_conditioning, list_classes, unconditional_conditioning
from nodes.latent import empty_latent
from nodes.loaders import denoiser_loader, diffusers_loader, lora_loader_model_only, vae_loader
from nodes.model_sampling import guide_channels
from nodes.sampling import ksampler
from nodes.vae import vae_decode
from tests.families import save
from tests.tiny_pixel import CLASSES, bench_of, dit_parts, dit_to_original, write_folder

SEED, STEPS, CFG = 4, 5, 4.0
SCHEDULER = {"beta_start": 0.0001, "beta_end": 0.02, "beta_schedule": "linear", "clip_sample": False}


@pytest.fixture(scope="module")
def parts() -> dict[str, Any]:
    return dit_parts()


@pytest.fixture(scope="module")
def base(parts, tmp_path_factory) -> Path:
    """A folder of the library's with names of classes, and the network in the original layout."""
    base: Path = tmp_path_factory.mktemp("tiny_dit")
    write_folder(base / "models" / "diffusers" / "dit", parts, {"id2label": CLASSES}, SCHEDULER)
    transformer = parts["transformer"]
    facts = {"safelight.config": json.dumps({"unet": {"dit_heads": 2}, "vae": {"norm_groups": 32}})}
    original = dit_to_original(transformer.state_dict(), transformer.config)
    save(base / "models" / "diffusion_models" / "dit.safetensors", original, facts)
    save(base / "models" / "vae" / "vae.safetensors", parts["vae"].state_dict(), facts)
    return base


def theirs(parts: dict[str, Any], monkeypatch: Any, cfg: float, lora: dict[str, Any] | None = None) -> torch.Tensor:
    from copy import deepcopy

    from diffusers.pipelines.dit import pipeline_dit
    from diffusers.schedulers.scheduling_ddim import DDIMScheduler

    noise = initial_noise(torch.zeros(1, 4, 8, 8), SEED)
    monkeypatch.setattr(pipeline_dit, "randn_tensor", lambda *_, **__: noise.clone())
    modules = deepcopy(parts)
    for name, delta in (lora or {}).items():
        modules["transformer"].get_submodule(name).weight += delta
    scheduler = DDIMScheduler(**SCHEDULER, timestep_spacing="trailing")
    pipeline = pipeline_dit.DiTPipeline(**modules, scheduler=scheduler)
    pipeline.set_progress_bar_config(disable=True)
    result = pipeline([2], guidance_scale=cfg, num_inference_steps=STEPS, output_type="np").images
    return torch.from_numpy(result)


def ours(bench: Any, model: Any, vae: Any, cfg: float, label: str = "2") -> torch.Tensor:
    settings = {"seed": SEED, "steps": STEPS, "cfg": cfg, "sampler_name": "ddim", "scheduler": "simple"}
    sides = {"positive": class_conditioning(model, label), "negative": unconditional_conditioning()}
    return vae_decode(bench, ksampler(bench, model, **settings, **sides, latent_image=empty_latent(64, 64)), vae)


@pytest.mark.parametrize("cfg", [1.0, CFG])
def test_a_class_gives_the_pipelines_picture(parts, base, monkeypatch, cfg):
    bench, expected = bench_of(base), theirs(parts, monkeypatch, cfg)
    folder = diffusers_loader(bench, "dit")
    assert float((ours(bench, folder.MODEL, folder.VAE, cfg, "great white shark") - expected).abs().max()) <= 1e-4
    model, vae = denoiser_loader(bench, "dit.safetensors"), vae_loader(bench, "vae.safetensors")
    assert model.config == folder.MODEL.config
    assert float((ours(bench, model, vae, cfg) - expected).abs().max()) <= 1e-4
    assert float((ours(bench, model, vae, cfg, "1") - expected).abs().max()) > 1e-4, "the class counts"


def test_guidance_of_three_channels_leaves_the_fourth_as_it_is_without_guidance(parts, base):
    bench = bench_of(base)
    model = diffusers_loader(bench, "dit").MODEL
    settings = {"seed": SEED, "steps": 1, "sampler_name": "ddim", "scheduler": "simple"}
    sides = {"positive": class_conditioning(model, "2"), "negative": unconditional_conditioning()}

    def latent(model: Any, cfg: float) -> torch.Tensor:
        found: torch.Tensor = ksampler(bench, model, cfg=cfg, **settings, **sides, latent_image=empty_latent(64, 64))[
            "samples"
        ]
        return found

    part, whole, plain = latent(guide_channels(model, 3), CFG), latent(model, CFG), latent(model, 1.0)
    assert torch.equal(part[:, :3], whole[:, :3])
    assert torch.allclose(part[:, 3:], plain[:, 3:], atol=1e-5)
    assert not torch.allclose(whole[:, 3:], plain[:, 3:], atol=1e-3)


def test_a_lora_moves_the_picture_as_added_weights_do_and_off_again(parts, base, monkeypatch):
    """The library's pipeline loads none, so its weights are moved by hand."""
    bench = bench_of(base)
    torch.manual_seed(3)
    tensors, moved = {}, {}
    for name, linear in parts["transformer"].named_modules():
        if isinstance(linear, torch.nn.Linear) and ".attn1." in name:
            down, up = torch.randn(4, linear.in_features) * 0.3, torch.randn(linear.out_features, 4) * 0.3
            tensors |= {f"transformer.{name}.lora_A.weight": down, f"transformer.{name}.lora_B.weight": up}
            moved[name] = up @ down
    save(base / "models" / "loras" / "lora.safetensors", tensors)
    plain, vae = denoiser_loader(bench, "dit.safetensors"), vae_loader(bench, "vae.safetensors")
    before = ours(bench, plain, vae, CFG)
    picture = ours(bench, lora_loader_model_only(bench, plain, "lora.safetensors", 1.0), vae, CFG)
    assert float((picture - theirs(parts, monkeypatch, CFG, moved)).abs().max()) <= 1e-4
    assert float((picture - before).abs().max()) > 1e-3
    assert torch.equal(ours(bench, plain, vae, CFG), before)


def test_classes_are_told_and_unknown_ones_and_texts_refused(base):
    bench = bench_of(base)
    model = diffusers_loader(bench, "dit").MODEL
    lines = list_classes(model).split("\n")
    assert (len(lines), lines[1], lines[999]) == (1000, "1 goldfish, Carassius auratus", "999")
    assert class_conditioning(model, "Goldfish") == class_conditioning(model, "1")
    for wrong, said in (("1000", "expected 0 to 999"), ("gold fish", "Near it: goldfish")):
        with pytest.raises(ModelError, match=said):
            class_conditioning(model, wrong)
    settings = {"seed": 0, "steps": 1, "cfg": 1.0, "sampler_name": "euler", "scheduler": "simple"}
    text, nothing = [[torch.zeros(1, 77, 768), {}]], unconditional_conditioning()
    for positive, width, said in ((text, 64, "Use ClassConditioning"), (nothing, 128, "squares")):
        with pytest.raises(ModelError, match=said):
            ksampler(
                bench, model, **settings, positive=positive, negative=nothing, latent_image=empty_latent(width, 64)
            )
