"""Ideogram 4 in full size, by names and shapes alone, in each layout."""

from __future__ import annotations

import torch

from engine.models.detect import detect
from engine.models.families import families
from engine.models.networks import ideogram4_sizes
from tests.models.test_detect import shapes
from tests.tiny_ideogram4 import to_original


def test_a_full_size_network_is_read_off_its_names_and_shapes() -> None:
    from diffusers.models.transformers.transformer_ideogram4 import Ideogram4Transformer2DModel

    with torch.device("meta"):
        module = Ideogram4Transformer2DModel()
    tensors = to_original(module.state_dict())
    original, ours = shapes(tensors), shapes(module.state_dict())
    assert (len(original), len(ours)) == (458, 526)
    for named, prefix in ((original, ""), (ours, ""), (original, "model.diffusion_model.")):
        found = detect({f"{prefix}{name}": shape for name, shape in named.items()})
        assert (found.family, found.network_prefix) == ("ideogram4", prefix)
        assert found.network is not None
        told = {k: tuple(v) if isinstance(v, list) else v for k, v in found.network.items()}
        with torch.device("meta"):
            again = Ideogram4Transformer2DModel(**told)
        assert shapes(again.state_dict()) == ours
        assert {name: again.config[name] for name in told} == told
        assert {name: module.config[name] for name in told} == told
        assert (found.latent.channels, found.latent.downscale) == (128, 16)
    assert shapes(ideogram4_sizes.renamed(tensors, module.config)) == ours
    for named in (original, ours):
        assert [family.name for family in families() if family.fits(named)] == ["ideogram4"]
