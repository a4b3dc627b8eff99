"""Latents of another autoencoder are refused though their shape fits; what is right, or may be, never is."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
import torch

from engine.datatypes import latent_formats
from engine.datatypes.latent_formats import same_latents
from engine.models.families import families
from engine.models.latent_spaces import MARK, Space, changed, space_of, told, with_samples
from nodes.custom_sampling import basic_guider, disable_noise, ksampler_select, random_noise, sampler_custom_advanced
from nodes.latent import (
    latent_add,
    latent_batch,
    latent_blend,
    latent_composite,
    latent_composite_masked,
    latent_from_batch,
    latent_interpolate,
    latent_subtract,
    latent_upscale_by,
    repeat_latent_batch,
    set_latent_noise_mask,
)
from nodes.latent_pieces import latent_concat, latent_cut
from nodes.sampling import ksampler
from nodes.vae import vae_decode, vae_decode_tiled, vae_encode
from tests.every_family import MEMBERS

SD, SDXL, FLUX = (Space(getattr(latent_formats, name), name) for name in ("SD", "SDXL", "FLUX"))
PICTURE = torch.rand(1, 64, 64, 3, generator=torch.Generator().manual_seed(1))


def marked(space: Any, shape: tuple[int, ...] = (1, 4, 8, 8), **more: Any) -> dict[str, Any]:
    return with_samples(more, torch.ones(shape), space)


def run(member: tuple[Any, Any], latent: dict[str, Any], denoise: float) -> dict[str, Any]:
    parts, text = member
    told = {"seed": 1, "steps": 2, "cfg": 1.0, "sampler_name": "euler", "scheduler": "simple", "denoise": denoise}
    made: dict[str, Any] = ksampler(parts.bench, parts.model, **told, positive=text, negative=text, latent_image=latent)
    return made


@pytest.mark.parametrize("name", MEMBERS)
def test_a_familys_own_latents_fit_its_sampler_and_its_autoencoder(everyone, name):
    parts, _ = everyone[name]
    space = space_of(parts.model)
    assert space is not None
    encoded = vae_encode(parts.bench, PICTURE, parts.vae)
    sampled = run(everyone[name], encoded, 0.5)
    assert told(sampled).is_of(space)
    assert torch.isfinite(vae_decode(parts.bench, sampled, parts.vae)).all()
    assert told(encoded) is None or told(encoded).is_of(space)


def test_families_with_one_autoencoder_have_one_space():
    groups: list[set[str]] = []
    for family in families():
        alike = {other.name for other in families() if same_latents(family.latent, other.latent)}
        groups += [] if alike in groups else [alike]
    assert sorted(map(sorted, groups)) == [
        ["anima", "cosmos_predict2", "joyimage", "krea2", "qwen_image", "wan"],
        ["auraflow", "hunyuan_dit", "pixart_sigma", "sdxl", "sdxl_refiner"],
        [
            *(
                "chroma",
                "flux",
                "hidream",
                "kandinsky5_image",
                "longcat_image",
                "lumina2",
                "omnigen2",
                "ovis_image",
                "z_image",
            ),
        ],
        ["chroma_radiance", "ddpm", "deepfloyd_if"],
        ["dit", "lotus", "pixart_alpha", "sd1", "sd2", "sd2_unclip"],
        ["ernie_image", "fibo2", "flux2", "flux2_klein", "flux2_klein_9b", "flux3", "ideogram4"],
        ["hunyuan_image"],
        ["hunyuan_image_refiner"],
        ["qwen_image21"],
        ["sana"],
        ["sd3"],
        ["sd_x4"],
        ["stable_cascade_b"],
        ["stable_cascade_c"],
        ["wan22"],
    ]


def test_latents_of_flux_are_refused_by_the_autoencoder_of_qwen_image(everyone):
    parts, _ = everyone["qwen_image"]
    latent = run(everyone["z_image"], {"samples": torch.zeros(1, 16, 8, 8)}, 1.0)
    for decode in (vae_decode, vae_decode_tiled):
        with pytest.raises(
            ValueError, match=r"This VAE decodes latents of Anima, .*; it was given some of Z-Image, .*Use the VAE"
        ):
            decode(parts.bench, latent, parts.vae)
    assert vae_decode(parts.bench, {"samples": latent["samples"]}, parts.vae).shape == (1, 64, 64, 3)


def test_the_autoencoder_of_a_checkpoint_is_told_by_its_network_and_one_alone_is_not(everyone):
    parts, _ = everyone["sdxl"]
    with pytest.raises(ValueError, match="decodes latents of Stable Diffusion XL; it was given some of SD,"):
        vae_decode(parts.bench, marked(SD), parts.vae)
    assert space_of(msgspec.structs.replace(parts.vae, beside_network=False)) is None
    alone, _ = everyone["z_image"]
    assert space_of(alone.vae) is None
    assert MARK not in vae_encode(alone.bench, PICTURE, alone.vae)


def test_a_run_does_not_go_on_from_latents_of_another_autoencoder(everyone, monkeypatch):
    parts, text = everyone["sdxl"]
    steps: list[Any] = []
    monkeypatch.setattr(type(parts.bench), "progress", lambda *args: steps.append(args))
    message = r"latent_image: this model denoises latents of Stable Diffusion XL; it was given some of SD, .*Decode them with their own"
    kept = torch.ones(1, 64, 64)
    kept[:, :32] = 0.0
    masked = set_latent_noise_mask(marked(SD), kept)
    for latent, denoise in ((marked(SD), 0.5), (masked, 1.0)):
        with pytest.raises(ValueError, match=message):
            run(everyone["sdxl"], latent, denoise)
    guider, sampler = basic_guider(parts.model, text), ksampler_select("euler")
    for noise, sigmas in ((random_noise(1), torch.tensor([1.0, 0.0])), (disable_noise(), torch.tensor([20.0, 0.0]))):
        with pytest.raises(ValueError, match=message):
            sampler_custom_advanced(parts.bench, noise, guider, sampler, sigmas, marked(SD))
    assert not steps


def test_of_pure_noise_a_run_may_begin_with_any_latent(everyone):
    parts, text = everyone["sdxl"]
    sampled = run(everyone["sdxl"], marked(SD), 1.0)
    assert told(sampled).is_of(SDXL)
    guider, sampler = basic_guider(parts.model, text), ksampler_select("euler")
    both = sampler_custom_advanced(parts.bench, random_noise(1), guider, sampler, torch.tensor([20.0, 0.0]), marked(SD))
    assert all(told(one).is_of(SDXL) for one in both)
    anew = set_latent_noise_mask(marked(SD), torch.ones(1, 64, 64))  # a mask that keeps nothing
    assert told(run(everyone["sdxl"], anew, 1.0)).is_of(SDXL)


def test_a_run_of_no_steps_leaves_the_mark(everyone):
    parts, text = everyone["sdxl"]
    guider, sampler = basic_guider(parts.model, text), ksampler_select("euler")
    same = sampler_custom_advanced(parts.bench, random_noise(1), guider, sampler, torch.tensor([]), marked(SD)).output
    assert told(same).is_of(SD)


def test_a_latent_that_a_pack_made_of_a_marked_one_has_no_mark(everyone):
    """Such as by a network between the latents of two models; as before, its shape decides."""
    parts, _ = everyone["sdxl"]
    converted = {**marked(SD), "samples": torch.full((1, 4, 8, 8), 0.5)}
    assert told(converted) is None
    vae_decode(parts.bench, converted, parts.vae)
    run(everyone["sdxl"], converted, 0.5)
    in_place = marked(SD)
    in_place["samples"].mul_(2)
    assert MARK not in changed(in_place, in_place["samples"])


MIXING = (latent_add, latent_subtract, latent_blend, latent_interpolate, latent_composite, latent_composite_masked)


@pytest.mark.parametrize("mix", MIXING)
def test_latents_of_two_autoencoders_are_not_mixed(mix):
    with pytest.raises(ValueError, match=r"The first latent is of SD, the second of SDXL: .*means nothing"):
        mix(marked(SD), marked(SDXL))
    assert told(mix(marked(SD), marked(SD))).is_of(SD)
    assert told(mix(marked(None), marked(SDXL))) is None
    assert told(mix(marked(SD), marked(None))).is_of(SD)


def test_latents_of_two_autoencoders_may_stand_side_by_side():
    for joined in (latent_batch(marked(SD), marked(SDXL)), latent_concat(marked(SD), marked(SDXL))):
        assert MARK not in joined
    for joined in (latent_batch(marked(SD), marked(SD)), latent_concat(marked(SD), marked(SD), "x")):
        assert told(joined).is_of(SD)


@pytest.mark.parametrize(
    "make",
    [
        lambda latent: latent_upscale_by(latent, "bislerp", 2.0),
        lambda latent: repeat_latent_batch(latent, 2),
        lambda latent: latent_from_batch(latent, 0, 1),
        lambda latent: latent_cut(latent, "x", 0, 4),
        lambda latent: set_latent_noise_mask(latent, torch.ones(1, 8, 8)),
    ],
)
def test_a_mark_outlives_what_is_done_to_a_latent(make):
    assert told(make(marked(FLUX, (1, 16, 8, 8)))).is_of(FLUX)
    assert MARK not in make(marked(None, (1, 16, 8, 8)))


def test_a_mark_is_plain_data():
    latent = marked(FLUX, (1, 16, 8, 8))
    again = msgspec.json.decode(msgspec.json.encode(latent[MARK]))
    assert again == latent[MARK]
    assert told({**latent, "samples": latent["samples"].unsqueeze(2)}) is not None  # a picture as one frame
