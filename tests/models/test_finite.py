"""Files with NaN among their weights are refused before anything is computed."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import save_file

from engine.models.checkpoints import load_tensors, read_header
from engine.models.errors import CheckpointError
from engine.models.finite import are_finite, is_finite
from engine.models.manager import ModelManager


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16", "float8_e4m3fn", "float8_e5m2"])
@pytest.mark.parametrize("size", [3, 8, 1003])
def test_one_number_among_many_is_found_wherever_it_is(dtype, size):
    kind = getattr(torch, dtype)
    plain = torch.full((size,), 440.0)
    assert is_finite(plain.to(kind))
    assert is_finite((-plain).to(kind))
    for place in {0, size // 2, size - 1}:
        for value in (float("nan"), -float("nan")):
            broken = plain.clone()
            broken[place] = value
            assert not is_finite(broken.to(kind)), (place, value)
            assert is_finite(broken.to(kind)[place + 1 :])


def test_sums_that_overflow_are_no_alarm():
    assert is_finite(torch.full((1000,), 60000.0, dtype=torch.float16))
    assert not is_finite(torch.tensor([1.0, float("inf")], dtype=torch.float16))
    assert is_finite(torch.tensor([1, 2]))


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16", "float8_e4m3fn"])
def test_one_number_among_many_tensors_is_found(dtype):
    kind = getattr(torch, dtype)
    tensors = [torch.full((5,), 440.0).to(kind) for _ in range(3)]
    many = [torch.full((1000,), 60000.0, dtype=torch.float16), torch.tensor([1, 2]), *tensors]
    assert are_finite(many)
    assert are_finite([])
    tensors[1][4] = float("nan")
    assert not are_finite(many)


@pytest.mark.parametrize("way", ["plain", "fp8", "a factor"])
def test_a_model_with_nan_says_which_tensors_before_it_is_used(tiny_sd, tmp_path, way):
    source = tiny_sd.file("checkpoints", "tiny.safetensors")
    tensors = load_tensors(source)
    name = "model.diffusion_model.input_blocks.1.1.proj_in.weight"
    tensors[name] = tensors[name].clone()
    tensors[name][3, 2] = float("nan")
    if way != "plain":
        tensors[name] = tensors[name].to(torch.float8_e4m3fn)
    if way == "a factor":
        tensors[name] = torch.ones(tensors[name].shape).to(torch.float8_e4m3fn)
        tensors[name.replace(".weight", ".scale_weight")] = torch.tensor(float("nan"))
    save_file(tensors, tmp_path / "x.safetensors", read_header(source).metadata)
    manager = ModelManager()
    model, _, vae = manager.checkpoint(tmp_path / "x.safetensors")
    said = r"1 tensors of its U-Net hold NaN or infinity \(down_blocks\.0\.attentions\.0\.proj_in\.weight\)"
    with pytest.raises(CheckpointError, match=said):
        manager.use(model).__enter__()
    with manager.use(vae):
        pass
    assert len(manager.loaded()) == 1
