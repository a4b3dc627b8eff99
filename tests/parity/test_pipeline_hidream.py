"""HiDream: whole runs by our nodes and by diffusers' pipeline on the same modules."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch

from engine.models.errors import ModelError
from nodes.conditioning import text_encode
from nodes.conditioning_texts import text_encode_hidream
from nodes.loaders import denoiser_loader, dual_text_encoder_loader, quadruple_text_encoder_loader, vae_loader
from nodes.vae import instruct_pix_to_pix_conditioning
from tests.conftest import _save as save
from tests.conftest import _tokenizer_json
from tests.families import Tiny
from tests.runs import STEPS, bench_of, levels, library, noise, picture, text
from tests.tiny_hidream import LANGUAGE, POOLED, TEXT, write_hidream


@pytest.fixture(scope="module")
def tiny(tiny_sd, tmp_path_factory) -> Tiny:
    files = tiny_sd.tokenizer_files
    return write_hidream(tmp_path_factory.mktemp("tiny_hidream"), files, _tokenizer_json(files))


def loaded(tiny: Tiny) -> tuple[Any, Any, Any]:
    bench = bench_of(tiny)
    return bench, denoiser_loader(bench, "hidream.safetensors"), vae_loader(bench, "ae.safetensors")


def encoded(seed: int, length: int = 6) -> Any:
    """A conditioning: T5's tokens, four layers of a language model, and a pooled text."""
    layers = torch.stack([text(length, LANGUAGE, seed + layer) for layer in range(1, 5)], dim=1)
    pooled = text(1, POOLED, seed + 9)[:, 0]
    return [[text(length, TEXT, seed), {"pooled_output": pooled, "conditioning_llama3": layers}]]


def theirs(tiny: Tiny, model: Any, positive: Any, negative: Any, cfg: float, height: int, width: int) -> torch.Tensor:
    from diffusers.pipelines.hidream_image.pipeline_hidream_image import HiDreamImagePipeline

    given = {}
    for prefix, [[context, options]] in (("", positive), ("negative_", negative)):
        given[f"{prefix}prompt_embeds_t5"] = context
        given[f"{prefix}prompt_embeds_llama3"] = options["conditioning_llama3"].transpose(0, 1)
        given[f"{prefix}pooled_prompt_embeds"] = options["pooled_output"]
    pipeline = library(HiDreamImagePipeline, tiny)
    pipeline.default_sample_size = 8  # it scales what is asked for to as many pixels
    result = pipeline(
        **given,
        num_inference_steps=STEPS,
        sigmas=levels(model),
        guidance_scale=cfg,
        latents=noise(height, width),
        height=height,
        width=width,
        output_type="pt",
    )
    return result.images.movedim(1, -1)


@pytest.mark.parametrize("size", [(64, 64), (32, 128)])
@pytest.mark.parametrize("cfg", [1.0, 3.0])
def test_a_conditioning_gives_the_pipelines_picture(tiny, cfg, size):
    """Square and not: of 16 tokens, so that the library has none to fill up."""
    bench, model, vae = loaded(tiny)
    assert (model.family, model.parameterization.shift) == ("hidream", 3.0)
    positive, negative = encoded(1), encoded(20)
    got = picture(bench, model, vae, positive, negative, cfg, *size)
    assert float((got - theirs(tiny, model, positive, negative, cfg, *size)).abs().max()) <= 1e-4


FILES = ("llama_3.1", "clip_l_hidream", "t5xxl", "clip_g_hidream")
PROMPT, NEGATIVE = "a photo of the red apple on the tree", "blue dog"


def test_a_prompt_gives_the_pipelines_picture(tiny):
    """Of four text encoders, whose files come in any order."""
    from diffusers.pipelines.hidream_image.pipeline_hidream_image import HiDreamImagePipeline

    bench, model, vae = loaded(tiny)
    clip = quadruple_text_encoder_loader(bench, *(f"{name}.safetensors" for name in FILES))
    assert [tower.tower for tower in clip.towers] == ["clip_l", "clip_g", "t5xxl", "llama"]
    positive, negative = (text_encode(bench, prompt, clip) for prompt in (PROMPT, NEGATIVE))
    got = picture(bench, model, vae, positive, negative, 3.0, 64, 64)
    pipeline = library(HiDreamImagePipeline, tiny)
    pipeline.default_sample_size = 8
    result = pipeline(
        PROMPT,
        negative_prompt=NEGATIVE,
        num_inference_steps=STEPS,
        sigmas=levels(model),
        guidance_scale=3.0,
        latents=noise(64, 64),
        height=64,
        width=64,
        output_type="pt",
    )
    assert float((got - result.images.movedim(1, -1)).abs().max()) <= 1e-4


def test_each_text_encoder_may_have_a_text_of_its_own(tiny):
    bench = bench_of(tiny)
    clip = quadruple_text_encoder_loader(bench, *(f"{name}.safetensors" for name in FILES))
    [[context, options]] = text_encode(bench, "red", clip)
    assert (context.shape, options["conditioning_llama3"].shape) == ((1, 128, TEXT), (1, 32, 128, LANGUAGE))
    names = ("clip_l", "clip_g", "t5xxl", "llama")
    parts = (
        options["pooled_output"][:, :32],
        options["pooled_output"][:, 32:],
        context,
        options["conditioning_llama3"],
    )
    for name in names:
        [[other, told]] = text_encode_hidream(bench, clip, **{key: "dog" if key == name else "red" for key in names})
        others = (told["pooled_output"][:, :32], told["pooled_output"][:, 32:], other, told["conditioning_llama3"])
        same = [torch.equal(part, found) for part, found in zip(parts, others, strict=True)]
        assert same == [key != name for key in names]


def test_text_encoders_that_are_left_out_count_as_zeros(tiny):
    """Of their published widths: a network of this size would not take them."""
    bench = bench_of(tiny)
    clip = dual_text_encoder_loader(bench, "t5xxl.safetensors", "llama_3.1.safetensors", "hidream")
    [[context, options]] = text_encode(bench, "red", clip)
    assert (context.shape, options["conditioning_llama3"].shape) == ((1, 128, TEXT), (1, 32, 128, LANGUAGE))
    assert options["pooled_output"].shape == (1, 768 + 1280)
    assert not options["pooled_output"].any()
    clip = dual_text_encoder_loader(bench, "clip_l_hidream.safetensors", "clip_g_hidream.safetensors", "hidream")
    [[context, options]] = text_encode(bench, "red", clip)
    assert (context.shape, options["conditioning_llama3"].shape) == ((1, 128, 4096), (1, 32, 128, 4096))
    assert not context.any()
    assert not options["conditioning_llama3"].any()
    assert options["pooled_output"].shape == (1, POOLED)


def edited(tiny: Tiny, model: Any, conditioning: Any, seen: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """What HiDream.ai's own pipeline of E1 does, for which the library has none: the picture at the right, half of what comes."""
    module, x = tiny.modules["transformer"], noise(*size)
    [[context, options]] = conditioning
    sigmas = [*levels(model), 0.0]
    for sigma, following in itertools.pairwise(sigmas):
        velocity = module(
            hidden_states=torch.cat([x, seen], dim=-1),
            timesteps=torch.tensor([sigma * 1000]),
            encoder_hidden_states_t5=context,
            encoder_hidden_states_llama3=options["conditioning_llama3"].transpose(0, 1),
            pooled_embeds=options["pooled_output"],
        ).sample
        x = x - velocity[..., : x.shape[-1]] * (following - sigma)
    vae = tiny.modules["vae"]
    pixels = vae.decode(x / vae.config.scaling_factor + vae.config.shift_factor).sample
    return (pixels / 2 + 0.5).clamp(0, 1).movedim(1, -1)


@pytest.mark.parametrize("size", [(64, 32), (64, 64), (32, 64)])
def test_a_picture_to_edit_stands_beside_the_one_that_is_made(tiny, monkeypatch, size):
    """Square side by side and not. Its authors give the network room for both, so that nothing is filled up.

    Which are 4608 tokens of 16 by 16 pixels for the two pictures of 768 by 768 that E1 is used with.
    """
    bench, model, vae = loaded(tiny)
    height, width = size
    monkeypatch.setattr(tiny.modules["transformer"], "max_seq", 2 * (height // 16) * (width // 16))
    pixels = torch.rand(1, height, width, 3, generator=torch.Generator().manual_seed(3))
    positive, negative, empty = instruct_pix_to_pix_conditioning(bench, encoded(1), encoded(20), vae, pixels)
    latent = positive[0][1]["concat_latent_image"]
    assert empty["samples"].shape == latent.shape == (1, 16, height // 8, width // 8)
    got = picture(bench, model, vae, positive, negative, 1.0, *size)
    expected = edited(tiny, model, positive, (latent - 0.1159) * 0.3611, size)
    assert float((got - expected).abs().max()) <= 1e-4
    assert float((got - picture(bench, model, vae, encoded(1), encoded(20), 1.0, *size)).abs().max()) > 1e-3
    with_negative = picture(bench, model, vae, positive, encoded(20), 3.0, *size)  # the negative sees no picture
    assert float((got - with_negative).abs().max()) > 1e-3


@pytest.mark.parametrize("naming", ["diffusion_model", "transformer", "kohya"])
def test_a_lora_changes_the_weights_that_it_names(tiny, naming):
    generator = torch.Generator().manual_seed(9)
    before = tiny.modules["transformer"].state_dict()
    blocks = ("double_stream_blocks.0.block", "single_stream_blocks.1.block")
    paths = [
        f"{block}.{name}" for block in blocks for name in ("attn1.to_q", "ff_i.experts.2.w1", "ff_i.shared_experts.w2")
    ]
    changes, tensors = {}, {}
    for path in paths:
        rows, width = before[f"{path}.weight"].shape
        down, up = torch.randn(2, width, generator=generator), torch.randn(rows, 2, generator=generator)
        key = f"lora_unet_{path.replace('.', '_')}" if naming == "kohya" else f"{naming}.{path}"
        names = ("lora_down", "lora_up") if naming == "kohya" else ("lora_A", "lora_B")
        tensors |= {f"{key}.{names[0]}.weight": down, f"{key}.{names[1]}.weight": up}
        changes[f"{path}.weight"] = up @ down
    save(tiny.file("loras", f"{naming}.safetensors"), tensors)
    bench, model, _ = loaded(tiny)
    result = bench.models.lora(bench.paths.find("loras", f"{naming}.safetensors"), model, None, 0.5, 0.0)
    assert result.unmatched == ()
    with bench.models.use(result.model) as network:
        for name, value in network.module.state_dict().items():
            assert torch.allclose(value, before[name] + 0.5 * changes.get(name, torch.zeros(1)), atol=1e-5), name
    with bench.models.use(model) as network:
        assert all(torch.equal(value, before[name]) for name, value in network.module.state_dict().items())


def test_what_does_not_fit_is_refused(tiny):
    bench, model, vae = loaded(tiny)
    [[context, options]] = encoded(1)
    other = torch.zeros(1, 16, 8, 4)
    for conditioning, told in (
        ([[context, {"pooled_output": torch.zeros(1, 768)}]], r"a pooled text of width 72, got one of width 768"),
        (
            [[context, {"pooled_output": options["pooled_output"]}]],
            r"4 layers of width 32 of a language model, got none",
        ),
        ([[torch.zeros(1, 77, 40), options]], r"expected a conditioning of width 24, got 40"),
        ([[context, options | {"concat_latent_image": other}]], r"a latent of \(16, 8, 8\), got \(16, 8, 4\)"),
    ):
        with pytest.raises(ModelError, match=told):
            picture(bench, model, vae, conditioning, conditioning, 1.0, 64, 64)
