"""Kandinsky 5 for pictures in full size, by names and shapes alone, with the prefix of checkpoints and without."""

from __future__ import annotations

import pytest
import torch

from engine.models.detect import detect
from engine.models.errors import CheckpointError
from engine.models.families import families
from tests.models.test_detect import shapes
from tests.tiny_kandinsky5 import transformer

FULL = {
    "in_text_dim": 3584,
    "in_text_dim2": 768,
    "time_dim": 512,
    "model_dim": 2560,
    "ff_dim": 10240,
    "num_text_blocks": 2,
    "num_visual_blocks": 50,
}


@pytest.mark.parametrize("prefix", ["", "model.diffusion_model."])
@pytest.mark.parametrize("axes", [(16, 24, 24), (32, 48, 48)])
def test_a_full_size_network_is_read_off_its_names_and_shapes(prefix: str, axes: tuple[int, ...]) -> None:
    with torch.device("meta"):
        module = transformer(**FULL, axes_dims=axes)
    whole = shapes(module.state_dict())
    found = detect({f"{prefix}{name}": shape for name, shape in whole.items()})
    assert (found.family, found.network_prefix) == ("kandinsky5_image", prefix)
    assert found.network is not None
    told = {k: tuple(v) if isinstance(v, list) else v for k, v in found.network.items()}
    with torch.device("meta"):
        again = transformer(**told)
    assert shapes(again.state_dict()) == whole
    wanted = {name: value for name, value in module.config.items() if not name.startswith("_")}
    assert {name: again.config[name] for name in wanted} == wanted
    assert (found.latent.channels, found.latent.downscale) == (16, 8)
    assert (found.latent.scale, found.latent.shift) == (0.3611, 0.0)
    assert [family.name for family in families() if family.fits(whole)] == ["kandinsky5_image"]


def test_a_network_for_videos_is_not_taken_for_one_for_pictures() -> None:
    with torch.device("meta"):
        module = transformer(visual_cond=True)
    named = {f"model.diffusion_model.{name}": shape for name, shape in shapes(module.state_dict()).items()}
    with pytest.raises(CheckpointError, match="does not know"):
        detect(named)
