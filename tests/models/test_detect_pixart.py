"""PixArt in full size, by names and shapes alone, in each layout."""

from __future__ import annotations

import pytest
import torch

from engine.models.detect import detect
from engine.models.families import families
from engine.models.networks import pixart_sizes
from tests.models.test_detect import shapes
from tests.tiny_pixart import to_original, transformer

FULL = {"num_attention_heads": 16, "attention_head_dim": 72, "num_layers": 28, "cross_attention_dim": 1152}
FULL |= {"caption_channels": 4096}


@pytest.mark.parametrize(
    ("family", "alpha", "side", "tokens", "layouts"),
    [
        ("pixart_alpha", True, 128, 120, 2),
        ("pixart_alpha", False, 64, 120, 1),
        ("pixart_sigma", False, 128, 300, 2),
        ("pixart_sigma", False, 32, 300, 1),
    ],
)
def test_a_full_size_network_is_read_off_its_names_and_shapes(family, alpha, side, tokens, layouts) -> None:
    """How large it was trained is told by its places, which the library's files lack."""
    from diffusers.models.transformers.pixart_transformer_2d import PixArtTransformer2DModel

    with torch.device("meta"):
        full = transformer(alpha=alpha, **FULL, sample_size=side, interpolation_scale=side / 64)
    state = full.state_dict()
    original = to_original(state, full.config, tokens)
    named = (("", original), ("model.diffusion_model.", original), ("", state))
    for prefix, tensors in named[: 1 + layouts]:
        found = detect({f"{prefix}{name}": shape for name, shape in shapes(tensors).items()})
        assert found.family == family
        assert found.network is not None
        with torch.device("meta"):
            again = PixArtTransformer2DModel(**found.network)
        assert shapes(again.state_dict()) == shapes(state)
        told = {name: value for name, value in full.config.items() if not name.startswith("_")}
        assert {name: again.config[name] for name in told} == told
        assert (found.latent.channels, found.latent.scale) == (4, 0.18215 if family == "pixart_alpha" else 0.13025)
        assert found.parameterization.schedule == "linear"
    assert shapes(pixart_sizes.renamed(original, full.config)) == shapes(state)
    assert [one.name for one in families() if one.fits(shapes(original))] == [family]


def test_networks_that_the_library_has_no_blocks_for_are_not_taken() -> None:
    with torch.device("meta"):
        full = transformer(alpha=False)
    original = shapes(to_original(full.state_dict(), full.config, 300))
    for name in ("blocks.1.attn.sr.weight", "blocks.0.attn.q_norm.weight"):
        assert [one.name for one in families() if one.fits(original | {name: (4, 4)})] == []


def test_every_module_with_a_weight_has_a_path_in_the_original_layout() -> None:
    module = transformer(alpha=True)
    named = set(pixart_sizes.paths(module.config))
    named |= {ours for parts in pixart_sizes.fused(module.config).values() for ours in parts}
    assert named == {name.rpartition(".")[0] for name in module.state_dict() if "table" not in name}
