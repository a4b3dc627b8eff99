"""HunyuanImage 2.1 in full size, by names and shapes alone, in each layout; and its autoencoder."""

from __future__ import annotations

import pytest
import torch

from engine.models import autoencoders
from engine.models.detect import detect
from engine.models.families import families
from engine.models.networks import hunyuan_image_sizes
from tests import tiny_hunyuan_image_refiner as tiny_refiner
from tests.models.test_detect import shapes
from tests.tiny_hunyuan_image import autoencoder, to_fields, to_original, transformer, vae_to_original
from tests.tiny_hunyuan_image_refiner import refiner

FULL = {"num_attention_heads": 28, "attention_head_dim": 128, "num_layers": 20, "num_single_layers": 40}
FULL |= {"num_refiner_layers": 2, "text_embed_dim": 3584, "text_embed_2_dim": 1472}


@pytest.mark.parametrize("distilled", [False, True])
def test_a_full_size_network_is_read_off_its_names_and_shapes(distilled) -> None:
    from diffusers.models.transformers.transformer_hunyuanimage import HunyuanImageTransformer2DModel

    with torch.device("meta"):
        full = transformer(**FULL, rope_axes_dim=(64, 64), guidance_embeds=distilled, use_meanflow=distilled)
    state = full.state_dict()
    original, stacked = to_original(state, full.config), to_original(state, full.config, is_stacked=True)
    assert original["single_blocks.39.linear1_mlp.weight"].shape == (14336, 3584)
    named = (("", original), ("model.diffusion_model.", stacked), ("", to_fields(stacked)), ("", state))
    for prefix, tensors in named:
        found = detect({f"{prefix}{name}": shape for name, shape in shapes(tensors).items()})
        assert found.family == "hunyuan_image"
        assert found.network is not None
        with torch.device("meta"):
            again = HunyuanImageTransformer2DModel(**found.network)
        assert shapes(again.state_dict()) == shapes(state)
        told = {name: value for name, value in full.config.items() if not name.startswith("_")}
        assert {name for name, value in told.items() if again.config[name] not in (value, list_of(value))} == set()
        assert (found.latent.channels, found.latent.downscale, found.latent.scale) == (64, 32, 0.75289)
        assert shapes(hunyuan_image_sizes.renamed(tensors, full.config)) == shapes(state)
        assert [one.name for one in families() if one.fits(shapes(tensors))] == ["hunyuan_image"]


def list_of(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value


def test_a_network_of_videos_is_not_taken() -> None:
    """HunyuanVideo's networks have the same names, and frames."""
    with torch.device("meta"):
        full = transformer(patch_size=(1, 1, 1), rope_axes_dim=(4, 6, 6))
    for tensors in (full.state_dict(), to_original(full.state_dict(), full.config)):
        assert [one.name for one in families() if one.fits(shapes(tensors))] == []


def test_the_refiner_in_full_size_is_read_off_its_names_and_shapes() -> None:
    from diffusers.models.transformers.transformer_hunyuanimage import HunyuanImageTransformer2DModel

    with torch.device("meta"):
        full = refiner(**FULL | {"num_attention_heads": 26, "text_embed_2_dim": None}, rope_axes_dim=(16, 56, 56))
    state = full.state_dict()
    stacked = to_original(state, full.config, is_stacked=True)
    for tensors in (to_original(state, full.config), stacked, to_fields(stacked), state):
        found = detect(shapes(tensors))
        assert found.family == "hunyuan_image_refiner"
        assert found.network is not None
        with torch.device("meta"):
            again = HunyuanImageTransformer2DModel(**found.network)
        assert shapes(again.state_dict()) == shapes(state)
        told = {name: value for name, value in full.config.items() if not name.startswith("_")}
        assert {name for name, value in told.items() if again.config[name] not in (value, list_of(value))} == set()
        assert (found.latent.channels, found.latent.downscale, found.latent.scale) == (64, 16, 1.03682)
        assert [one.name for one in families() if one.fits(shapes(tensors))] == ["hunyuan_image_refiner"]


def test_the_refiners_autoencoder_in_full_size_is_read_off_its_names_and_shapes() -> None:
    from diffusers.models.autoencoders.autoencoder_kl_hunyuanimage_refiner import AutoencoderKLHunyuanImageRefiner

    with torch.device("meta"):
        full = AutoencoderKLHunyuanImageRefiner()
    state = full.state_dict()
    kind = autoencoders.kind_named("hunyuan_image_refiner")
    for tensors in (tiny_refiner.vae_to_original(state), state):
        assert autoencoders.kind_in(shapes(tensors)) == "hunyuan_image_refiner"
        config = kind.config(shapes(tensors), {})
        assert {name: list_of(full.config[name]) for name in config} == config
        assert kind.space(config) == (64, 16)
        assert shapes(kind.renamed(tensors, config)) == shapes(state)


def test_every_module_with_a_weight_has_a_path_in_the_original_layout() -> None:
    with torch.device("meta"):
        full = transformer(guidance_embeds=True, use_meanflow=True)
    named = set(hunyuan_image_sizes.paths(full.config))
    named |= {ours for parts in hunyuan_image_sizes.fused(full.config).values() for ours in parts}
    assert named == {name.rpartition(".")[0] for name in full.state_dict()}


def test_a_full_size_autoencoder_is_read_off_its_names_and_shapes() -> None:
    widths = (128, 256, 512, 512, 1024, 1024)
    with torch.device("meta"):
        full = autoencoder(block_out_channels=widths, layers_per_block=2)
    state = full.state_dict()
    kind = autoencoders.kind_named("hunyuan_image")
    for tensors in (vae_to_original(state, full.config), state):
        assert autoencoders.kind_in(shapes(tensors)) == "hunyuan_image"
        config = kind.config(shapes(tensors), {})
        assert (tuple(config["block_out_channels"]), config["layers_per_block"]) == (widths, 2)
        assert kind.space(config) == (64, 32)
        assert shapes(kind.renamed(tensors, config)) == shapes(state)
