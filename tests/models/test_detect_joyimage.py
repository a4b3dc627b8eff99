"""JoyImage Edit in full size, by names and shapes alone, with the prefix of checkpoints and without."""

from __future__ import annotations

import pytest
import torch

from engine.models.detect import detect
from engine.models.families import families
from tests.models.test_detect import shapes
from tests.tiny_joyimage import plain_transformer, transformer


@pytest.mark.parametrize("prefix", ["", "model.diffusion_model."])
def test_a_full_size_network_is_read_off_its_names_and_shapes(prefix: str) -> None:
    from diffusers.models.transformers.transformer_joyimage_edit_plus import JoyImageEditPlusTransformer3DModel

    with torch.device("meta"):
        module = JoyImageEditPlusTransformer3DModel()
    whole = shapes(module.state_dict())
    found = detect({f"{prefix}{name}": shape for name, shape in whole.items()})
    assert (found.family, found.network_prefix) == ("joyimage", prefix)
    assert found.network is not None
    with torch.device("meta"):
        again = JoyImageEditPlusTransformer3DModel(**found.network)
    assert shapes(again.state_dict()) == whole
    wanted = {name: value for name, value in module.config.items() if not name.startswith("_")}
    assert {name: again.config[name] for name in wanted} == wanted
    assert (found.latent.channels, found.latent.axes) == (16, 3)
    assert [family.name for family in families() if family.fits(whole)] == ["joyimage"]


def test_both_of_the_librarys_networks_have_the_same_tensors() -> None:
    with torch.device("meta"):
        assert shapes(transformer().state_dict()) == shapes(plain_transformer().state_dict())
