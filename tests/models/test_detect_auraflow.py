"""AuraFlow in full size, by names and shapes alone, in each layout; its names are those of the library's converter."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from engine.models.detect import detect
from engine.models.families import families
from engine.models.networks import auraflow_sizes
from tests.models.test_detect import shapes
from tests.tiny_auraflow import aura_to_original, aura_transformer


@pytest.mark.parametrize("places", [4096, 9216])
def test_a_full_size_network_is_read_off_its_names_and_shapes(places: int) -> None:
    """AuraFlow 0.2 knows places for 1024 pixels a side, 0.3 for 1536."""
    from diffusers.models.transformers.auraflow_transformer_2d import AuraFlowTransformer2DModel

    with torch.device("meta"):
        full = AuraFlowTransformer2DModel(pos_embed_max_size=places)
    state = full.state_dict()
    original = aura_to_original(state)
    assert original["single_layers.31.attn.w1q.weight"].shape == (3072, 3072)
    for prefix, named in (("", original), ("", state), ("model.diffusion_model.", original), ("model.", original)):
        found = detect({f"{prefix}{name}": shape for name, shape in shapes(named).items()})
        assert (found.family, found.network_prefix) == ("auraflow", prefix)
        assert found.network is not None
        with torch.device("meta"):
            again = AuraFlowTransformer2DModel(**found.network)
        assert shapes(again.state_dict()) == shapes(state)
        told = {name: value for name, value in full.config.items() if not name.startswith("_")}
        assert {name: again.config[name] for name in told} == told
        assert (found.latent.channels, found.latent.scale) == (4, 0.13025)
        assert (found.parameterization.prediction, found.parameterization.shift) == ("flow", 1.73)
        assert [family.name for family in families() if family.fits(shapes(named))] == ["auraflow"]


def test_names_are_those_of_the_librarys_converter() -> None:
    from diffusers.loaders.single_file_utils import convert_auraflow_transformer_checkpoint_to_diffusers as convert

    module: Any = aura_transformer()
    original = aura_to_original(module.state_dict())
    wanted = convert(dict(original))
    got = auraflow_sizes.renamed(original, module.config)
    assert got.keys() == wanted.keys() == module.state_dict().keys()
    assert all(torch.equal(value, wanted[name]) for name, value in got.items())
