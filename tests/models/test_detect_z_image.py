"""Z-Image in full size, by names and shapes alone, in each layout; its names are those of the library's converter."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from engine.models.detect import detect
from engine.models.families import families
from engine.models.networks import z_image_sizes
from tests.models.test_detect import shapes
from tests.tiny_z_image import z_to_original, z_transformer


@pytest.fixture(scope="module")
def full() -> Any:
    from diffusers.models.transformers.transformer_z_image import ZImageTransformer2DModel

    with torch.device("meta"):
        return ZImageTransformer2DModel()


def test_a_full_size_network_is_read_off_its_names_and_shapes(full: Any) -> None:
    state = full.state_dict()
    original = z_to_original(state) | {"norm_final.weight": torch.empty(3840, device="meta")}
    assert original["layers.29.attention.qkv.weight"].shape == (11520, 3840)
    assert len(original) == 454
    for named in (original, state, {f"model.diffusion_model.{name}": value for name, value in original.items()}):
        found = detect(shapes(named))
        assert found.family == "z_image"
        assert found.network is not None
        with torch.device("meta"):
            again = type(full)(**found.network)
        assert shapes(again.state_dict()) == shapes(state)
        told = {name: value for name, value in full.config.items() if not name.startswith("_")}
        assert {name: again.config[name] for name in told} == told | {"axes_lens": [4096, 1024, 1024]}
        assert (found.latent.channels, found.latent.scale, found.latent.shift) == (16, 0.3611, 0.1159)
        assert (found.parameterization.prediction, found.parameterization.shift) == ("flow", 3.0)
        bare = {name.removeprefix("model.diffusion_model."): value for name, value in named.items()}
        assert [family.name for family in families() if family.fits(shapes(bare))] == ["z_image"]


def test_names_are_those_of_the_librarys_converter(full: Any) -> None:
    from diffusers.loaders.single_file_utils import convert_z_image_transformer_checkpoint_to_diffusers as convert

    module = z_transformer()
    original = z_to_original(module.state_dict()) | {"norm_final.weight": torch.ones(64)}
    wanted = convert(dict(original))
    config = dict(module.config)
    got = z_image_sizes.renamed(original, config)
    assert got.keys() == wanted.keys() == module.state_dict().keys()
    assert all(torch.equal(value, wanted[name]) for name, value in got.items())
    whole = z_to_original(full.state_dict())
    assert shapes(z_image_sizes.renamed(whole, full.config)) == shapes(convert(dict(whole)))


def test_omnis_network_is_told_by_the_encoder_that_it_also_sees_pictures_through() -> None:
    from diffusers.models.transformers.transformer_z_image import ZImageTransformer2DModel

    with torch.device("meta"):
        omni = ZImageTransformer2DModel(siglip_feat_dim=1152)
    state = omni.state_dict()
    for named in (z_to_original(state), state):
        found = detect({f"model.diffusion_model.{name}": shape for name, shape in shapes(named).items()})
        assert found.family == "z_image"
        assert found.network is not None
        assert found.network["siglip_feat_dim"] == 1152
        with torch.device("meta"):
            assert shapes(ZImageTransformer2DModel(**found.network).state_dict()) == shapes(state)
        assert shapes(z_image_sizes.renamed(named, omni.config)) == shapes(state)


def test_its_image_encoder_in_full_size_is_read_off_its_names_and_shapes() -> None:
    from transformers import Siglip2VisionConfig, Siglip2VisionModel

    from engine.models.vision_facts import SIGLIP2, siglip2_config, vision_kind

    sizes = {"hidden_size": 1152, "intermediate_size": 4304, "num_hidden_layers": 27, "num_attention_heads": 16}
    with torch.device("meta"):
        full = Siglip2VisionModel(Siglip2VisionConfig(**sizes, patch_size=16, num_patches=256))
    found = {f"vision_model.{name}": shape for name, shape in shapes(full.state_dict()).items()}
    assert vision_kind(found) == SIGLIP2
    config = siglip2_config(found, {})
    assert config == {name: getattr(full.config, name) for name in config}
