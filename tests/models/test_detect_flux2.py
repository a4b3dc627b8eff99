"""FLUX.2 in full size, by names and shapes alone, in each layout."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from engine.models.detect import detect
from engine.models.families import families, family_named
from engine.models.networks import flux2_sizes
from tests.models.test_detect import shapes
from tests.tiny_flux2 import to_original

SIZES = {
    "dev": {},
    "klein 4B": {
        "num_layers": 5,
        "num_single_layers": 20,
        "num_attention_heads": 24,
        "joint_attention_dim": 7680,
        "guidance_embeds": False,
    },
    "klein 9B": {
        "num_layers": 8,
        "num_single_layers": 24,
        "num_attention_heads": 32,
        "joint_attention_dim": 12288,
        "guidance_embeds": False,
    },
}


def transformer(**told: Any) -> Any:
    from diffusers.models.transformers.transformer_flux2 import Flux2Transformer2DModel

    with torch.device("meta"):
        return Flux2Transformer2DModel(**told)


@pytest.mark.parametrize("size", SIZES)
def test_a_full_size_network_is_read_off_its_names_and_shapes(size: str) -> None:
    module = transformer(**SIZES[size])
    original = to_original(module.state_dict(), module.config)
    named = shapes(original)
    assert named["double_blocks.0.img_attn.qkv.weight"] == (3 * named["img_in.weight"][0], named["img_in.weight"][0])
    assert "final_layer.adaLN_modulation.1.weight" in named
    prefixed = {f"model.diffusion_model.{name}": shape for name, shape in named.items()}
    family = {"dev": "flux2", "klein 4B": "flux2_klein", "klein 9B": "flux2_klein_9b"}[size]
    assert family_named(family).context_dim == module.config.joint_attention_dim
    [tower] = family_named(family).towers
    assert tower.width * len(tower.prompting.layers) == module.config.joint_attention_dim
    for given in (named, shapes(module.state_dict()), prefixed):
        found = detect(given)
        assert found.family == family
        assert found.network is not None
        told = {name: value for name, value in module.config.items() if not name.startswith("_")}
        assert {name: found.network.get(name, told[name]) for name in told} == told | {
            "out_channels": 128,
            "axes_dims_rope": [32] * 4,
        }
        assert (found.latent.channels, found.latent.downscale, found.latent.scale) == (128, 16, 1.0)
    assert shapes(flux2_sizes.renamed(original, module.config)) == shapes(module.state_dict())
    assert [one.name for one in families() if one.fits(named)] == [family]


def test_the_converter_of_the_library_gives_what_our_map_of_names_gives() -> None:
    from diffusers.loaders.single_file_utils import convert_flux2_transformer_checkpoint_to_diffusers as convert

    from tests.tiny_flux2 import transformer as tiny

    module = tiny(guidance=True)
    original = to_original(module.state_dict(), module.config)
    converted, ours = convert(dict(original)), flux2_sizes.renamed(original, module.config)
    assert ours.keys() == converted.keys() == module.state_dict().keys()
    for name, value in module.state_dict().items():
        assert torch.equal(ours[name], value)
        assert torch.equal(converted[name], value)


@pytest.mark.parametrize("decoder", [None, (96, 192, 384, 384)])
def test_its_autoencoder_is_known_by_its_statistics(decoder: tuple[int, ...] | None) -> None:
    from diffusers.models.autoencoders.autoencoder_kl_flux2 import AutoencoderKLFlux2

    from engine.models.autoencoders import flux2, kind_in, kind_named, kinds
    from tests.tiny_flux2 import autoencoder_to_original

    def made(**told: Any) -> Any:
        with torch.device("meta"):
            return AutoencoderKLFlux2(**told)

    module = made(decoder_block_out_channels=decoder)
    original = autoencoder_to_original(module.state_dict(), module.config)
    assert "decoder.post_quant_conv.weight" in original
    for given in (original, module.state_dict()):
        named = shapes(given)
        assert kind_in(named) == "flux2"
        assert [kind for kind in kinds() if kind_named(kind).is_there(named)] == ["flux2"]
        config = flux2.config(named, {})
        assert flux2.space(config) == (128, 16)
        assert shapes(made(**config).state_dict()) == shapes(module.state_dict())
        assert shapes(flux2.renamed(given, config)) == shapes(module.state_dict())
        without = {name: value for name, value in given.items() if name != "bn.num_batches_tracked"}
        assert shapes(flux2.renamed(without, config)) == shapes(module.state_dict())
    found = detect({f"vae.{name}": shape for name, shape in shapes(original).items()})
    assert (found.vae_kind, found.latent.channels, found.latent.downscale) == ("flux2", 128, 16)
