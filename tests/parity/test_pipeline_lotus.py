"""Lotus: a picture's depth by our nodes, and by the library's modules as Lotus' own code calls them."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch

from engine.models import sd_keys
from nodes import conditioning_lotus
from nodes.conditioning_lotus import lotus_conditioning
from nodes.custom_sampling import basic_guider, disable_noise, ksampler_select, sampler_custom_advanced
from nodes.loaders import checkpoint_loader, denoiser_loader
from nodes.sigmas import basic_scheduler, set_first_sigma
from nodes.vae import vae_decode, vae_encode
from tests.conftest import _tokenizer_json
from tests.families import Tiny, save, vae
from tests.runs import bench_of
from tests.tiny_pixel import classed_unet, write_sd2

WIDTH = 48
"""Of the tiny text encoder."""


@pytest.fixture(scope="module")
def tiny(tiny_sd, tmp_path_factory) -> Tiny:
    """The network in a file of its own, in both layouts; the text encoder and the VAE in a checkpoint of Stable Diffusion 2."""
    torch.manual_seed(31)
    files, folder = tiny_sd.tokenizer_files, tmp_path_factory.mktemp("tiny_lotus")
    modules = {"unet": classed_unet(), "vae": vae()}
    modules["vae"].register_to_config(scaling_factor=0.18215)
    made = write_sd2(folder, files, _tokenizer_json(files), "sd2", modules)
    lotus = classed_unet(class_embed_type="projection", projection_class_embeddings_input_dim=4)
    made.modules["unet"] = lotus.eval().requires_grad_(False)
    told = {"safelight.config": json.dumps({"family": "lotus", "unet": {"heads": 8}})}
    original = sd_keys.unet_to_original(lotus.state_dict(), lotus.config, "")
    for name, tensors in (("diffusers", lotus.state_dict()), ("original", original)):
        save(made.file("diffusion_models", f"{name}.safetensors"), tensors, told)
    return made


@pytest.fixture
def narrow(monkeypatch) -> None:
    monkeypatch.setattr(conditioning_lotus, "_WIDTH", WIDTH)


def picture() -> torch.Tensor:
    return torch.rand(1, 64, 96, 3, generator=torch.Generator().manual_seed(6))


def empty_text(tiny: Tiny) -> torch.Tensor:
    """As Lotus' code has it: no padding."""
    tokens = tiny.tokenizers["tokenizer"]("", padding="do_not_pad", return_tensors="pt").input_ids
    assert tokens.shape == (1, 2)
    return tiny.modules["text_encoder"](tokens)[0]


def ours(bench: Any, model: Any, decoder: Any, text: Any) -> torch.Tensor:
    sigmas = set_first_sigma(basic_scheduler(model, "normal", 1, 1.0), 999.0)
    latent = vae_encode(bench, picture(), decoder)
    guider = basic_guider(model, text)
    made = sampler_custom_advanced(bench, disable_noise(), guider, ksampler_select("euler"), sigmas, latent)
    return vae_decode(bench, made[0], decoder)


@pytest.mark.parametrize("layout", ["diffusers", "original"])
def test_a_picture_becomes_what_lotus_says(tiny, narrow, layout):
    bench = bench_of(tiny)
    model = denoiser_loader(bench, f"{layout}.safetensors")
    decoder = checkpoint_loader(bench, "sd2.safetensors").VAE
    assert (model.family, model.parameterization.prediction) == ("lotus", "img_to_img")
    text = lotus_conditioning(bench)
    assert torch.allclose(text[0][0], empty_text(tiny), atol=1e-5)
    made = ours(bench, model, decoder, text)
    coder = tiny.modules["vae"]
    task = torch.tensor([[1.0, 0.0]])
    with torch.no_grad():
        latents = coder.encode(picture().movedim(-1, 1) * 2 - 1).latent_dist.mode() * 0.18215
        predicted = tiny.modules["unet"](
            latents,
            999,
            encoder_hidden_states=empty_text(tiny),
            class_labels=torch.cat([task.sin(), task.cos()], dim=-1),
            return_dict=False,
        )[0]
        decoded = coder.decode(predicted / 0.18215, return_dict=False)[0]
    assert float((made - (decoded / 2 + 0.5).clamp(0, 1).movedim(1, -1)).abs().max()) <= 1e-4


def test_the_text_encoder_is_found_or_linked_or_asked_for(tiny, narrow, bench, monkeypatch):
    here = bench_of(tiny)
    clip = checkpoint_loader(here, "sd2.safetensors").CLIP
    linked, found = lotus_conditioning(here, clip), lotus_conditioning(here)
    assert torch.equal(linked[0][0], found[0][0])
    with pytest.raises(ValueError, match=r"text encoder of Stable Diffusion 2.*none in models/text_encoders or"):
        lotus_conditioning(bench)
    other = checkpoint_loader(bench, "tiny.safetensors").CLIP
    with pytest.raises(ValueError, match=r"expected a text encoder of width 48.*got 32"):
        lotus_conditioning(bench, other)
