"""Qwen-Image 2.1's network and autoencoder in full size, by names and shapes alone."""

from __future__ import annotations

from typing import Any

import torch

from engine.models import autoencoders
from engine.models.autoencoders import qwen_image21
from engine.models.detect import detect
from engine.models.families import families
from engine.models.networks import qwen_image21_sizes
from tests.models.test_detect import shapes
from tests.tiny_qwen_image21 import stacked, wan_names


def full(**told: Any) -> Any:
    from diffusers.models.transformers.transformer_qwenimage21 import QwenImage21Transformer2DModel

    with torch.device("meta"):
        return QwenImage21Transformer2DModel(**told)


def test_a_full_size_network_is_read_off_its_names_and_shapes() -> None:
    module = full()
    state = module.state_dict()
    assert len(state) == 297
    for tensors in (state, stacked(state)):
        for prefix in ("", "model.diffusion_model."):
            found = detect(shapes({f"{prefix}{name}": value for name, value in tensors.items()}))
            assert (found.family, found.network_prefix) == ("qwen_image21", prefix)
            assert found.network is not None
            again = full(**found.network)
            assert shapes(again.state_dict()) == shapes(state)
            told = {name: value for name, value in module.config.items() if not name.startswith("_")}
            assert {name: again.config[name] for name in told} == {**told, "axes_dims_rope": [16, 56, 56]}
            assert (found.latent.channels, found.latent.downscale, len(found.latent.means)) == (64, 16, 64)
        assert shapes(qwen_image21_sizes.renamed(tensors, module.config)) == shapes(state)
        assert [family.name for family in families() if family.fits(shapes(tensors))] == ["qwen_image21"]


def test_a_full_size_autoencoder_is_read_off_its_names_and_shapes() -> None:
    from diffusers.models.autoencoders.autoencoder_kl_qwenimage21 import AutoencoderKLQwenImage21

    from engine.datatypes.latent_formats import QWEN_IMAGE21

    with torch.device("meta"):
        module = AutoencoderKLQwenImage21()
    state = module.state_dict()
    named, original = shapes(state), wan_names(state)
    assert len(original) == len(named)
    for tensors in (state, original):
        assert autoencoders.kind_in(shapes(tensors)) == "qwen_image21"
        told = qwen_image21.config(shapes(tensors), {})
        assert shapes(qwen_image21.renamed(tensors, told)) == named
    with torch.device("meta"):
        again = AutoencoderKLQwenImage21(**told)
    assert shapes(again.state_dict()) == named
    assert all(again.config[name] == module.config[name] for name in told)
    assert qwen_image21.space(told) == (64, 16)
    assert (QWEN_IMAGE21.means, QWEN_IMAGE21.deviations) == (
        tuple(module.config.latents_mean),
        tuple(module.config.latents_std),
    )
