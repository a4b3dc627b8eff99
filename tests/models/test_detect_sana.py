"""Sana in full size, by names and shapes alone, in each layout; and its autoencoder."""

from __future__ import annotations

import pytest
import torch

from engine.models import autoencoders
from engine.models.detect import detect
from engine.models.families import families
from engine.models.networks import sana_sizes
from tests.models.test_detect import shapes
from tests.tiny_sana import autoencoder, to_original, transformer

LARGE = {"num_attention_heads": 70, "attention_head_dim": 32, "num_cross_attention_heads": 20}
LARGE |= {"cross_attention_head_dim": 112, "cross_attention_dim": 2240, "caption_channels": 2304}
SMALL = LARGE | {"num_attention_heads": 36, "num_cross_attention_heads": 16, "cross_attention_head_dim": 72}
SMALL |= {"cross_attention_dim": 1152}


@pytest.mark.parametrize(
    "told",
    [
        SMALL | {"num_layers": 28, "qk_norm": None},
        LARGE | {"num_layers": 20, "qk_norm": None},
        LARGE | {"num_layers": 60},
    ],
)
def test_a_full_size_network_is_read_off_its_names_and_shapes(told) -> None:
    """0.6B and 1.6B of Sana 1, and 4.8B of 1.5, whose queries and keys have norms."""
    from diffusers.models.transformers.sana_transformer import SanaTransformer2DModel

    with torch.device("meta"):
        full = transformer(**told)
    state = full.state_dict()
    original = to_original(state)
    for prefix, tensors in (("", original), ("model.diffusion_model.", original), ("", state)):
        found = detect({f"{prefix}{name}": shape for name, shape in shapes(tensors).items()})
        assert found.family == "sana"
        assert found.network is not None
        with torch.device("meta"):
            again = SanaTransformer2DModel(**found.network)
        assert shapes(again.state_dict()) == shapes(state)
        known = {name: value for name, value in full.config.items() if not name.startswith("_")}
        assert {name: again.config[name] for name in known} == known
        assert (found.latent.channels, found.latent.downscale, found.latent.scale) == (32, 32, 0.41407)
    assert shapes(sana_sizes.renamed(original, full.config)) == shapes(state)
    assert [one.name for one in families() if one.fits(shapes(original))] == ["sana"]


@pytest.mark.parametrize(("side", "scale"), [(32, None), (64, 1.0), (128, 2.0)])
def test_networks_of_large_pictures_know_places(side, scale) -> None:
    with torch.device("meta"):
        full = transformer(**LARGE)
    found = detect(shapes(to_original(full.state_dict(), side=side)))
    assert found.network is not None
    assert (found.network["sample_size"], found.network["interpolation_scale"]) == (side, scale)


def test_sana_sprint_is_not_taken() -> None:
    with torch.device("meta"):
        full = transformer(**LARGE, guidance_embeds=True)
    state = shapes(full.state_dict())
    original = shapes(to_original(full.state_dict())) | {"cfg_embedder.mlp.0.weight": (2240, 256)}
    assert [one.name for found in (state, original) for one in families() if one.fits(found)] == []


def test_every_module_with_a_weight_has_a_path_in_the_original_layout() -> None:
    module = transformer()
    named = set(sana_sizes.paths(module.config))
    named |= {ours for parts in sana_sizes.fused(module.config).values() for ours in parts}
    assert named == {name.rpartition(".")[0] for name in module.state_dict() if "table" not in name}


@pytest.mark.parametrize("ways", [("conv", "interpolate"), ("pixel_unshuffle", "pixel_shuffle")])
def test_a_full_size_autoencoder_is_read_off_its_names_and_shapes(ways) -> None:
    widths = (128, 256, 512, 512, 1024, 1024)
    with torch.device("meta"):
        full = autoencoder(
            **{f"{half}_block_out_channels": widths for half in ("encoder", "decoder")},
            encoder_layers_per_block=(2, 2, 2, 3, 3, 3),
            decoder_layers_per_block=(3, 3, 3, 3, 3, 3),
            downsample_block_type=ways[0],
            upsample_block_type=ways[1],
        )
    state = shapes(full.state_dict())
    assert autoencoders.kind_in(state) == "dc"
    kind = autoencoders.kind_named("dc")
    config = kind.config(state, {})
    assert kind.space(config) == (32, 32)
    known = {name: full.config[name] for name in config}
    assert {name: tuple(value) if isinstance(value, list) else value for name, value in config.items()} == {
        name: tuple(value) if isinstance(value, list) else value for name, value in known.items()
    }
