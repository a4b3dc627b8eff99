"""SVDQuant and AWQ as comfy-kitchen keeps them: worth what linear layers compute with them; other libraries' are refused by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from engine.models.errors import CheckpointError
from engine.models.packed import load_tensors, read_header
from engine.models.packed.tensor import PackedTensor

ROWS, COLUMNS, RANK = 256, 128, 4


def read(folder: Path, parts: dict[str, Tensor], told: dict[str, Any]) -> tuple[PackedTensor, Tensor]:
    layers = {"_quantization_metadata": json.dumps({"layers": {"m": told}})}
    save_file({f"m.{role}": part.contiguous() for role, part in parts.items()}, folder / "x.safetensors", layers)
    header = read_header(folder / "x.safetensors")
    assert header.shapes == {"m.weight": (ROWS, COLUMNS), "m.bias": (ROWS,)}
    found = load_tensors(header, ["m.weight", "m.bias"])
    weight = found["m.weight"]
    assert isinstance(weight, PackedTensor)
    rows = torch.tensor([130, 1, 1])
    assert torch.allclose(weight.kept.taken(rows).unpacked(), weight.unpacked()[rows])
    return weight, found["m.bias"]


def numbers(seed: int = 0) -> tuple[Tensor, dict[str, Tensor]]:
    """Numbers −8 to 7, and the parts of a layer in which they are."""
    given = torch.Generator().manual_seed(seed)
    codes = torch.randint(-8, 8, (ROWS, COLUMNS), generator=given)
    return codes, {
        "weight": ((codes[:, 1::2] & 15) << 4 | codes[:, ::2] & 15).to(torch.uint8).view(torch.int8),
        "weight_scale": torch.randint(1, 9, (COLUMNS // 64, ROWS), generator=given) / 8,
        "weight_proj_down": torch.randint(-2, 3, (COLUMNS, RANK), generator=given) / 2,
        "weight_proj_up": torch.randint(-2, 3, (ROWS, RANK), generator=given) / 2,
        "weight_smooth_factor": torch.exp2(torch.randint(-1, 2, (COLUMNS,), generator=given).float()),
        "bias": torch.randint(-4, 5, (ROWS,), generator=given).float(),
    }


def given_by(codes: Tensor, parts: dict[str, Tensor], x: Tensor, shift: float = 0.0) -> Tensor:
    """What the layer computes: activations shifted and divided, the four-bit part, what it missed, and the bias."""
    scale = parts["weight_scale"].T.repeat_interleave(64, dim=1)
    main = ((x + shift) / parts["weight_smooth_factor"]) @ (codes * scale).T
    return main + x @ parts["weight_proj_down"] @ parts["weight_proj_up"].T + parts["bias"]


@pytest.mark.parametrize("tiled", [False, True])
def test_svdquant_is_worth_its_four_bits_and_what_they_missed(tmp_path: Path, tiled: bool) -> None:
    codes, parts = numbers()
    kept = dict(parts)
    if tiled:  # 128 rows a tile, of each four 32 bytes side by side
        rows = parts["weight"].reshape(ROWS // 128, 32, 4, COLUMNS // 64, 32)
        kept["weight"] = rows.permute(0, 3, 1, 2, 4).reshape(ROWS // 128, COLUMNS // 64, 32, 128)
        kept["weight_scale"] = parts["weight_scale"].reshape(-1, ROWS // 128, 128).transpose(0, 1)
        kept["weight_proj_up"] = parts["weight_proj_up"].reshape(ROWS // 128, 128, RANK).transpose(1, 2)
    weight, bias = read(tmp_path, kept, {"format": "svdquant_w4a4"})
    x = torch.randn(3, COLUMNS, generator=torch.Generator().manual_seed(1))
    assert torch.allclose(x @ weight.unpacked().T + bias, given_by(codes, parts, x), rtol=1e-5, atol=1e-3)
    assert torch.equal(bias, parts["bias"])
    assert weight.nbytes < ROWS * COLUMNS


def test_activations_that_were_shifted_are_in_the_bias(tmp_path: Path) -> None:
    codes, parts = numbers(2)
    weight, bias = read(tmp_path, parts, {"format": "svdquant_w4a4", "act_unsigned": True})
    x = torch.randn(3, COLUMNS, generator=torch.Generator().manual_seed(1))
    assert torch.allclose(
        x @ weight.unpacked().T + bias, given_by(codes, parts, x, shift=0.171875), rtol=1e-5, atol=1e-3
    )
    assert not torch.equal(bias, parts["bias"])


def test_shifted_activations_without_a_bias_are_refused(tmp_path: Path) -> None:
    _, parts = numbers()
    tensors = {f"m.{role}": part for role, part in parts.items() if role != "bias"}
    told = {"layers": {"m": {"format": "svdquant_w4a4", "act_unsigned": True}}}
    save_file(tensors, tmp_path / "x.safetensors", {"_quantization_metadata": json.dumps(told)})
    with pytest.raises(CheckpointError, match="packed as 'svdquant_w4a4', which does not go with"):
        read_header(tmp_path / "x.safetensors")


def test_awq_is_a_number_less_eight_times_a_factor_plus_a_zero_point(tmp_path: Path) -> None:
    codes, parts = numbers()
    scale, zero = parts["weight_scale"], torch.randint(-8, 9, (COLUMNS // 64, ROWS)) / 4
    kept = {"weight": parts["weight"], "weight_scale": scale, "weight_zeros": zero, "bias": parts["bias"]}
    weight, _ = read(tmp_path, kept, {"format": "awq_w4a16"})
    grown = [part.T.repeat_interleave(64, dim=1) for part in (scale, zero)]
    assert torch.equal(weight.unpacked(), (codes % 16 - 8) * grown[0] + grown[1])


@pytest.mark.parametrize(
    ("beside", "said"),
    [
        (("wscales", "smooth_factor", "proj_down"), "kernels of nunchaku, which is not read"),
        (("wscales", "wzeros"), "kernels of nunchaku, which is not read"),
        (("qzeros", "scales"), "kernels of AWQ or GPTQ"),
        (("of_tomorrow",), "beside of_tomorrow, qweight, which is not read"),
    ],
)
def test_the_order_of_other_libraries_kernels_is_refused_by_name(
    tmp_path: Path, beside: tuple[str, ...], said: str
) -> None:
    tensors = {"m.qweight": torch.zeros(8, 8, dtype=torch.int8)} | {f"m.{role}": torch.ones(8) for role in beside}
    save_file(tensors, tmp_path / "x.safetensors")
    with pytest.raises(CheckpointError, match=rf"x\.safetensors: m\.qweight is kept .*{said}.* as GGUF"):
        read_header(tmp_path / "x.safetensors")
