"""Ideogram 4: whole runs by our nodes and by diffusers' pipeline on the same modules."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from engine.models.errors import ModelError
from engine.models.manager import ModelManager
from engine.paths import Paths
from engine.sampling.noise import initial_noise
from nodes.custom_sampling import ksampler_select, random_noise, sampler_custom_advanced
from nodes.guidance import cfg_override, dual_model_guider
from nodes.latent import empty_latent_of_128_channels
from nodes.loaders import denoiser_loader, vae_loader
from nodes.sigmas import ideogram4_scheduler
from nodes.vae import vae_decode
from tests.conftest import Bench
from tests.families import Tiny, save
from tests.tiny_ideogram4 import TEXT, write

SEED, STEPS, SIDES = 11, 4, (64, 96)
GRID = (SIDES[0] // 16, SIDES[1] // 16)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> Tiny:
    return write(tmp_path_factory.mktemp("tiny_ideogram4"))


def bench_of(tiny: Tiny) -> Bench:
    return Bench(ModelManager("cpu"), Paths(tiny.base))


def words(length: int, seed: int, width: int = TEXT) -> torch.Tensor:
    return torch.randn(1, length, width, generator=torch.Generator().manual_seed(seed))


def tokens_of(square: torch.Tensor) -> torch.Tensor:
    """A latent of FLUX.2's autoencoder as the pipeline has it: unpacked as the one does, packed as the other does."""
    whole = square.reshape(1, 32, 2, 2, *GRID).permute(0, 1, 4, 2, 5, 3).reshape(1, 32, GRID[0] * 2, GRID[1] * 2)
    return whole.view(1, 32, GRID[0], 2, GRID[1], 2).permute(0, 2, 4, 3, 5, 1).reshape(1, GRID[0] * GRID[1], 128)


def theirs(tiny: Tiny, text: torch.Tensor, guidance: list[float]) -> torch.Tensor:
    from diffusers.pipelines.ideogram4.pipeline_ideogram4 import Ideogram4Pipeline
    from diffusers.schedulers.scheduling_flow_match_euler_discrete import FlowMatchEulerDiscreteScheduler

    class Given(Ideogram4Pipeline):
        """Under a text that is encoded already, filled up at its beginning."""

        def encode_prompt(self, prompt, grid_h, grid_w, max_sequence_length, device):
            before = torch.randn(1, max_sequence_length - text.shape[1], TEXT)
            packed = torch.cat([before, text, torch.zeros(1, grid_h * grid_w, TEXT)], dim=1)
            return packed, *self._prepare_ids([text.shape[1]], grid_h, grid_w, max_sequence_length, device)

    parts = dict.fromkeys(("text_encoder", "tokenizer"))
    pipeline = Given(scheduler=FlowMatchEulerDiscreteScheduler(), **parts | tiny.modules)
    pipeline.set_progress_bar_config(disable=True)
    noise = initial_noise(torch.zeros(1, 128, *GRID), SEED)
    first = float(sigmas()[0])  # where a run of ours begins, a little below noise alone
    result = pipeline(
        "",
        height=SIDES[0],
        width=SIDES[1],
        num_inference_steps=STEPS,
        guidance_schedule=guidance,
        mu=0.5,
        std=1.75,
        max_sequence_length=16,
        latents=tokens_of(noise * first),
        output_type="pt",
    )
    return result.images.movedim(1, -1)


def sigmas() -> torch.Tensor:
    return ideogram4_scheduler(STEPS, SIDES[1], SIDES[0], 0.5, 1.75)


def ours(bench: Bench, guider: Any) -> torch.Tensor:
    empty = empty_latent_of_128_channels(SIDES[1], SIDES[0])
    latent = sampler_custom_advanced(bench, random_noise(SEED), guider, ksampler_select("euler"), sigmas(), empty)
    return vae_decode(bench, latent.output, vae_loader(bench, "flux2-vae.safetensors"))


def test_the_schedule_is_the_pipelines():
    from diffusers.pipelines.ideogram4.pipeline_ideogram4 import _logit_normal_sigmas, _resolution_aware_mu

    for steps, width, height, mu, std in (
        (20, 1024, 1024, 0.0, 1.75),
        (48, 2048, 1024, 0.0, 1.5),
        (1, 256, 512, -3, 5),
    ):
        wanted = _logit_normal_sigmas(steps, _resolution_aware_mu(height, width, mu), std)
        got = ideogram4_scheduler(steps, width, height, mu, std)
        assert torch.equal(got, torch.cat([wanted, torch.zeros(1)]))


@pytest.mark.parametrize("name", ["ideogram4.safetensors", "diffusers.safetensors"])
def test_two_networks_give_the_pipelines_picture(tiny, name):
    bench = bench_of(tiny)
    model, other = denoiser_loader(bench, name), denoiser_loader(bench, "unconditional.safetensors")
    assert (model.family, other.family) == ("ideogram4", "ideogram4")
    text = [[words(9, 1), {}]]
    got = ours(bench, dual_model_guider(model, text, 7.0, other))
    assert float((got - theirs(tiny, text[0][0], [7.0] * STEPS)).abs().max()) <= 1e-4
    alone = ours(bench, dual_model_guider(model, text, 7.0))
    assert float((got - alone).abs().max()) > 1e-3, "the other network counts"


def test_guidance_falls_where_it_is_overridden(tiny):
    bench = bench_of(tiny)
    model = denoiser_loader(bench, "ideogram4.safetensors")
    other = denoiser_loader(bench, "unconditional.safetensors")
    text = [[words(9, 1), {}]]
    levels = sigmas().tolist()
    lowered = cfg_override(cfg_override(model, 20.0, 0.0, 1.0), 3.0, 1.0 - levels[2] - 1e-4, 1.0)
    got = ours(bench, dual_model_guider(lowered, text, 7.0, other))
    assert float((got - theirs(tiny, text[0][0], [20.0, 20.0, 3.0, 3.0])).abs().max()) <= 1e-4


def test_a_negative_text_is_run_on_the_second_network(tiny):
    bench = bench_of(tiny)
    model = denoiser_loader(bench, "ideogram4.safetensors")
    other = denoiser_loader(bench, "unconditional.safetensors")
    text, zeroed = [[words(9, 1), {}]], [[torch.zeros(1, 9, TEXT), {}]]
    with_words = ours(bench, dual_model_guider(model, text, 7.0, other, zeroed))
    assert float((with_words - ours(bench, dual_model_guider(model, text, 7.0, other))).abs().max()) > 1e-3
    same = ours(bench, dual_model_guider(model, text, 1.0, other, zeroed))
    assert torch.equal(same, ours(bench, dual_model_guider(model, text, 1.0)))


def test_a_conditioning_of_another_family_is_refused(tiny):
    bench = bench_of(tiny)
    model = denoiser_loader(bench, "ideogram4.safetensors")
    with pytest.raises(ModelError, match=r"ideogram4\.safetensors: expected a conditioning of width 24, got 32"):
        ours(bench, dual_model_guider(model, [[words(5, 3, width=32), {}]], 1.0))


def test_models_of_two_kinds_are_no_pair(tiny, tiny_sd):
    from nodes.loaders import checkpoint_loader

    model = denoiser_loader(bench_of(tiny), "ideogram4.safetensors")
    stranger = checkpoint_loader(Bench(ModelManager("cpu"), Paths(tiny_sd.base)), "tiny.safetensors").MODEL
    with pytest.raises(ValueError, match=r"model_negative \(sd1\) must have the latents and the noise of model"):
        dual_model_guider(model, [[words(5, 3), {}]], 1.0, stranger)


@pytest.mark.parametrize("prefix", ["diffusion_model.", "conditional_transformer.", "transformer.", "lora_unet_"])
def test_a_lora_changes_the_picture_as_in_the_pipeline_and_leaves_nothing_behind(tiny, prefix):
    bench = bench_of(tiny)
    torch.manual_seed(4)
    module = tiny.modules["transformer"]
    linears = {
        name: part
        for name, part in module.named_modules()
        if isinstance(part, torch.nn.Linear) and name.startswith("layers.")
    }
    changes = {name: torch.randn_like(part.weight) * 0.1 for name, part in linears.items()}
    named = dict(changes)
    if prefix != "transformer.":  # the original's names
        for i in range(2):
            block = f"layers.{i}.attention."
            named[f"{block}qkv"] = torch.cat([named.pop(f"{block}to_{part}") for part in "qkv"])
            named[f"{block}o"] = named.pop(f"{block}to_out.0")
    tensors = {}
    for name, change in named.items():
        kohya = prefix == "lora_unet_"
        path = f"{prefix}{name.replace('.', '_') if kohya else name}"
        tensors[f"{path}.{'lora_down' if kohya else 'lora_A'}.weight"] = torch.eye(change.shape[1])
        tensors[f"{path}.{'lora_up' if kohya else 'lora_B'}.weight"] = change
    save(tiny.file("loras", "change.safetensors"), tensors)
    model = denoiser_loader(bench, "ideogram4.safetensors")
    other = denoiser_loader(bench, "unconditional.safetensors")
    text = [[words(9, 1), {}]]
    before = ours(bench, dual_model_guider(model, text, 4.0, other))
    told = bench.models.lora(bench.paths.find("loras", "change.safetensors"), model, None, 0.5, 0.0)
    assert told.unmatched == ()
    changed = ours(bench, dual_model_guider(told.model, text, 4.0, other))
    kept = {name: part.weight.clone() for name, part in linears.items()}
    for name, part in linears.items():
        part.weight += 0.5 * changes[name]
    wanted = theirs(tiny, text[0][0], [4.0] * STEPS)
    for name, part in linears.items():
        part.weight.copy_(kept[name])
    assert float((changed - wanted).abs().max()) <= 1e-4
    assert float((changed - before).abs().max()) > 1e-3
    assert torch.equal(ours(bench, dual_model_guider(model, text, 4.0, other)), before)
