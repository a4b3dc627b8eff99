"""The ways of packing by their facts: a few bytes, and what they are worth, computed by hand."""

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
from tests.tiny_packed import in_tiles

Parts = dict[str, Tensor]


def kept(folder: Path, parts: Parts, told: dict[str, Any] | None = None, *, bias: int = 0) -> PackedTensor:
    tensors = {f"m.{role}": part for role, part in parts.items()}
    if bias:
        tensors["m.bias"] = torch.zeros(bias)
    metadata = {"_quantization_metadata": json.dumps({"layers": {"m": told}})} if told else None
    save_file(tensors, folder / "x.safetensors", metadata)
    found = load_tensors(read_header(folder / "x.safetensors"), ["m.weight"])["m.weight"]
    assert isinstance(found, PackedTensor)
    return found


def bytes_of(*values: int) -> Tensor:
    return torch.tensor(values, dtype=torch.uint8)


def test_fp8_times_its_factor(tmp_path):
    parts = {"weight": bytes_of(0x38, 0x40, 0xB8, 0x30).view(torch.float8_e4m3fn).reshape(2, 2)}
    assert kept(tmp_path, parts).unpacked().tolist() == [[1.0, 2.0], [-1.0, 0.5]]
    rows = parts | {"weight_scale": torch.tensor([[2.0], [8.0]])}
    assert kept(tmp_path, rows).unpacked().tolist() == [[2.0, 4.0], [-8.0, 4.0]]
    whole = parts | {"scale_weight": torch.tensor(3.0), "scale_input": torch.tensor(9.0)}
    assert kept(tmp_path, whole).unpacked().tolist() == [[3.0, 6.0], [-3.0, 1.5]]
    e5m2 = {"weight": bytes_of(0x3C, 0x40).view(torch.float8_e5m2).reshape(1, 2)}
    assert kept(tmp_path, e5m2).unpacked().tolist() == [[1.0, 2.0]]


def test_int8_is_rotated_back_by_the_regular_hadamard_matrix(tmp_path):
    parts = {"weight": torch.tensor([[1, 0, 0, 0], [1, 2, 3, 4]], dtype=torch.int8), "weight_scale": torch.ones(2, 1)}
    told = {"format": "int8_tensorwise", "convrot": True, "convrot_groupsize": 4}
    assert kept(tmp_path, parts, told).unpacked().tolist() == [[0.5, 0.5, 0.5, -0.5], [1.0, 2.0, 3.0, 4.0]]
    plain = kept(tmp_path, parts | {"weight_scale": torch.tensor(0.5)}, {"format": "int8_tensorwise"})
    assert plain.unpacked().tolist() == [[0.5, 0.0, 0.0, 0.0], [0.5, 1.0, 1.5, 2.0]]


def test_larger_groups_are_powers_of_the_matrix_of_four(tmp_path):
    one = torch.zeros(1, 16, dtype=torch.int8)
    one[0, 5] = 4  # row 1 of the outer, row 1 of the inner matrix
    told = {"format": "int8_tensorwise", "convrot": True, "convrot_groupsize": 16}
    row = [1.0, 1.0, -1.0, 1.0]
    expected = [outer * inner for outer in row for inner in row]
    assert kept(tmp_path, {"weight": one, "weight_scale": torch.ones(1)}, told).unpacked()[0].tolist() == expected


def test_scales_of_blocks_lie_in_tiles_of_128_rows_and_four_columns(tmp_path):
    scales = torch.arange(160 * 4).reshape(160, 4)
    tiles = in_tiles(scales).flatten()
    assert (tiles[16], tiles[4], tiles[1], tiles[512]) == (scales[1, 0], scales[32, 0], scales[0, 1], scales[128, 0])


def test_mxfp8_multiplies_by_powers_of_two(tmp_path):
    weight = torch.zeros(32, 64).to(torch.float8_e4m3fn)
    weight.view(torch.uint8)[1, 32] = 0x77  # 240
    scales = torch.full((32, 2), 127, dtype=torch.uint8)
    scales[1, 1] = 120
    found = kept(tmp_path, {"weight": weight, "weight_scale": in_tiles(scales)}, {"format": "mxfp8"}, bias=20)
    assert found.shape == (20, 64), "as many rows as the bias has: the others filled it up"
    assert found.unpacked()[1, 32] == 1.875
    assert found[1:3].unpacked().sum() == 1.875


def test_nvfp4_has_the_even_number_in_the_high_half(tmp_path):
    weight = torch.zeros(16, 8, dtype=torch.uint8)
    weight[0, 0] = 0x2F
    factors = torch.ones(16, 1).to(torch.float8_e4m3fn)
    parts = {
        "weight": weight,
        "weight_scale": in_tiles(factors.view(torch.uint8)).view(torch.float8_e4m3fn),
        "weight_scale_2": torch.tensor(0.5),
    }
    found = kept(tmp_path, parts, {"format": "nvfp4"})
    assert found.shape == (16, 16)
    assert found.unpacked()[0, :3].tolist() == [0.5, -3.0, 0.0]


def test_int4_has_the_even_number_in_the_low_half(tmp_path):
    parts = {"weight": torch.tensor([[0x71, -0x10]], dtype=torch.int8), "weight_scale": torch.tensor([2.0])}
    found = kept(tmp_path, parts, {"format": "convrot_w4a4", "convrot_groupsize": 4})  # 1, 7, 0, −1, twice: 2 14 0 −2
    assert found.unpacked().tolist() == [[9.0, 7.0, -7.0, 5.0]]


@pytest.mark.parametrize("bits", [4, 6])
def test_grouped_numbers_are_rounded_to_eight_bits_before_the_rows_factor(tmp_path, bits):
    half = torch.zeros(1, 8, dtype=torch.uint8) + (0x88 if bits == 4 else 0x00)
    half[0, 0] = 0x8B if bits == 4 else 0x03  # the first is 3 above the middle, the others are the middle
    upper = torch.full((1, 4), 0b10101010, dtype=torch.uint8)
    parts = {
        "weight": (half if bits == 4 else torch.cat([half, upper], dim=1)).view(torch.int8),
        "weight_s_rel": torch.tensor([[1.125]]).to(torch.float8_e4m3fn),  # 3.375, rounded 3
        "weight_s_channel": torch.tensor([2.0]),
    }
    found = kept(tmp_path, parts, {"format": "w4a8_int8", "convrot_groupsize": 4})
    assert found.unpacked()[0, :5].tolist() == [3.0, 3.0, 3.0, -3.0, 0.0]


def test_a_codebook_says_what_four_bits_are_worth(tmp_path):
    parts = {
        "weight": torch.tensor([[0x10, *[0x00] * 7]], dtype=torch.uint8).view(torch.int8),
        "weight_s_rel": torch.ones(1, 1).to(torch.float8_e4m3fn),
        "weight_s_channel": torch.ones(1),
        "weight_codebook": torch.tensor([0.0, 100.0, *[0.0] * 14]),
        "weight_correction": torch.full((1, 1), 4.0),
    }
    found = kept(tmp_path, parts, {"format": "w4a8_int8", "convrot_groupsize": 4})  # 4, 104, 4, 4 and fours
    assert found.unpacked()[0, :8].tolist() == [54.0, 54.0, -46.0, 54.0, 4.0, 4.0, 4.0, 4.0]


def test_bitsandbytes_has_the_first_number_in_the_high_half_and_may_pack_factors_again(tmp_path):
    def state(**more: Any) -> Tensor:
        told = {"quant_type": "nf4", "blocksize": 4, "shape": [2, 4], **more}
        return torch.frombuffer(bytearray(json.dumps(told).encode()), dtype=torch.uint8)

    parts = {
        "weight": bytes_of(0x12, 0x30, 0x01, 0x23).reshape(4, 1),
        "weight.quant_map": torch.tensor([0.0, 1.0, -1.0, 0.5, *[9.0] * 12]),
        "weight.absmax": torch.tensor([2.0, 4.0]),
        "weight.quant_state.bitsandbytes__nf4": state(),
    }
    assert kept(tmp_path, parts).unpacked().tolist() == [[2.0, -2.0, 1.0, 0.0], [0.0, 4.0, -4.0, 2.0]]
    nested = {
        "weight.absmax": bytes_of(0, 1),
        "weight.nested_absmax": torch.tensor([3.0]),
        "weight.nested_quant_map": torch.tensor([-0.5, 0.5]),
        "weight.quant_state.bitsandbytes__nf4": state(nested_blocksize=256, nested_offset=2.5),
    }
    found = kept(tmp_path, parts | nested)  # factors −0.5 · 3 + 2.5 = 1 and 0.5 · 3 + 2.5 = 4
    assert found.unpacked().tolist() == [[1.0, -1.0, 0.5, 0.0], [0.0, 4.0, -4.0, 2.0]]
    assert found[1:].unpacked().tolist() == [[0.0, 4.0, -4.0, 2.0]]
    whole = {"weight": torch.tensor([[127, -127], [1, 0]], dtype=torch.int8), "SCB": torch.tensor([2.0, 254.0])}
    assert kept(tmp_path, whole).unpacked().tolist() == [[2.0, -2.0], [2.0, 0.0]]


@pytest.mark.parametrize(
    ("parts", "told", "said"),
    [
        ({"weight": torch.zeros(4, 4, dtype=torch.int8), "weight_scale": torch.ones(4)}, None, "nothing tells how"),
        ({"weight": torch.zeros(4, 4, dtype=torch.uint8)}, None, "kept as U8"),
        ({"weight": torch.zeros(4, 4, dtype=torch.int8)}, {"format": "int8_tensorwise"}, "does not go with I8"),
        ({"weight": torch.zeros(4, 4)}, {"format": "of_tomorrow"}, "packed as 'of_tomorrow'"),
        (
            {"weight": torch.zeros(4, 4, dtype=torch.int8), "weight_scale": torch.ones(4)},
            {"format": "int8_tensorwise", "rotated_by": 4},
            "does not go with I8",
        ),
    ],
)
def test_what_cannot_be_unpacked_for_certain_is_refused_by_name(tmp_path, parts, told, said):
    with pytest.raises(CheckpointError, match=rf"m\.weight is .*{said}"):
        kept(tmp_path, parts, told)


def test_metadata_that_is_no_json_is_refused(tmp_path):
    save_file({"m.weight": torch.ones(2, 2)}, tmp_path / "x.safetensors", {"_quantization_metadata": "{"})
    with pytest.raises(CheckpointError, match="_quantization_metadata is not JSON"):
        read_header(tmp_path / "x.safetensors")
