"""HiDream in full size, by names and shapes alone."""

from __future__ import annotations

import torch

from engine.models.detect import detect
from engine.models.families import families
from tests.models.test_detect import shapes

PUBLISHED = {
    "patch_size": 2,
    "in_channels": 16,
    "out_channels": 16,
    "num_layers": 16,
    "num_single_layers": 32,
    "attention_head_dim": 128,
    "num_attention_heads": 20,
    "caption_channels": [4096, 4096],
    "text_emb_dim": 2048,
    "num_routed_experts": 4,
    "num_activated_experts": 2,
    "axes_dims_rope": [64, 32, 32],
    "llama_layers": [*range(32), *[31] * 16],
}


def test_a_full_size_network_is_read_off_its_names_and_shapes() -> None:
    from diffusers.models.transformers.transformer_hidream_image import HiDreamImageTransformer2DModel

    with torch.device("meta"):
        full = HiDreamImageTransformer2DModel(**PUBLISHED)
    named = shapes(full.state_dict())
    for prefix in ("", "model.diffusion_model."):
        found = detect({f"{prefix}{name}": shape for name, shape in named.items()})
        assert (found.family, found.network_prefix, found.network) == ("hidream", prefix, PUBLISHED)
        assert (found.latent.channels, found.latent.scale, found.latent.shift) == (16, 0.3611, 0.1159)
        assert (found.parameterization.prediction, found.parameterization.shift) == ("flow", 3.0)
    assert [family.name for family in families() if family.fits(named)] == ["hidream"]
