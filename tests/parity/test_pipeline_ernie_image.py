"""ERNIE-Image: whole runs by our nodes and by diffusers' pipeline on the same modules."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from engine.models.errors import ModelError
from engine.models.manager import ModelManager
from engine.paths import Paths
from engine.sampling.noise import initial_noise
from nodes.latent import empty_latent_of_128_channels
from nodes.loaders import denoiser_loader, vae_loader
from nodes.sampling import ksampler
from nodes.vae import vae_decode
from tests.conftest import Bench
from tests.families import Tiny, save
from tests.tiny_ernie_image import TEXT, write

SEED, STEPS = 11, 4


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> Tiny:
    return write(tmp_path_factory.mktemp("tiny_ernie_image"))


def bench_of(tiny: Tiny) -> Bench:
    return Bench(ModelManager("cpu"), Paths(tiny.base))


def words(length: int, seed: int, width: int = TEXT) -> torch.Tensor:
    return torch.randn(1, length, width, generator=torch.Generator().manual_seed(seed))


def theirs(tiny: Tiny, positive: torch.Tensor, negative: torch.Tensor, cfg: float) -> torch.Tensor:
    from diffusers.pipelines.ernie_image.pipeline_ernie_image import ErnieImagePipeline
    from diffusers.schedulers.scheduling_flow_match_euler_discrete import FlowMatchEulerDiscreteScheduler

    parts = dict.fromkeys(("text_encoder", "tokenizer"))
    pipeline = ErnieImagePipeline(scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0), **parts | tiny.modules)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline(
        prompt_embeds=[positive[0]],
        negative_prompt_embeds=[negative[0]],
        num_inference_steps=STEPS,
        guidance_scale=cfg,
        latents=initial_noise(torch.zeros(1, 128, 4, 6), SEED),
        height=64,
        width=96,
        output_type="pt",
    ).images.movedim(1, -1)


def ours(bench: Bench, model: Any, positive: torch.Tensor, negative: torch.Tensor, cfg: float) -> torch.Tensor:
    settings = {"seed": SEED, "steps": STEPS, "cfg": cfg, "sampler_name": "euler", "scheduler": "simple"}
    empty = empty_latent_of_128_channels(96, 64)
    given = {"positive": [[positive, {}]], "negative": [[negative, {}]], "latent_image": empty}
    return vae_decode(bench, ksampler(bench, model, **settings, **given), vae_loader(bench, "flux2-vae.safetensors"))


@pytest.mark.parametrize("cfg", [1.0, 4.0])
@pytest.mark.parametrize("name", ["ernie.safetensors", "prefixed.safetensors"])
def test_texts_of_other_lengths_give_the_pipelines_picture(tiny, name, cfg):
    bench = bench_of(tiny)
    model = denoiser_loader(bench, name)
    assert (model.family, model.parameterization.shift) == ("ernie_image", 3.0)
    positive, negative = words(12, 1), words(6, 2)
    got, wanted = ours(bench, model, positive, negative, cfg), theirs(tiny, positive, negative, cfg)
    assert float((got - wanted).abs().max()) <= 1e-4
    assert float((got - ours(bench, model, negative, negative, cfg)).abs().max()) > 1e-3


def test_a_conditioning_of_another_family_is_refused(tiny):
    bench = bench_of(tiny)
    foreign = words(5, 3, width=32)
    with pytest.raises(ModelError, match=r"ernie\.safetensors: expected a conditioning of width 24, got 32"):
        ours(bench, denoiser_loader(bench, "ernie.safetensors"), foreign, foreign, 1.0)


@pytest.mark.parametrize("naming", ["diffusion_model.", "transformer.", "base_model.model.", "lora_unet_"])
def test_a_lora_changes_the_picture_as_in_the_pipeline_and_leaves_nothing_behind(tiny, naming):
    bench = bench_of(tiny)
    torch.manual_seed(4)
    linears = {
        name: module
        for name, module in tiny.modules["transformer"].named_modules()
        if isinstance(module, torch.nn.Linear) and name.startswith("layers.")
    }
    pairs = {name: (torch.randn(2, m.in_features) * 0.3, torch.randn(m.out_features, 2)) for name, m in linears.items()}
    tensors = {}
    for name, (down, up) in pairs.items():
        kohya = naming == "lora_unet_"
        path = f"{naming}{name.replace('.', '_') if kohya else name}"
        tensors[f"{path}.{'lora_down' if kohya else 'lora_A'}.weight"] = down
        tensors[f"{path}.{'lora_up' if kohya else 'lora_B'}.weight"] = up
    save(tiny.file("loras", "change.safetensors"), tensors)
    model = denoiser_loader(bench, "ernie.safetensors")
    positive, negative = words(8, 5), words(8, 6)
    before = ours(bench, model, positive, negative, 3.0)
    told = bench.models.lora(bench.paths.find("loras", "change.safetensors"), model, None, 0.5, 0.0)
    assert told.unmatched == ()
    changed = ours(bench, told.model, positive, negative, 3.0)
    kept = {name: module.weight.clone() for name, module in linears.items()}
    for name, module in linears.items():
        down, up = pairs[name]
        module.weight += 0.5 * (up @ down)
    wanted = theirs(tiny, positive, negative, 3.0)
    for name, module in linears.items():
        module.weight.copy_(kept[name])
    assert float((changed - wanted).abs().max()) <= 1e-4
    assert float((changed - before).abs().max()) > 1e-3
    assert torch.equal(ours(bench, model, positive, negative, 3.0), before)
