"""Krea 2 in full size, by names and shapes alone, in each layout."""

from __future__ import annotations

import torch

from engine.models.detect import detect
from engine.models.families import families
from engine.models.networks import krea2_sizes
from tests.models.test_detect import shapes
from tests.tiny_krea2 import to_original


def test_a_full_size_network_is_read_off_its_names_and_shapes() -> None:
    from diffusers.models.transformers.transformer_krea2 import Krea2Transformer2DModel

    with torch.device("meta"):
        module = Krea2Transformer2DModel()
    tensors = to_original(module.state_dict())
    original, ours = shapes(tensors), shapes(module.state_dict())
    assert len(original) == len(ours) == 430
    for named, prefix in ((original, ""), (ours, ""), (original, "model.diffusion_model.")):
        found = detect({f"{prefix}{name}": shape for name, shape in named.items()})
        assert (found.family, found.network_prefix) == ("krea2", prefix)
        assert found.network is not None
        with torch.device("meta"):
            again = Krea2Transformer2DModel(
                **{k: tuple(v) if isinstance(v, list) else v for k, v in found.network.items()}
            )
        assert shapes(again.state_dict()) == ours
        told = {name: value for name, value in module.config.items() if not name.startswith("_")}
        assert {name: again.config[name] for name in told} == told
        assert found.latent.channels == 16
    assert shapes(krea2_sizes.renamed(tensors, module.config)) == ours
    for named in (original, ours):
        assert [family.name for family in families() if family.fits(named)] == ["krea2"]


def test_every_module_with_a_weight_has_a_path_in_the_original_layout() -> None:
    from diffusers.models.transformers.transformer_krea2 import Krea2Transformer2DModel

    with torch.device("meta"):
        module = Krea2Transformer2DModel(num_layers=2)
    paths = krea2_sizes.paths(module.config)
    assert set(paths) == {name.rpartition(".")[0] for name in module.state_dict() if not name.endswith("_table")}
    assert paths["text_fusion.refiner_blocks.1.attn.to_out.0"] == "txtfusion.refiner_blocks.1.attn.wo"
    assert paths["transformer_blocks.1.ff.gate"] == "blocks.1.mlp.gate"
