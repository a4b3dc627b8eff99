"""Ovis-Image in full size, by names and shapes alone, in each layout."""

from __future__ import annotations

import torch

from engine.models.detect import detect
from engine.models.families import families
from engine.models.networks import ovis_sizes
from tests.models.test_detect import shapes
from tests.tiny_ovis import ovis_to_original


def test_a_full_size_network_is_read_off_its_names_and_shapes() -> None:
    from diffusers.models.transformers.transformer_ovis_image import OvisImageTransformer2DModel

    with torch.device("meta"):
        full = OvisImageTransformer2DModel()
    state = shapes(full.state_dict())
    whole = ovis_to_original(full.state_dict())
    original = shapes(whole)
    assert original["single_blocks.26.linear1.weight"] == (11 * 3072, 3072)
    assert original["double_blocks.5.txt_mlp.gate_proj.weight"] == (4 * 3072, 3072)
    shorter = {name.removeprefix("semantic_"): shape for name, shape in original.items()}
    for prefix, named in (("", original), ("", state), ("model.diffusion_model.", original), ("", shorter)):
        found = detect({f"{prefix}{name}": shape for name, shape in named.items()})
        assert (found.family, found.network_prefix) == ("ovis_image", prefix)
        assert found.network is not None
        with torch.device("meta"):
            again = OvisImageTransformer2DModel(**found.network)
        assert shapes(again.state_dict()) == state
        told = {name: full.config[name] for name in found.network}
        assert found.network == told | {"axes_dims_rope": list(told["axes_dims_rope"])}
        assert (found.latent.channels, found.latent.scale, found.latent.shift) == (16, 0.3611, 0.1159)
        assert [family.name for family in families() if family.fits(named)] == ["ovis_image"]
    assert shapes(ovis_sizes.renamed(whole, full.config)) == state
