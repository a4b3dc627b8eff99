"""FLUX.3 klein in full size, by names and shapes alone, in each layout."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from engine.models.detect import detect
from engine.models.families import families, family_named
from engine.models.networks import flux3_sizes
from tests.models.test_detect import shapes
from tests.tiny_flux3 import to_original


@pytest.mark.parametrize("flow_map", [False, True])
def test_a_full_size_network_is_read_off_its_names_and_shapes(flow_map: bool) -> None:
    from diffusers.loaders.single_file_utils import convert_flux3_transformer_checkpoint_to_diffusers as convert
    from diffusers.models.transformers.transformer_flux3 import Flux3Transformer2DModel

    with torch.device("meta"):
        module = Flux3Transformer2DModel(flow_map=flow_map)
    state: dict[str, Any] = module.state_dict()
    original = to_original(state, module.config)
    assert shapes(convert(dict(original))) == shapes(state), "the library knows these names"
    for given in (original, {f"model.diffusion_model.{n}": v for n, v in original.items()}, state):
        found = detect(shapes(given))
        assert found.family == "flux3"
        assert found.network is not None
        told = {name: value for name, value in module.config.items() if not name.startswith("_")}
        assert {n: found.network.get(n, told[n]) for n in told} == told | {"axes_dims_rope": [32] * 4}
        assert (found.latent.channels, found.latent.downscale) == (128, 16)
    assert shapes(flux3_sizes.renamed(original, module.config)) == shapes(state)
    for given in (original, state):
        assert [one.name for one in families() if one.fits(shapes(given))] == ["flux3"]
    [tower] = family_named("flux3").towers
    assert tower.width * len(tower.prompting.layers) == module.config.joint_attention_dim
