"""Cosmos Predict 2 in full size, by names and shapes alone, in each layout; networks for videos are not taken for it."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from engine.models.detect import detect
from engine.models.families import families
from engine.models.networks import cosmos, cosmos_sizes
from tests.models.test_detect import shapes
from tests.tiny_anima import to_original, transformer


def full(heads: int, layers: int, in_channels: int = 16) -> Any:
    """As github.com/huggingface/diffusers has it in its script."""
    told = {"num_attention_heads": heads, "attention_head_dim": 128, "num_layers": layers, "text_embed_dim": 1024}
    with torch.device("meta"):
        return transformer(**told, in_channels=in_channels, adaln_lora_dim=256, concat_padding_mask=True)


@pytest.mark.parametrize(("heads", "layers"), [(16, 28), (40, 36)])
def test_a_full_size_network_is_read_off_its_names_and_shapes(heads: int, layers: int) -> None:
    network = full(heads, layers)
    state = network.state_dict()
    original = to_original(state, {})
    for prefix, named in (("", original), ("net.", original), ("model.diffusion_model.", original), ("", state)):
        found = detect({f"{prefix}{name}": shape for name, shape in shapes(named).items()})
        assert found.family == "cosmos_predict2"
        assert found.network is not None
        with torch.device("meta"):
            again = cosmos.transformer(**found.network)
        assert shapes(again.state_dict()) == shapes(state)
        told = {k: v for k, v in network.config.items() if not k.startswith("_")}
        assert {
            name for name, value in told.items() if found.network.get(name, value) not in (value, list_of(value))
        } == set()
        assert (found.parameterization.schedule, found.parameterization.sigma_max) == ("share_time", 80.0)
    assert shapes(cosmos_sizes.renamed(original, network.config)) == shapes(state)
    assert [family.name for family in families() if family.fits(shapes(original))] == ["cosmos_predict2"]


def test_a_network_for_videos_is_none_of_pictures() -> None:
    state = full(16, 28, in_channels=17).state_dict()
    for named in (state, to_original(state, {})):
        assert [family.name for family in families() if family.fits(shapes(named))] == []


def list_of(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value


def test_every_module_with_a_weight_has_a_path_in_the_original_layout() -> None:
    network = full(2, 2)
    paths = cosmos_sizes.transformer_paths(network.config)
    assert set(paths) == {name.rpartition(".")[0] for name in network.state_dict()}
    assert paths["transformer_blocks.1.attn1.to_out.0"] == "blocks.1.self_attn.output_proj"
