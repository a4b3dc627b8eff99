"""OmniGen2: whole runs, from prompt and pictures, by our nodes and by Euler's steps on the same module under the library's encoder."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from engine.models.errors import ModelError
from engine.sampling.noise import initial_noise
from nodes.conditioning import text_encode
from nodes.conditioning_edit import reference_latent
from nodes.custom_sampling import dual_cfg_guider, ksampler_select, random_noise, sampler_custom_advanced
from nodes.loaders import denoiser_loader, text_encoder_loader, vae_loader
from nodes.vae import vae_decode
from tests.changes import KOHYA, applied, low_rank, under
from tests.conftest import Bench
from tests.families import Tiny, save
from tests.runs import SEED, bench_of, levels, picture, text
from tests.tiny_omnigen2 import TEXT, write

PROMPT, NEGATIVE = "a photo of the red apple on the tree", "blue dog"
SIDES = (48, 80)
SYSTEM = "You are a helpful assistant that generates high-quality images based on user instructions."


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> Tiny:
    return write(tmp_path_factory.mktemp("tiny_omnigen2"))


def parts(bench: Bench) -> tuple[Any, Any, Any]:
    clip = text_encoder_loader(bench, "qwen_2.5_vl.safetensors", "omnigen2")
    return denoiser_loader(bench, "omnigen2.safetensors"), clip, vae_loader(bench, "ae.safetensors")


def seen(tiny: Tiny, prompt: str) -> torch.Tensor:
    """The last layer's output, through the last norm, of the chat that its authors put a prompt in."""
    chat = f"<|im_start|>system\n{SYSTEM}<|im_end|>\n<|im_start|>user\n{prompt}<|im_end|>\n"
    ids = tiny.tokenizers["tokenizer"](chat, return_tensors="pt").input_ids
    found: torch.Tensor = tiny.modules["text_encoder"](ids, output_hidden_states=True).hidden_states[-1]
    return found


def references() -> list[torch.Tensor]:
    """Latents as the VAE gives them, of their own sizes."""
    numbers = torch.Generator().manual_seed(7)
    return [torch.randn(1, 16, *sides, generator=numbers) for sides in ((4, 6), (6, 2))]


def steps(tiny: Tiny, sigmas: list[float], scales: tuple[float, float], pictures: list[torch.Tensor]) -> torch.Tensor:
    """The picture (1, H, W, 3) of Euler's steps, guided from nothing to the pictures, and from these to the prompt."""
    module, vae = tiny.modules["transformer"], tiny.modules["vae"]
    good, bad = seen(tiny, PROMPT), seen(tiny, NEGATIVE)
    scaled = [(one - 0.1159) * 0.3611 for one in pictures]
    x = initial_noise(torch.zeros(1, 16, SIDES[0] // 8, SIDES[1] // 8), SEED)
    for now, after in zip(sigmas, [*sigmas[1:], 0.0], strict=True):
        time = torch.tensor([1000 * (1 - now)])
        told, untold, nothing = (module(x, time, *one) for one in ((good, None, scaled), (bad, None, scaled), (bad,)))
        velocity = nothing + scales[1] * (untold - nothing) + scales[0] * (told - untold)
        x = x - velocity * (after - now)
    decoded: torch.Tensor = vae.decode(x / 0.3611 + 0.1159, return_dict=False)[0]
    return (decoded / 2 + 0.5).clamp(0, 1).movedim(1, -1)


def with_pictures(told: Any, pictures: list[torch.Tensor]) -> Any:
    for one in pictures:
        told = reference_latent(told, {"samples": one})
    return told


def ours(bench: Bench, scales: tuple[float, float], pictures: list[torch.Tensor]) -> torch.Tensor:
    """As the field's workflow has it."""
    model, clip, vae = parts(bench)
    good, bad = text_encode(bench, PROMPT, clip), text_encode(bench, NEGATIVE, clip)
    guided = [with_pictures(one, pictures) for one in (good, bad)]
    guider = dual_cfg_guider(model, *guided, bad, *scales)
    empty = {"samples": torch.zeros(1, 16, SIDES[0] // 8, SIDES[1] // 8)}
    sigmas = torch.tensor([*levels(model), 0.0])
    made = sampler_custom_advanced(bench, random_noise(SEED), guider, ksampler_select("euler"), sigmas, empty)
    return vae_decode(bench, made.output, vae)


@pytest.mark.parametrize("number", [0, 1, 2])
def test_prompt_and_pictures_give_the_picture_of_plain_steps(tiny, number):
    bench = bench_of(tiny)
    model, clip, _ = parts(bench)
    assert (model.family, clip.tower) == ("omnigen2", "qwen25_3b")
    pictures, scales = references()[:number], (3.0, 2.0)
    got = ours(bench, scales, pictures)
    assert float((got - steps(tiny, levels(model), scales, pictures)).abs().max()) <= 1e-4
    if number:
        assert float((got - ours(bench, scales, references()[: number - 1])).abs().max()) > 1e-3


def test_odd_sides_are_filled_up_and_padding_is_seen_by_nobody(tiny):
    bench = bench_of(tiny)
    model, _, _ = parts(bench)
    x, t, context = torch.randn(1, 16, 5, 7), torch.tensor([500.0]), text(5, TEXT, 3)
    filled = torch.nn.functional.pad(x, (0, 1, 0, 1), mode="circular")
    with bench.models.use(model) as network:
        plain = network(x, t, context)
        assert torch.allclose(plain, network(filled, t, context)[..., :5, :7], atol=1e-5)
        odd = network.inputs({"reference_latents": [x]}, x, True)
        assert odd["reference 0"].shape == (1, 16, 6, 8)
        masked = network.inputs({"attention_mask": torch.tensor([[1] * 5 + [0] * 4])}, x, True)
        # What is padding has a place, so that what comes after it has another.
        padded = [torch.cat([context, text(4, TEXT, seed)], dim=1) for seed in (4, 5)]
        assert torch.allclose(*(network(x, t, one, options=masked) for one in padded), atol=1e-5)


def test_what_does_not_fit_is_refused(tiny):
    bench = bench_of(tiny)
    model, _, vae = parts(bench)
    foreign = [[text(5, TEXT + 8, 3), {}]]
    with pytest.raises(ModelError, match=f"expected a conditioning of width {TEXT}, got {TEXT + 8}"):
        picture(bench, model, vae, foreign, foreign, 1.0, *SIDES)
    many = with_pictures([[text(5, TEXT, 3), {}]], [torch.zeros(1, 16, 2, 2)] * 6)
    with pytest.raises(ModelError, match="OmniGen2 goes by 5 pictures at most, got 6 by ReferenceLatent"):
        picture(bench, model, vae, many, many, 1.0, *SIDES)


@pytest.mark.parametrize("prefix", ["diffusion_model.", "transformer.", KOHYA])
def test_a_lora_changes_the_picture_by_its_weights(tiny, prefix):
    network = tiny.modules["transformer"]
    pairs = low_rank(network)
    bench = bench_of(tiny)
    model, clip, vae = parts(bench)
    with applied(network, pairs, 0.5):
        wanted = steps(tiny, levels(model), (1.0, 1.0), [])
    save(tiny.file("loras", "change.safetensors"), under(prefix, pairs))
    good = text_encode(bench, PROMPT, clip)
    before = picture(bench, model, vae, good, good, 1.0, *SIDES)
    result = bench.models.lora(bench.paths.find("loras", "change.safetensors"), model, None, 0.5, 0.0)
    assert result.unmatched == ()
    got = picture(bench, result.model, vae, good, good, 1.0, *SIDES)
    assert float((got - wanted).abs().max()) <= 1e-4
    assert float((got - before).abs().max()) > 1e-3
