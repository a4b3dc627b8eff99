"""Anima in full size, by names and shapes alone, in each layout."""

from __future__ import annotations

import torch

from engine.models.detect import detect
from engine.models.families import families
from engine.models.networks import anima_sizes
from engine.models.networks.anima import Anima
from tests.models.test_detect import shapes
from tests.tiny_anima import both, text_conditioner, to_original, transformer

FULL = {"num_attention_heads": 16, "attention_head_dim": 128, "num_layers": 28, "text_embed_dim": 1024}
ADAPTER = {
    "target_dim": 1024,
    "model_dim": 1024,
    "num_layers": 6,
    "num_attention_heads": 16,
    "target_vocab_size": 32128,
}


def test_a_full_size_network_is_read_off_its_names_and_shapes() -> None:
    with torch.device("meta"):
        network = transformer(**FULL, adaln_lora_dim=256)
        adapter = text_conditioner(**ADAPTER)
    tensors = to_original(network.state_dict(), adapter.state_dict())
    original, ours = shapes(tensors), shapes(both(network, adapter))
    for prefix in ("", "net.", "model.diffusion_model."):
        found = detect({f"{prefix}{name}": shape for name, shape in original.items()})
        assert found.family == "anima"
        assert found.network is not None
        with torch.device("meta"):
            again = Anima(**found.network)
        assert shapes(again.state_dict()) == ours
        told = {k: v for k, v in network.config.items() if not k.startswith("_")}
        differing = {
            name for name, value in told.items() if again.transformer.config[name] not in (value, list_of(value))
        }
        assert differing == {"in_channels", "concat_padding_mask"}
        told = {k: v for k, v in adapter.config.items() if not k.startswith("_")}
        assert {name: again.text_conditioner.config[name] for name in told} == told
        assert found.latent.channels == 16
    config = {"transformer": network.config, "text_conditioner": adapter.config}
    assert shapes(anima_sizes.renamed(tensors, config)) == ours
    assert [family.name for family in families() if family.fits(original)] == ["anima"]


def list_of(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value


def test_every_module_with_a_weight_has_a_path_in_the_original_layout() -> None:
    with torch.device("meta"):
        network, adapter = transformer(), text_conditioner()
    paths = anima_sizes.paths({"transformer": network.config, "text_conditioner": adapter.config})
    assert set(paths) == {name.rpartition(".")[0] for name in both(network, adapter)}
    assert paths["transformer.transformer_blocks.1.attn1.to_out.0"] == "blocks.1.self_attn.output_proj"
    assert paths["text_conditioner.blocks.1.cross_attn.q_proj"] == "llm_adapter.blocks.1.cross_attn.q_proj"
