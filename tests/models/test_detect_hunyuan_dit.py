"""HunyuanDiT in full size, by names and shapes alone, in each layout; and its text encoders."""

from __future__ import annotations

import pytest
import torch

from engine.models.detect import detect
from engine.models.families import families, family_named
from engine.models.networks import hunyuan_dit_sizes
from engine.models.towers import kind_named, kinds
from tests.models.test_detect import shapes
from tests.tiny_hunyuan_dit import to_original, transformer

FULL = {"num_attention_heads": 16, "attention_head_dim": 88, "hidden_size": 1408, "num_layers": 40}
FULL |= {
    "cross_attention_dim": 1024,
    "cross_attention_dim_t5": 2048,
    "pooled_projection_dim": 1024,
    "mlp_ratio": 4.3637,
}


@pytest.mark.parametrize(("old", "noise"), [(True, 0.03), (False, 0.018)])
def test_a_full_size_network_is_read_off_its_names_and_shapes(old: bool, noise: float) -> None:
    from diffusers.models.transformers.hunyuan_transformer_2d import HunyuanDiT2DModel

    with torch.device("meta"):
        full = transformer(old=old, **FULL)
    state = full.state_dict()
    original = to_original(state, full.config)
    assert original["blocks.39.mlp.fc1.weight"].shape == (6144, 1408)
    for prefix, named in (("", original), ("model.", original), ("model.diffusion_model.", original), ("", state)):
        found = detect({f"{prefix}{name}": shape for name, shape in shapes(named).items()})
        assert (found.family, found.network_prefix) == ("hunyuan_dit", prefix)
        assert found.network is not None
        with torch.device("meta"):
            again = HunyuanDiT2DModel(**found.network)
        assert shapes(again.state_dict()) == shapes(state)
        told = {name: value for name, value in full.config.items() if not name.startswith("_") and name != "mlp_ratio"}
        assert {name: again.config[name] for name in told} == told
        assert (found.latent.channels, found.latent.scale) == (4, 0.13025)
        assert (found.parameterization.prediction, found.parameterization.beta_end) == ("v", noise)
    assert shapes(hunyuan_dit_sizes.renamed(original, full.config)) == shapes(state)
    assert [family.name for family in families() if family.fits(shapes(original))] == ["hunyuan_dit"]


def test_every_module_with_a_weight_has_a_path_in_the_original_layout() -> None:
    module = transformer(old=True)
    named = set(hunyuan_dit_sizes.paths(module.config))
    named |= {ours for parts in hunyuan_dit_sizes.fused(module.config).values() for ours in parts}
    skips = {f"blocks.3.skip_{part}" for part in ("norm", "linear")}  # which have one name
    lone = {"text_embedding_padding", "time_extra_emb.pooler.positional_embedding"}
    assert named | skips == {name.rpartition(".")[0] for name in module.state_dict() if name not in lone}


@pytest.mark.parametrize("prefix", ["", "bert."])
def test_a_full_size_bert_is_read_off_its_names_and_shapes(prefix: str) -> None:
    from transformers import BertConfig, BertModel

    sizes = {"hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16, "intermediate_size": 4096}
    with torch.device("meta"):
        full = BertModel(BertConfig(vocab_size=47020, **sizes))
    found = {f"{prefix}{name}": shape for name, shape in shapes(full.state_dict()).items()}
    assert [kind.TITLE for kind in kinds() if kind.is_there(found)] == ["BERT"]
    kind = kind_named("bert")
    facts = kind.text_facts(found, {}, family_named("hunyuan_dit").towers[0])
    assert facts.config == {name: getattr(full.config, name) for name in facts.config}
    with torch.device("meta"):
        again = kind.build(facts.config).state_dict()
    wanted = {name: value.shape for name, value in full.state_dict().items() if not name.startswith("pooler.")}
    assert {name: value.shape for name, value in again.items()} == wanted
    assert kind.renamed({f"{prefix}{name}": value for name, value in again.items()}, {}).keys() == again.keys()


def test_mt5_is_told_from_t5_by_its_tokens() -> None:
    from transformers import T5Config, T5EncoderModel

    for rows, title in ((250112, "mT5's encoder"), (32128, "T5's encoder")):
        with torch.device("meta"):
            full = T5EncoderModel(T5Config(vocab_size=rows, d_model=16, num_layers=2, feed_forward_proj="gated-gelu"))
        assert [kind.TITLE for kind in kinds() if kind.is_there(shapes(full.state_dict()))] == [title]
