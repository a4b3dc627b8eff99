"""Lumina 2 in full size, by names and shapes alone, in each layout; its names are those of the library's converter."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from engine.models.detect import detect
from engine.models.errors import CheckpointError
from engine.models.families import families
from engine.models.networks import lumina2_sizes
from tests.models.test_detect import shapes
from tests.tiny_lumina2 import lumina_to_original, lumina_transformer


@pytest.fixture(scope="module")
def full() -> Any:
    from diffusers.models.transformers.transformer_lumina2 import Lumina2Transformer2DModel

    with torch.device("meta"):
        return Lumina2Transformer2DModel(cap_feat_dim=2304)


def test_a_full_size_network_is_read_off_its_names_and_shapes(full: Any) -> None:
    state = full.state_dict()
    original = lumina_to_original(state)
    assert original["layers.25.attention.qkv.weight"].shape == (3840, 2304)
    for named in (original, state, {f"model.diffusion_model.{name}": value for name, value in original.items()}):
        found = detect(shapes(named))
        assert found.family == "lumina2"
        assert found.network is not None
        with torch.device("meta"):
            again = type(full)(**found.network)
        assert shapes(again.state_dict()) == shapes(state)
        told = {name: value for name, value in full.config.items() if not name.startswith("_")}
        told |= {"axes_lens": [4096, 1024, 1024], "axes_dim_rope": [32, 32, 32], "out_channels": 16}
        assert {name: again.config[name] for name in told} == told
        assert (found.latent.channels, found.latent.scale, found.latent.shift) == (16, 0.3611, 0.1159)
        assert (found.parameterization.prediction, found.parameterization.shift) == ("flow", 6.0)
        bare = {name.removeprefix("model.diffusion_model."): value for name, value in named.items()}
        assert [family.name for family in families() if family.fits(shapes(bare))] == ["lumina2"]


def test_names_are_those_of_the_librarys_converter(full: Any) -> None:
    from diffusers.loaders.single_file_utils import convert_lumina2_to_diffusers as convert

    original = lumina_to_original(full.state_dict())
    numbered = {name: torch.full(value.shape[:1], number) for number, (name, value) in enumerate(original.items())}
    wanted = convert(dict(numbered))
    got = lumina2_sizes.renamed(numbered, full.config)
    assert got.keys() == wanted.keys() == full.state_dict().keys()
    assert all(torch.equal(value, wanted[name]) for name, value in got.items())


def test_sizes_that_are_not_the_published_ones_are_read_off_too() -> None:
    for inner in ({"multiple_of": 40}, {"multiple_of": 256}, {"multiple_of": 8, "ffn_dim_multiplier": 0.61}):
        module = lumina_transformer(**inner)
        for state in (module.state_dict(), lumina_to_original(module.state_dict())):
            found = detect(shapes(state)).network
            assert found is not None
            assert shapes(type(module)(**found).state_dict()) == shapes(module.state_dict())


def test_a_network_under_a_pooled_text_is_refused(full: Any) -> None:
    named = shapes(lumina_to_original(full.state_dict())) | {"clip_text_pooled_proj.0.weight": (1024,)}
    with pytest.raises(CheckpointError, match="does not know"):
        detect({f"model.diffusion_model.{name}": shape for name, shape in named.items()})
