"""Every family under the conditionings and latents of every other: what does not fit is refused in words, before a step."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from engine.models.encoded import ENCODERS
from engine.models.errors import CheckpointError, ModelError
from engine.models.families import family_named
from engine.models.networks.unet_sizes import U_NET
from nodes.conditioning import (
    conditioning_average,
    conditioning_combine,
    conditioning_concat,
    conditioning_set_area,
    conditioning_set_timestep_range,
    conditioning_zero_out,
    text_encode,
    with_options,
)
from nodes.sampling import ksampler
from nodes.vae import vae_decode, vae_decode_tiled, vae_encode
from tests.conftest import _tokenizer_json
from tests.every_family import MEMBERS, Parts, loaded


def empty(parts: Parts, side: int = 64) -> torch.Tensor:
    space = parts.model.latent
    return torch.zeros(1, space.channels, side // space.downscale, side // space.downscale)


def run(parts: Parts, text: Any, latent: torch.Tensor | None = None) -> torch.Tensor:
    told: dict[str, Any] = {"seed": 1, "steps": 1, "cfg": 1.0, "sampler_name": "euler", "scheduler": "simple"}
    samples = empty(parts) if latent is None else latent
    given = {"positive": text, "negative": text, "latent_image": {"samples": samples}}
    made: torch.Tensor = ksampler(parts.bench, parts.model, **told, **given)["samples"]
    return made


def kind(text: Any) -> tuple[Any, ...]:
    """What a network can tell of a conditioning."""
    tokens, options = text[0]
    sizes = {name: value.shape[-1] for name, value in options.items() if name not in ("attention_mask", ENCODERS)}
    return tokens.shape[-1], tuple(sorted(sizes.items()))


@pytest.mark.parametrize("name", MEMBERS)
def test_a_conditioning_of_another_width_is_refused_with_both_widths(everyone, name):
    parts, own = everyone[name]
    assert torch.isfinite(run(parts, own)).all()
    others = {kind(text): text for _, text in everyone.values() if kind(text)[0] != kind(own)[0]}
    assert len(others) > 10
    for (width, _), text in others.items():
        with pytest.raises(ModelError) as refused:
            run(parts, text)
        told = str(refused.value)
        assert parts.model.source.path in told
        assert "ncode the prompt" in told or "Load its text encoders" in told
        assert any(f"{asked} {width}" in told for asked in ("got", "width")) or "got none" in told or "pooled" in told


LATENTS = [
    (1, 4, 8, 8),
    (1, 16, 8, 8),
    (1, 16, 1, 8, 8),
    (1, 16, 3, 8, 8),
    (1, 64, 4, 4),
    (1, 128, 4, 4),
    (1, 3, 64, 64),
]


@pytest.mark.parametrize("name", MEMBERS)
def test_latents_of_another_kind_are_refused(everyone, name):
    """By the sampler, where they hold something, and by the VAE."""
    parts, own = everyone[name]
    space = parts.model.latent
    for shape in [*LATENTS, (1, 16, 8), (0, space.channels, 4, 4)]:
        latent = torch.ones(shape)
        alike = len(shape) >= 4 and shape[1] == space.channels and shape[0]
        if not alike or len(shape) > 2 + space.axes:
            with pytest.raises(ValueError, match=rf"\(B, {space.channels}.*, h, w\)"):
                run(parts, own, latent)
        if not alike or (len(shape) == 5 and space.axes == 2 and "wan" not in parts.vae.kind):
            for decode in (vae_decode, vae_decode_tiled):
                with pytest.raises(
                    (ValueError, ModelError), match=r"this VAE decodes latents|This VAE decodes latents"
                ):
                    decode(parts.bench, {"samples": latent}, parts.vae)


@pytest.mark.parametrize("name", MEMBERS)
def test_an_empty_latent_of_any_kind_becomes_the_models(everyone, name):
    """Odd sizes too, one frame of a video, and a single latent pixel."""
    parts, own = everyone[name]
    space = parts.model.latent
    for shape in [(1, 4, 5, 7), (1, 16, 1, 5, 7)]:
        made = run(parts, own, torch.zeros(shape))
        assert made.ndim == 2 + space.axes
        assert made.shape[1] == space.channels
        assert torch.isfinite(made).all()
    if (
        space.downscale > 1 and family_named(parts.model.family).network is not U_NET
    ):  # tiny ones norm each channel alone
        assert run(parts, own, torch.zeros(1, space.channels, 1, 1)).shape[-2:] == (1, 1)


def test_a_picture_too_small_or_too_large_is_refused_in_pixels(everyone):
    radiance, text = everyone["chroma_radiance"]
    with pytest.raises(ModelError, match=r"of 8 pixels a side at least, got 5 × 3.*Make the latent larger"):
        run(radiance, text, torch.zeros(1, 3, 3, 5))
    for name in ("sd3", "auraflow"):
        parts, text = everyone[name]
        with pytest.raises(ModelError, match=r"of 192 pixels a side at most, got 208 × 64.*Make the latent smaller"):
            run(parts, text, torch.zeros(1, parts.model.latent.channels, 8, 26))


def test_a_video_is_refused_by_a_model_of_pictures(everyone):
    parts, text = everyone["joyimage"]
    with pytest.raises(ModelError, match=r"expected a latent of one frame \(B, 16, 1, h, w\), got \[1, 16, 2, 8, 8\]"):
        run(parts, text, torch.zeros(1, 16, 2, 8, 8))


@pytest.mark.parametrize("name", MEMBERS)
def test_mixed_conditionings_run(everyone, name):
    """Tokens that are padding stay so: texts that are joined or mixed bring what tells them apart."""
    parts, own = everyone[name]
    other = text_encode(parts.bench, "blue dog on a tree, a tree", parts.clip)
    for mixed in (
        conditioning_concat(own, other),
        conditioning_average(own, other, 0.5),
        conditioning_zero_out(own),
        conditioning_set_area(own, 32, 32, 16, 16, 1.0),
    ):
        assert torch.isfinite(run(parts, mixed)).all()


def test_joined_texts_tell_where_their_padding_is():
    text = [[torch.ones(1, 3, 2), {"attention_mask": torch.tensor([[1, 1, 0]])}]]
    bare = [[torch.ones(1, 2, 2), {}]]
    assert conditioning_concat(text, bare)[0][1]["attention_mask"].tolist() == [[1, 1, 0, 1, 1]]
    assert conditioning_concat(bare, text)[0][1]["attention_mask"].tolist() == [[1, 1, 1, 1, 0]]
    assert "attention_mask" not in conditioning_concat(bare, bare)[0][1]


def test_mixed_texts_have_text_where_either_has():
    long, short = ([[torch.ones(1, 3, 2), {"attention_mask": torch.tensor([mask])}]] for mask in ([1, 1, 0], [1, 0, 0]))
    assert conditioning_average(short, long, 0.5)[0][1]["attention_mask"].tolist() == [[1, 1, 0]]
    assert conditioning_average(long, short, 0.5)[0][1]["attention_mask"].tolist() == [[1, 1, 0]]
    assert conditioning_average(short, [[torch.ones(1, 2, 2), {}]], 0.5)[0][1]["attention_mask"].tolist() == [[1, 1, 0]]


def test_an_area_is_as_large_in_pixels_whatever_a_latent_pixel_stands_for():
    from engine.sampling.masks import resolve_area

    [[_, options]] = conditioning_set_area([[torch.zeros(1, 1, 1), {}]], 512, 256, 128, 64, 1.0)
    found = {side: resolve_area(options["area"], 1024 // side, 1024 // side, side) for side in (1, 4, 8, 16)}
    assert found == {side: (256 // side, 512 // side, 64 // side, 128 // side) for side in found}


def test_a_file_of_an_unknown_family_is_refused_by_what_it_holds(tmp_path):
    from engine.models.opening import open_denoiser
    from tests.families import save

    path = tmp_path / "stranger.safetensors"
    save(path, {f"model.diffusion_model.tower.{i}.weight": torch.zeros(2, 2) for i in range(4)})
    with pytest.raises(CheckpointError, match=r"stranger.safetensors: .*tower.0.weight.*Stable Diffusion 1"):
        open_denoiser(path)


REFERENCED = [
    name for name in MEMBERS if name.startswith(("flux", "schnell", "qwen_image", "longcat", "fibo2", "joyimage"))
]


@pytest.mark.parametrize("name", REFERENCED)
def test_a_reference_of_another_vae_is_refused(everyone, name):
    parts, own = everyone[name]
    space = parts.model.latent
    for shape in LATENTS:
        if shape[1] != space.channels or (len(shape) > 2 + space.axes and shape[2] > 1):
            with pytest.raises(
                ModelError, match=rf"goes by latents of {space.channels} channels .* number 1 of ReferenceLatent"
            ):
                run(parts, with_options(own, reference_latents=[torch.ones(shape)]))


@pytest.mark.parametrize("shape", [(1, 4, 8, 8), (1, 16, 1, 8, 8), (1, 128, 4, 4)])
@pytest.mark.parametrize("channels", [384, 128])
def test_a_picture_beside_the_latent_of_another_vae_is_refused(tiny_sd, tmp_path, channels, shape):
    from tests.families import write_flux

    write_flux(tmp_path, tiny_sd.tokenizer_files, _tokenizer_json(tiny_sd.tokenizer_files), in_channels=channels)
    parts = loaded(tmp_path, "flux")
    text = [[torch.zeros(1, 3, 24), {"pooled_output": torch.zeros(1, 32), "concat_latent_image": torch.ones(shape)}]]
    with pytest.raises(
        ModelError, match=rf"takes a picture beside the latent, of 16 channels .*got \({shape[0]}, {shape[1]}"
    ):
        run(parts, text)


def test_no_pictures_and_no_latents_are_refused_by_a_vae(everyone):
    for name in ("sd1", "qwen_image", "flux2"):
        parts, _ = everyone[name]
        with pytest.raises(ModelError, match=r"expected pictures .*got \[0, 64, 64, 3\]"):
            vae_encode(parts.bench, torch.zeros(0, 64, 64, 3), parts.vae)
        with pytest.raises(ModelError, match=r"this VAE decodes latents .*got \[0, "):
            vae_decode(parts.bench, {"samples": empty(parts)[:0]}, parts.vae)


def test_a_foreign_text_of_later_steps_is_refused_before_the_first(everyone, monkeypatch):
    parts, own = everyone["z_image"]
    _, foreign = everyone["flux"]
    steps = []
    monkeypatch.setattr(type(parts.bench), "progress", lambda *args: steps.append(args))
    late = conditioning_set_timestep_range(foreign, 0.9, 1.0)
    with pytest.raises(ValueError, match=r"the positive conditioning has texts of the widths 24, 32"):
        run(parts, conditioning_combine(own, late))
    assert not steps
