"""DDPM: whole runs by our nodes and by diffusers' pipelines on the same module, in pixels and without conditioning."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
import torch

from engine.models.errors import ModelError
from engine.sampling.noise import initial_noise
from nodes.conditioning_classes import class_conditioning, unconditional_conditioning
from nodes.custom_sampling import basic_guider
from nodes.latent import empty_latent_in_pixels
from nodes.loaders import denoiser_loader, diffusers_loader, vae_loader
from nodes.sampling import ksampler
from nodes.vae import vae_decode, vae_encode
from tests.families import save
from tests.tiny_pixel import bench_of, ddpm_unet, descend, write_folder

SEED, STEPS = 4, 5
SCHEDULER = {"beta_start": 0.0001, "beta_end": 0.02, "beta_schedule": "linear", "num_train_timesteps": 1000}


@pytest.fixture(scope="module")
def unet() -> Any:
    torch.manual_seed(20)
    return ddpm_unet()


@pytest.fixture
def folder(tmp_path, unet) -> Callable[..., Any]:
    def made(**scheduler: Any) -> Any:
        write_folder(tmp_path / "models" / "diffusers" / "ddpm", {"": unet}, {}, SCHEDULER | scheduler)
        return bench_of(tmp_path)

    return made


def theirs(unet: Any, monkeypatch: Any, scheduler: Any, pipeline: str = "ddpm", **told: Any) -> torch.Tensor:
    import importlib

    module = importlib.import_module(f"diffusers.pipelines.{pipeline}.pipeline_{pipeline}")
    noise = initial_noise(torch.zeros(1, 3, 16, 16), SEED)
    monkeypatch.setattr(module, "randn_tensor", lambda *_, **__: noise.clone())
    made = getattr(module, f"{pipeline.upper()}Pipeline")(unet, scheduler)
    made.scheduler = scheduler  # as it is: DDIMPipeline makes one of its own config
    made.set_progress_bar_config(disable=True)
    steps = torch.Generator().manual_seed(SEED)
    result = made(generator=steps, num_inference_steps=STEPS, output_type="np", **told).images
    return torch.from_numpy(result)


def ours(bench: Any, parts: Any, sampler: str, timesteps: list[int]) -> torch.Tensor:
    noise = initial_noise(torch.zeros(1, 3, 16, 16), SEED)
    guider = basic_guider(parts.MODEL, unconditional_conditioning())
    latent = descend(bench, guider, sampler, timesteps, noise, SEED)
    return vae_decode(bench, latent, parts.VAE)


@pytest.mark.parametrize(
    ("variance", "clipped"), [("fixed_small", True), ("fixed_large", True), ("fixed_small", False)]
)
def test_ancestral_sampling_gives_the_pipelines_picture(unet, folder, monkeypatch, variance, clipped):
    from diffusers.schedulers.scheduling_ddpm import DDPMScheduler

    told = {"variance_type": variance, "clip_sample": clipped}
    scheduler = DDPMScheduler(**SCHEDULER, **told)
    expected = theirs(unet, monkeypatch, scheduler)
    bench = folder(**told)
    parts = diffusers_loader(bench, "ddpm")
    assert (parts.MODEL.family, parts.MODEL.parameterization.clip) == ("ddpm", float(clipped))
    picture = ours(bench, parts, "ddpm", scheduler.timesteps.tolist())
    assert float((picture - expected).abs().max()) <= 1e-4
    other = msgspec.structs.replace(
        parts.MODEL.parameterization, variance="most" if variance == "fixed_small" else "least"
    )
    changed = parts._replace(MODEL=parts.MODEL.with_parameterization(other))
    assert float((picture - ours(bench, changed, "ddpm", scheduler.timesteps.tolist())).abs().max()) > 1e-3


@pytest.mark.parametrize("clipped", [True, False])
def test_the_deterministic_sampler_gives_the_pipelines_picture(unet, folder, monkeypatch, clipped):
    from diffusers.schedulers.scheduling_ddim import DDIMScheduler

    scheduler = DDIMScheduler(**SCHEDULER, clip_sample=clipped)
    # What is taken off is the noise that belongs to the clipped prediction, which the pipeline does when it is told so.
    expected = theirs(unet, monkeypatch, scheduler, "ddim", eta=0.0, use_clipped_model_output=clipped)
    bench = folder(clip_sample=clipped)
    picture = ours(bench, diffusers_loader(bench, "ddpm"), "ddim", scheduler.timesteps.tolist())
    assert float((picture - expected).abs().max()) <= 1e-4


def test_ksampler_from_a_file_of_the_network_runs_all_of_it_too(unet, folder, monkeypatch):
    from diffusers.schedulers.scheduling_ddpm import DDPMScheduler

    bench = folder()
    old = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}  # the names of 2022

    def renamed(name: str) -> str:
        return next((name.replace(new, was) for new, was in old.items() if f".{new}." in name), name)

    file = bench.paths.base / "models" / "diffusion_models" / "ddpm.safetensors"
    save(file, {renamed(name): value for name, value in unet.state_dict().items()})
    model, vae = denoiser_loader(bench, "ddpm.safetensors"), vae_loader(bench, "pixel_space")
    nothing = unconditional_conditioning()
    settings = {"seed": SEED, "steps": STEPS, "cfg": 1.0, "sampler_name": "ddpm", "scheduler": "simple"}
    latent = ksampler(
        bench, model, **settings, positive=nothing, negative=nothing, latent_image=empty_latent_in_pixels(16, 16)
    )
    scheduler = DDPMScheduler(**SCHEDULER, timestep_spacing="trailing")
    assert float((vae_decode(bench, latent, vae) - theirs(unet, monkeypatch, scheduler)).abs().max()) <= 1e-4


def test_pictures_come_back_as_they_were(folder):
    bench = folder()
    vae = vae_loader(bench, "pixel_space")
    picture = torch.rand(2, 17, 19, 3)
    latent = vae_encode(bench, picture, vae)
    assert torch.equal(latent["samples"], picture.movedim(-1, 1) * 2.0 - 1.0)
    assert torch.allclose(vae_decode(bench, latent, vae), picture, atol=1e-6)


def test_a_text_a_class_and_sides_that_do_not_fit_are_refused(folder):
    bench = folder()
    model = diffusers_loader(bench, "ddpm").MODEL
    settings = {"seed": 0, "steps": 1, "cfg": 1.0, "sampler_name": "euler", "scheduler": "simple"}
    text, nothing = [[torch.zeros(1, 77, 768), {}]], unconditional_conditioning()
    for positive, side, wanted in ((text, 16, "UnconditionalConditioning"), (nothing, 17, "multiples of 2")):
        empty = {"samples": torch.zeros(1, 3, side, side)}
        with pytest.raises(ModelError, match=wanted):
            ksampler(bench, model, **settings, positive=positive, negative=nothing, latent_image=empty)
    with pytest.raises(ModelError, match="not trained on classes"):
        class_conditioning(model, "3")
