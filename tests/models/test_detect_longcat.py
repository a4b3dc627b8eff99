"""LongCat-Image in full size, by names and shapes alone, in each layout."""

from __future__ import annotations

import torch

from engine.models.detect import detect
from engine.models.families import families
from engine.models.networks import longcat_sizes
from tests.models.test_detect import shapes
from tests.models.test_detect_flux import original_shapes
from tests.models.test_detect_flux import transformer as flux


def test_a_full_size_network_is_read_off_its_names_and_shapes() -> None:
    from diffusers.models.transformers.transformer_longcat_image import LongCatImageTransformer2DModel

    with torch.device("meta"):
        full = LongCatImageTransformer2DModel(num_layers=10, num_single_layers=20)
    state = shapes(full.state_dict())
    original = original_shapes(
        flux(num_layers=10, num_single_layers=20, joint_attention_dim=3584, guidance_embeds=False)
    )
    original = {name: shape for name, shape in original.items() if not name.startswith("vector_in.")}
    for prefix, named in (("", original), ("", state), ("model.diffusion_model.", original)):
        found = detect({f"{prefix}{name}": shape for name, shape in named.items()})
        assert (found.family, found.network_prefix) == ("longcat_image", prefix)
        assert found.network is not None
        with torch.device("meta"):
            again = LongCatImageTransformer2DModel(**found.network)
        assert shapes(again.state_dict()) == state
        told = {name: full.config[name] for name in found.network}
        assert found.network == told
        assert (found.latent.channels, found.latent.scale, found.latent.shift) == (16, 0.3611, 0.1159)
        assert [family.name for family in families() if family.fits(named)] == ["longcat_image"]
    with torch.device("meta"):
        tensors = {name: torch.empty(shape) for name, shape in original.items()}
    assert shapes(longcat_sizes.renamed(tensors, full.config)) == state
