"""Fibo 2 in full size, by names and shapes alone, with the prefix of checkpoints and without."""

from __future__ import annotations

import pytest
import torch

from engine.models.detect import detect
from engine.models.families import families
from tests.models.test_detect import shapes


@pytest.mark.parametrize("prefix", ["", "model.diffusion_model."])
def test_a_full_size_network_is_read_off_its_names_and_shapes(prefix: str) -> None:
    from diffusers.models.transformers.transformer_bria_fibo2 import BriaFibo2Transformer2DModel

    with torch.device("meta"):
        module = BriaFibo2Transformer2DModel()
    whole = shapes(module.state_dict())
    found = detect({f"{prefix}{name}": shape for name, shape in whole.items()})
    assert (found.family, found.network_prefix) == ("fibo2", prefix)
    assert found.network is not None
    told = {k: tuple(v) if isinstance(v, list) else v for k, v in found.network.items()}
    with torch.device("meta"):
        again = BriaFibo2Transformer2DModel(**told)
    assert shapes(again.state_dict()) == whole
    wanted = {name: value for name, value in module.config.items() if not name.startswith("_")}
    assert {name: again.config[name] for name in wanted} == wanted
    assert (found.latent.channels, found.latent.downscale) == (128, 16)
    assert [family.name for family in families() if family.fits(whole)] == ["fibo2"]
