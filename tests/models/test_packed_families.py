"""The networks of families in files with packed weights: what their layouts split, swap and turn stays packed, and is the same."""

from __future__ import annotations

import importlib

import pytest
import torch

from engine.models import weights
from engine.models.manager import ModelManager
from engine.models.packed.tensor import PackedTensor
from tests.tiny_packed import fp8, grouped, int8, write_both

WRITTEN = {
    "auraflow": "write_auraflow",
    "ernie_image": "write",
    "fibo2": "write",
    "ideogram4": "write",
    "joyimage": "write",
    "krea2": "write",
    "longcat": "write_longcat",
    "lumina2": "write_lumina2",
    "ovis": "write_ovis",
    "qwen_image": "write_qwen_image",
    "qwen_image21": "write_qwen_image21",
    "z_image": "write_z_image",
}


@pytest.mark.parametrize("family", WRITTEN)
def test_every_parameter_is_what_it_is_from_unpacked_weights(family, tmp_path):
    getattr(importlib.import_module(f"tests.tiny_{family}"), WRITTEN[family])(tmp_path)
    manager = ModelManager()
    source = next(iter(sorted((tmp_path / "models" / "diffusion_models").glob("*.safetensors"))))
    paths = write_both(source, fp8("weight_scale", rows=True), {"format": "float8_e4m3fn"})
    found, expected = (
        weights.load_parameters(manager.denoiser(path), device=torch.device("cpu"), dtype=torch.float32)
        for path in paths
    )
    for name, value in expected.items():
        assert torch.equal(found[name], value), name
    kept = [name for name, value in found.items() if isinstance(value, PackedTensor)]
    matrices = [name for name, value in found.items() if value.ndim == 2]
    assert len(kept) >= 0.7 * len(matrices), set(matrices) - set(kept)
    assert sum(found[name].nbytes for name in kept) < 0.5 * sum(expected[name].nbytes for name in kept)


ENCODERS = {
    "z_image": "lumina2",
    "lumina2": "lumina2",
    "qwen_image": "qwen_image",
    "ernie_image": "flux2",
    "krea2": "krea2",
}
"""And what loaders of their text encoders call the family."""


ROTATED = int8(group=4), {"format": "int8_tensorwise", "convrot": True, "convrot_groupsize": 4}
HALVED = grouped(), {"format": "w4a8_int8", "convrot_groupsize": 4}
"""Whose shapes in files are not those of the weights."""


@pytest.mark.parametrize("family", ENCODERS)
@pytest.mark.parametrize("way", [ROTATED, HALVED], ids=["rotated", "halved"])
def test_text_encoders_are_packed_with_rotation(family, way, tmp_path):
    getattr(importlib.import_module(f"tests.tiny_{family}"), WRITTEN[family])(tmp_path)
    manager = ModelManager()
    source = next(iter(sorted((tmp_path / "models" / "text_encoders").glob("*.safetensors"))))
    paths = write_both(source, *way, tables=True)
    found, expected = (
        weights.load_parameters(
            manager.text_encoders([path], ENCODERS[family]), device=torch.device("cpu"), dtype=torch.float32
        )
        for path in paths
    )
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert torch.equal(found[name], value), name
    tables = [name for name in found if "embed_tokens" in name]
    assert way is HALVED or all(isinstance(found[name], PackedTensor) for name in tables)
    rows = torch.tensor([[1, 0], [2, 2]])
    for name in tables:
        looked_up = torch.nn.functional.embedding(rows, found[name])
        assert torch.equal(looked_up, torch.nn.functional.embedding(rows, expected[name]))
