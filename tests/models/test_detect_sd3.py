"""Stable Diffusion 3 and 3.5 in full size, by names and shapes alone, in each layout."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from engine.models.detect import detect
from engine.models.families import families
from engine.models.networks import sd3_sizes
from tests.families import sd3_to_original
from tests.models.test_detect import shapes

MEDIUM = {"num_layers": 24, "num_attention_heads": 24, "caption_projection_dim": 1536, "pos_embed_max_size": 192}
KINDS = {
    "3 medium": MEDIUM,
    "3.5 medium": MEDIUM
    | {"pos_embed_max_size": 384, "dual_attention_layers": tuple(range(13)), "qk_norm": "rms_norm"},
    "3.5 large": {
        "num_layers": 38,
        "num_attention_heads": 38,
        "caption_projection_dim": 2432,
        "pos_embed_max_size": 192,
        "qk_norm": "rms_norm",
    },
}


def transformer(**told: Any) -> Any:
    from diffusers.models.transformers.transformer_sd3 import SD3Transformer2DModel

    sizes = {"in_channels": 16, "out_channels": 16, "attention_head_dim": 64, "joint_attention_dim": 4096}
    with torch.device("meta"):
        return SD3Transformer2DModel(**(sizes | {"pooled_projection_dim": 2048} | told))


@pytest.mark.parametrize("kind", KINDS)
def test_a_full_size_network_is_read_off_its_names_and_shapes(kind: str) -> None:
    module = transformer(**KINDS[kind])
    original = sd3_to_original(module.state_dict(), module.config)
    for state in (
        original,
        module.state_dict(),
        {f"model.diffusion_model.{name}": value for name, value in original.items()},
    ):
        found = detect(shapes(state))
        assert (found.family, found.latent.channels, found.latent.scale) == ("sd3", 16, 1.5305)
        assert found.network is not None
        again = transformer(**{k: tuple(v) if isinstance(v, list) else v for k, v in found.network.items()})
        assert shapes(again.state_dict()) == shapes(module.state_dict())
    assert shapes(sd3_sizes.renamed(original, module.config)) == shapes(module.state_dict())
    assert [family.name for family in families() if family.fits(shapes(original))] == ["sd3"]
