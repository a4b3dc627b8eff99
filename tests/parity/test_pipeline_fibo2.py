"""Fibo 2: whole runs by our nodes and by diffusers' pipeline on the same modules."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from engine.models.errors import ModelError
from engine.sampling.noise import initial_noise
from nodes.conditioning_edit import reference_latent
from nodes.latent import empty_latent_of_128_channels
from nodes.loaders import denoiser_loader, vae_loader
from nodes.sampling import ksampler
from nodes.vae import vae_decode, vae_encode
from tests.changes import KOHYA, applied, low_rank, under
from tests.families import Tiny, save
from tests.runs import SEED, STEPS, bench_of, levels, text
from tests.tiny_fibo2 import LAYER, write

BUNDLES = 3
WIDTH = BUNDLES * 3 * LAYER


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> Tiny:
    return write(tmp_path_factory.mktemp("tiny_fibo2"))


def bundles_of(states: torch.Tensor) -> torch.Tensor:
    """As the pipeline makes them of an encoder's layers: (B, N, T, 3 D)."""
    layers = [layer / (layer.pow(2).mean(-1, keepdim=True) + 1e-6).sqrt() for layer in states.split(LAYER, dim=-1)]
    return torch.stack([torch.cat(layers[at : at + 3], dim=-1) for at in range(0, 9, 3)], dim=1)


def theirs(
    tiny: Tiny, model: Any, positive: torch.Tensor, negative: torch.Tensor, cfg: float, images: Any = None
) -> torch.Tensor:
    from diffusers.pipelines.bria_fibo2.pipeline_bria_fibo2 import BriaFibo2Pipeline
    from diffusers.schedulers.scheduling_flow_match_euler_discrete import FlowMatchEulerDiscreteScheduler

    class Given(FlowMatchEulerDiscreteScheduler):
        """At our own levels: how schedules are made is tested elsewhere."""

        def set_timesteps(self, sigmas=None, device=None, mu=None, **told):
            super().set_timesteps(sigmas=levels(model), device=device)

    parts = dict.fromkeys(("text_encoder", "processor"))
    pipeline = BriaFibo2Pipeline(scheduler=Given(), **parts | tiny.modules)
    pipeline.set_progress_bar_config(disable=True)
    noise = initial_noise(torch.zeros(1, 128, 4, 6), SEED)
    result = pipeline(
        prompt_embeds=bundles_of(positive),
        negative_prompt_embeds=bundles_of(negative),
        image=images,
        num_inference_steps=STEPS,
        guidance_scale=cfg,
        latents=pipeline._unpatchify_latents(noise),
        height=64,
        width=96,
        output_type="pt",
    )
    return result.images.movedim(1, -1)


def ours(bench: Any, model: Any, positive: Any, negative: Any, cfg: float) -> torch.Tensor:
    settings = {"seed": SEED, "steps": STEPS, "cfg": cfg, "sampler_name": "euler", "scheduler": "simple"}
    empty = empty_latent_of_128_channels(96, 64)
    latent = ksampler(bench, model, **settings, positive=positive, negative=negative, latent_image=empty)
    return vae_decode(bench, latent, vae_loader(bench, "flux2-vae.safetensors"))


@pytest.mark.parametrize("cfg", [1.0, 5.0])
@pytest.mark.parametrize("name", ["fibo2.safetensors", "prefixed.safetensors"])
def test_texts_of_other_lengths_give_the_pipelines_picture(tiny, name, cfg):
    bench = bench_of(tiny)
    model = denoiser_loader(bench, name)
    assert model.family == "fibo2"
    positive, negative = text(300, WIDTH, 1), text(6, WIDTH, 2)  # of 320 and of 256 gists
    got = ours(bench, model, [[positive, {}]], [[negative, {}]], cfg)
    assert float((got - theirs(tiny, model, positive, negative, cfg)).abs().max()) <= 1e-4
    assert float((got - ours(bench, model, [[negative, {}]], [[negative, {}]], cfg)).abs().max()) > 1e-3


def test_pictures_to_edit_are_seen_beside_the_one_that_is_made(tiny):
    from PIL import Image

    bench = bench_of(tiny)
    model, vae = denoiser_loader(bench, "fibo2.safetensors"), vae_loader(bench, "flux2-vae.safetensors")
    picture = torch.randint(0, 256, (64, 96, 3), generator=torch.Generator().manual_seed(5), dtype=torch.uint8)
    positive, negative = text(9, WIDTH, 1), text(6, WIDTH, 2)
    latent = vae_encode(bench, picture[None] / 255, vae)
    told = [reference_latent([[one, {}]], latent) for one in (positive, negative)]
    got = ours(bench, model, *told, 3.0)
    wanted = theirs(tiny, model, positive, negative, 3.0, [Image.fromarray(picture.numpy())])
    assert float((got - wanted).abs().max()) <= 1e-4
    assert float((got - ours(bench, model, [[positive, {}]], [[negative, {}]], 3.0)).abs().max()) > 1e-3


def test_a_conditioning_of_another_family_is_refused(tiny):
    bench = bench_of(tiny)
    foreign = [[text(5, 32, 3), {}]]
    with pytest.raises(ModelError, match=r"fibo2\.safetensors: expected a conditioning of width 72, got 32"):
        ours(bench, denoiser_loader(bench, "fibo2.safetensors"), foreign, foreign, 1.0)


@pytest.mark.parametrize("naming", ["diffusion_model.", "transformer.", "base_model.model.", KOHYA])
def test_a_lora_changes_the_picture_as_in_the_pipeline_and_leaves_nothing_behind(tiny, naming):
    bench = bench_of(tiny)
    module = tiny.modules["transformer"]
    pairs = low_rank(module, scale=0.1)
    save(tiny.file("loras", "change.safetensors"), under(naming, pairs))
    model = denoiser_loader(bench, "fibo2.safetensors")
    positive, negative = text(8, WIDTH, 5), text(8, WIDTH, 6)
    given = [[positive, {}]], [[negative, {}]], 3.0
    before = ours(bench, model, *given)
    told = bench.models.lora(bench.paths.find("loras", "change.safetensors"), model, None, 0.5, 0.0)
    assert told.unmatched == ()
    changed = ours(bench, told.model, *given)
    with applied(module, pairs, 0.5):
        wanted = theirs(tiny, model, positive, negative, 3.0)
    assert float((changed - wanted).abs().max()) <= 1e-4
    assert float((changed - before).abs().max()) > 1e-3
    assert torch.equal(ours(bench, model, *given), before)
