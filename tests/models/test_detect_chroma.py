"""Chroma in full size, by names and shapes alone, in each layout."""

from __future__ import annotations

from typing import Any

import torch

from engine.models.detect import detect
from engine.models.families import families
from engine.models.networks import chroma_sizes
from tests.models.test_detect import shapes
from tests.tiny_chroma import to_original


def transformer(**told: Any) -> Any:
    from diffusers.models.transformers.transformer_chroma import ChromaTransformer2DModel

    with torch.device("meta"):
        return ChromaTransformer2DModel(**told)


def test_a_full_size_network_is_read_off_its_names_and_shapes() -> None:
    from diffusers.loaders.single_file_utils import convert_chroma_transformer_checkpoint_to_diffusers as convert

    module = transformer()
    original = to_original(module.state_dict(), module.config)
    assert shapes(convert(dict(original))) == shapes(module.state_dict()), "the library knows these names"
    for given in (original, {f"model.diffusion_model.{n}": v for n, v in original.items()}, module.state_dict()):
        found = detect(shapes(given))
        assert found.family == "chroma"
        assert found.network is not None
        told = {name: value for name, value in module.config.items() if not name.startswith("_")}
        wanted = told | {"out_channels": 64, "axes_dims_rope": [16, 56, 56]}
        assert {name: found.network.get(name, told[name]) for name in told} == wanted
        assert (found.latent.channels, found.latent.scale, found.latent.shift) == (16, 0.3611, 0.1159)
    assert shapes(chroma_sizes.renamed(original, module.config)) == shapes(module.state_dict())
    for given in (original, module.state_dict()):
        assert [one.name for one in families() if one.fits(shapes(given))] == ["chroma"]
