"""Ideogram 4: whole runs, from the prompt, by our nodes and by diffusers' pipeline on the same modules."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from engine.models.errors import ModelError
from engine.models.manager import ModelManager
from engine.paths import Paths
from engine.sampling.noise import initial_noise
from nodes.conditioning import conditioning_zero_out, text_encode
from nodes.custom_sampling import ksampler_select, random_noise, sampler_custom_advanced
from nodes.guidance import cfg_override, dual_model_guider
from nodes.latent import empty_latent_of_128_channels
from nodes.loaders import checkpoint_loader, denoiser_loader, text_encoder_loader, vae_loader
from nodes.sigmas import ideogram4_scheduler
from nodes.vae import vae_decode
from tests.changes import KOHYA, applied, low_rank, under
from tests.conftest import Bench
from tests.families import Tiny, save
from tests.runs import SEED, STEPS, bench_of, library, text
from tests.tiny_ideogram4 import write

PROMPT = "a photo of the red apple, on a (tree:1.2)"
SIDES = (64, 96)
GRID = (SIDES[0] // 16, SIDES[1] // 16)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> Tiny:
    return write(tmp_path_factory.mktemp("tiny_ideogram4"))


def parts(bench: Bench, name: str = "ideogram4.safetensors") -> tuple[Any, Any, Any]:
    """The two networks, and the prompt encoded."""
    clip = text_encoder_loader(bench, "qwen3vl.safetensors", "ideogram4")
    networks = denoiser_loader(bench, name), denoiser_loader(bench, "unconditional.safetensors")
    return *networks, text_encode(bench, PROMPT, clip)


def tokens_of(square: torch.Tensor) -> torch.Tensor:
    """A latent of FLUX.2's autoencoder as the pipeline has it: unpacked as the one does, packed as the other does."""
    whole = square.reshape(1, 32, 2, 2, *GRID).permute(0, 1, 4, 2, 5, 3).reshape(1, 32, GRID[0] * 2, GRID[1] * 2)
    return whole.view(1, 32, GRID[0], 2, GRID[1], 2).permute(0, 2, 4, 3, 5, 1).reshape(1, GRID[0] * GRID[1], 128)


def theirs(tiny: Tiny, guidance: list[float]) -> torch.Tensor:
    from diffusers.pipelines.ideogram4.pipeline_ideogram4 import Ideogram4Pipeline

    noise = initial_noise(torch.zeros(1, 128, *GRID), SEED)
    first = float(sigmas()[0])  # where a run of ours begins, a little below noise alone
    result = library(Ideogram4Pipeline, tiny)(
        PROMPT,
        height=SIDES[0],
        width=SIDES[1],
        num_inference_steps=STEPS,
        guidance_schedule=guidance,
        mu=0.5,
        std=1.75,
        max_sequence_length=100,
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
def test_a_prompt_and_two_networks_give_the_pipelines_picture(tiny, name):
    bench = bench_of(tiny)
    model, other, told = parts(bench, name)
    assert (model.family, other.family) == ("ideogram4", "ideogram4")
    got = ours(bench, dual_model_guider(model, told, 7.0, other))
    assert float((got - theirs(tiny, [7.0] * STEPS)).abs().max()) <= 1e-4
    alone = ours(bench, dual_model_guider(model, told, 7.0))
    assert float((got - alone).abs().max()) > 1e-3, "the other network counts"


def test_guidance_falls_where_it_is_overridden(tiny):
    bench = bench_of(tiny)
    model, other, told = parts(bench)
    levels = sigmas().tolist()
    lowered = cfg_override(cfg_override(model, 20.0, 0.0, 1.0), 3.0, 1.0 - levels[2] - 1e-4, 1.0)
    got = ours(bench, dual_model_guider(lowered, told, 7.0, other))
    assert float((got - theirs(tiny, [20.0, 20.0, 3.0, 3.0])).abs().max()) <= 1e-4


def test_a_negative_text_is_run_on_the_second_network(tiny):
    bench = bench_of(tiny)
    model, other, told = parts(bench)
    zeroed = conditioning_zero_out(told)
    with_words = ours(bench, dual_model_guider(model, told, 7.0, other, zeroed))
    assert float((with_words - ours(bench, dual_model_guider(model, told, 7.0, other))).abs().max()) > 1e-3
    same = ours(bench, dual_model_guider(model, told, 1.0, other, zeroed))
    assert torch.equal(same, ours(bench, dual_model_guider(model, told, 1.0)))


def test_a_conditioning_of_another_family_is_refused(tiny):
    bench = bench_of(tiny)
    model, _, _ = parts(bench)
    with pytest.raises(ModelError, match=r"ideogram4\.safetensors: expected a conditioning of width 208, got 32"):
        ours(bench, dual_model_guider(model, [[text(5, 32, 3), {}]], 1.0))


def test_models_of_two_kinds_are_no_pair(tiny, tiny_sd):
    model, _, told = parts(bench_of(tiny))
    stranger = checkpoint_loader(Bench(ModelManager("cpu"), Paths(tiny_sd.base)), "tiny.safetensors").MODEL
    with pytest.raises(ValueError, match=r"model_negative \(sd1\) must have the latents and the noise of model"):
        dual_model_guider(model, told, 1.0, stranger)


@pytest.fixture(scope="module")
def changed(tiny) -> tuple[Any, torch.Tensor]:
    """A LoRA of the blocks, in which query, key and value share what goes down; and the pipeline's picture with half of it."""
    module = tiny.modules["transformer"]
    pairs = dict(low_rank(module, lambda name: name.startswith("layers."), scale=0.1))
    for name in pairs:
        if name.endswith((".to_k", ".to_v")):
            pairs[name] = (pairs[f"{name[:-1]}q"][0], pairs[name][1])
    with applied(module, pairs, 0.5):
        return pairs, theirs(tiny, [4.0] * STEPS)


@pytest.mark.parametrize("prefix", ["diffusion_model.", "conditional_transformer.", "transformer.", KOHYA])
def test_a_lora_changes_the_picture_as_in_the_pipeline_and_leaves_nothing_behind(tiny, changed, prefix):
    bench = bench_of(tiny)
    pairs, wanted = changed
    named = dict(pairs)
    if prefix != "transformer.":  # the original's names
        for i in range(2):
            block = f"layers.{i}.attention."
            parted = [named.pop(f"{block}to_{part}") for part in "qkv"]
            named[f"{block}qkv"] = (parted[0][0], torch.cat([up for _, up in parted]))
            named[f"{block}o"] = named.pop(f"{block}to_out.0")
    save(tiny.file("loras", "change.safetensors"), under(prefix, named))
    model, other, told = parts(bench)
    before = ours(bench, dual_model_guider(model, told, 4.0, other))
    result = bench.models.lora(bench.paths.find("loras", "change.safetensors"), model, None, 0.5, 0.0)
    assert result.unmatched == ()
    got = ours(bench, dual_model_guider(result.model, told, 4.0, other))
    assert float((got - wanted).abs().max()) <= 1e-4
    assert float((got - before).abs().max()) > 1e-3
    assert torch.equal(ours(bench, dual_model_guider(model, told, 4.0, other)), before)
