"""ERNIE-Image in full size, by names and shapes alone, with the prefix of checkpoints and without."""

from __future__ import annotations

import pytest
import torch

from engine.models.detect import detect
from engine.models.families import families
from tests.models.test_detect import shapes
from tests.tiny_ernie_image import transformer

SIZES = {
    "hidden_size": 4096,
    "num_attention_heads": 32,
    "num_layers": 36,
    "ffn_hidden_size": 12288,
    "rope_axes_dim": (32, 48, 48),
}


@pytest.mark.parametrize("text", [3072, 4096])
@pytest.mark.parametrize("prefix", ["", "model.diffusion_model."])
def test_a_full_size_network_is_read_off_its_names_and_shapes(text: int, prefix: str) -> None:
    with torch.device("meta"):
        module = transformer(**SIZES, text_in_dim=text)
    whole = shapes(module.state_dict())
    assert ("text_proj.weight" in whole) == (text == 3072)
    found = detect({f"{prefix}{name}": shape for name, shape in whole.items()})
    assert (found.family, found.network_prefix) == ("ernie_image", prefix)
    assert found.network is not None
    with torch.device("meta"):
        again = transformer(**{k: tuple(v) if isinstance(v, list) else v for k, v in found.network.items()})
    assert shapes(again.state_dict()) == whole
    told = {name: value for name, value in module.config.items() if not name.startswith("_")}
    assert {name: again.config[name] for name in told} == told
    assert (found.latent.channels, found.latent.downscale, found.latent.scale) == (128, 16, 1.0)
    assert [family.name for family in families() if family.fits(whole)] == ["ernie_image"]
