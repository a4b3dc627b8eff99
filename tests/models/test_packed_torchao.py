"""Weights as torchao 0.18 writes them into safetensors: facts of each of its classes by hand, folders, LoRAs, refusals."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from engine.models.checkpoints import load_tensors as load_plain
from engine.models.errors import CheckpointError
from engine.models.finite import is_finite
from engine.models.manager import ModelManager
from engine.models.packed import load_tensors, read_header
from engine.models.packed.tensor import PackedTensor
from tests.conftest import _tokenizer_json
from tests.families import Tiny, write_flux
from tests.tiny_packed import factor_for, in_tiles, lora_for

INT8 = {"block_size": [1, 4], "dtype": {"_type": "torch.dtype", "_data": "bfloat16"}, "act_quant_kwargs": None}


def told(kind: str, parts: Mapping[str, Tensor], facts: Mapping[str, Any]) -> str:
    return json.dumps({"_type": kind, "_data": facts, "_tensor_data_names": list(parts)})


def write(path: Path, kind: str, parts: Mapping[str, Tensor], facts: Mapping[str, Any]) -> Path:
    tensors = {f"m._weight_{name}": value for name, value in parts.items()} | {"m.bias": torch.zeros(2)}
    metadata = {
        "m.weight": told(kind, parts, facts),
        "m.bias": '{"_type": "Tensor"}',
        "tensor_names": '["m.weight", "m.bias"]',
    }
    save_file(tensors, path, metadata)
    return path


def kept(folder: Path, kind: str, parts: Mapping[str, Tensor], facts: Mapping[str, Any]) -> PackedTensor:
    header = read_header(write(folder / "x.safetensors", kind, parts, facts))
    assert set(header.shapes) == {"m.weight", "m.bias"}
    found = load_tensors(header, ["m.weight", "m.bias"])
    assert found["m.bias"].shape == (2,)
    weight = found["m.weight"]
    assert isinstance(weight, PackedTensor)
    assert weight.shape == header.shapes["m.weight"]
    rows = torch.tensor([1, 0, 1])
    assert torch.equal(weight.kept.taken(rows).unpacked(), weight.unpacked()[rows])
    return weight


def test_int8_less_its_zero_point_times_the_factor_of_rows_groups_or_all(tmp_path):
    numbers = torch.tensor([[1, 2, 3, 4], [-4, 0, 8, 100]], dtype=torch.int8)
    rows = {"qdata": numbers, "scale": torch.tensor([[2.0], [0.5]])}
    assert kept(tmp_path, "Int8Tensor", rows, INT8).unpacked().tolist() == [[2, 4, 6, 8], [-2, 0, 4, 50]]
    zero = rows | {"zero_point": torch.tensor([[1], [-4]], dtype=torch.int8)}
    assert kept(tmp_path, "Int8Tensor", zero, INT8).unpacked().tolist() == [[0, 2, 4, 6], [0, 2, 6, 52]]
    whole = {"qdata": numbers, "scale": torch.tensor([[0.5]])}
    assert kept(tmp_path, "Int8Tensor", whole, INT8).unpacked().tolist() == [[0.5, 1, 1.5, 2], [-2, 0, 4, 50]]
    groups = {
        "qdata": numbers,
        "scale": torch.tensor([[1.0, 2.0], [3.0, 4.0]]).bfloat16(),
        "zero_point": torch.tensor([[0, 0], [0, 8]], dtype=torch.int8),
    }
    found = kept(tmp_path, "IntxUnpackedToInt8Tensor", groups, INT8 | {"target_dtype": "int4"})
    assert found.unpacked().tolist() == [[1, 2, 6, 8], [-12, 0, 0, 368]]


def test_a_factor_of_activations_is_one_of_columns(tmp_path):
    parts = {
        "qdata": torch.ones(2, 4, dtype=torch.int8),
        "scale": torch.tensor([[1.0], [2.0]]),
        "act_pre_scale": torch.tensor([1.0, 2.0, 4.0, 0.5]),
        "act_quant_scale": torch.tensor(3.0),
    }
    weight = kept(tmp_path, "Int8Tensor", parts, INT8).unpacked()
    assert weight.tolist() == [[1, 2, 4, 0.5], [2, 4, 8, 1]]
    x = torch.tensor([[1.0, 2.0, 3.0, 4.0]])
    plain = parts["qdata"].float() * parts["scale"]
    assert torch.equal(x @ weight.T, (x * parts["act_pre_scale"]) @ plain.T)


def test_float8_times_the_factor_of_rows_tiles_or_all(tmp_path):
    numbers = torch.tensor([[1.0, 2, 4, 8], [-1, 0, 0.5, 16]]).to(torch.float8_e4m3fn)
    facts = {"block_size": [1, 4], "kernel_preference": {"_type": "KernelPreference", "_data": "AUTO"}}
    for scale, wanted in (
        (torch.tensor([[2.0], [3.0]]), [[2, 4, 8, 16], [-3, 0, 1.5, 48]]),
        (torch.tensor([[2.0, 0.5]]), [[2, 4, 2, 4], [-2, 0, 0.25, 8]]),
        (torch.tensor(2.0), [[2, 4, 8, 16], [-2, 0, 1, 32]]),
    ):
        found = kept(tmp_path, "Float8Tensor", {"qdata": numbers, "scale": scale}, facts)
        assert found.unpacked().tolist() == wanted


def test_a_row_of_zeros_is_no_nan(tmp_path):
    """torchao 0.18.0's Float8WeightOnlyConfig writes such a row as NaN with the factor 0."""
    numbers = torch.tensor([[1.0, 2, 4, 8], [math.nan] * 4]).to(torch.float8_e4m3fn)
    facts = {"block_size": [1, 4], "kernel_preference": {"_type": "KernelPreference", "_data": "AUTO"}}
    for scale, wanted in (
        (torch.tensor([[2.0], [0.0]]), [[2, 4, 8, 16], [0, 0, 0, 0]]),
        (torch.tensor([[2.0, 1.0], [0.0, 0.0]]), [[2, 4, 4, 8], [0, 0, 0, 0]]),
        (torch.tensor(0.0), [[0, 0, 0, 0]] * 2),
    ):
        found = kept(tmp_path, "Float8Tensor", {"qdata": numbers, "scale": scale}, facts)
        assert found.unpacked().tolist() == wanted
        assert is_finite(found)


def test_int4_has_the_even_number_in_the_low_half_and_adds_its_zero_point(tmp_path):
    parts = {
        "qdata": torch.tensor([[0x71, -0x08], [0x00, 0x11]], dtype=torch.int8),  # 1, 7, −8, −1; 0, 0, 1, 1
        "scale": torch.tensor([[2.0, 1.0], [4.0, 3.0]]).bfloat16(),
        "zero_point": torch.tensor([[0.5, 0.0], [1.0, -1.0]]).bfloat16(),
    }
    found = kept(tmp_path, "Int4Tensor", parts, {"block_size": [1, 2], "shape": [2, 4], "activation_dtype": None})
    assert found.unpacked().tolist() == [[2.5, 14.5, -31, -3], [0, 0, 2, 2]]


def test_int4_in_tiles_is_in_the_order_of_tensor_cores(tmp_path):
    """As torchao's `_dequantize_int4_kernel` walks over lanes and words, number by number."""
    codes = torch.randint(0, 16, (8, 1024), generator=torch.Generator().manual_seed(0))
    words = torch.zeros(1, 8, 32, 4, dtype=torch.int64)
    for outer in range(8):
        for lane in range(32):
            for inner in (0, 2, 4, 6):
                first = (outer * 8 + inner) * 16 + lane % 4 * 2
                places = [first, first + 8, first + 16, first + 24]
                pairs = [(codes[lane // 4, at].item(), codes[lane // 4, at + 1].item()) for at in places]
                low = sum(pair[0] << 4 * number for number, pair in enumerate(pairs))
                high = sum(pair[1] << 4 * number for number, pair in enumerate(pairs))
                words[0, outer, lane, inner // 2] = high << 16 | low
    numbers = torch.Generator().manual_seed(1)
    scale = torch.rand(32, 8, generator=numbers).bfloat16()
    zero = torch.rand(32, 8, generator=numbers).bfloat16()
    parts = {
        "qdata": words.to(torch.int32),  # the upper half of the range wraps, as in the file
        "scale_and_zero": torch.stack([scale, zero], dim=-1),
    }
    found = kept(tmp_path, "Int4TilePackedTo4dTensor", parts, {"block_size": [1, 32], "shape": [6, 1000]})
    grown = [part.float().T.repeat_interleave(32, dim=1) for part in (scale, zero)]
    assert torch.equal(found.unpacked(), ((codes - 8) * grown[0] + grown[1])[:6, :1000])
    assert found.nbytes < 6 * 1024


@pytest.mark.parametrize("tiled", [False, True])
def test_mx_multiplies_by_powers_of_two_and_nvfp4_by_two_factors(tmp_path, tiled):
    powers = torch.tensor([[127, 128], [126, 120]], dtype=torch.uint8)
    exponents = (in_tiles(powers).reshape(32, 16) if tiled else powers).view(torch.float8_e8m0fnu)
    facts = {"elem_dtype": {"_type": "torch.dtype", "_data": "float8_e4m3fn"}, "block_size": 32}
    facts |= {"is_swizzled_scales": tiled}
    parts = {"qdata": torch.full((2, 64), 1.5).to(torch.float8_e4m3fn), "scale": exponents}
    found = kept(tmp_path, "MXTensor", parts, facts).unpacked()
    assert found[:, ::32].tolist() == [[1.5, 3], [0.75, 1.5 / 128]]
    halves = torch.full((2, 32), 0x2F, dtype=torch.uint8)  # the low half, −6, is the even number; the high one is 1
    parts = {"qdata": halves, "scale": exponents}
    four = facts | {"elem_dtype": {"_type": "torch.dtype", "_data": "float4_e2m1fn_x2"}}
    assert kept(tmp_path, "MXTensor", parts, four).unpacked()[0, [0, 1, 32, 33]].tolist() == [-6, 1, -12, 2]
    factors = torch.tensor([[1.0, 2, 0.5, 4], [1, 1, 1, 1]]).to(torch.float8_e4m3fn).view(torch.uint8)
    factors = (in_tiles(factors).reshape(32, 16) if tiled else factors).view(torch.float8_e4m3fn)
    parts = {"qdata": halves, "scale": factors, "per_tensor_scale": torch.tensor(0.5)}
    told_of = {"block_size": 16, "is_swizzled_scales": tiled, "orig_dtype": None}
    assert kept(tmp_path, "NVFP4Tensor", parts, told_of).unpacked()[0, ::16].tolist() == [-3, -6, -1.5, -12]


@pytest.mark.parametrize(
    ("kind", "parts", "said"),
    [
        ("Int4PlainInt32Tensor", {"qdata": torch.zeros(2, 1, dtype=torch.int32)}, "packed as 'Int4PlainInt32Tensor'"),
        (
            "Int8Tensor",
            {"qdata": torch.zeros(2, 4, dtype=torch.int8), "scale": torch.ones(3, 1)},
            "does not go with I8",
        ),
        (
            "NF4Tensor",
            {"codes": torch.zeros(2, 4, dtype=torch.int8)},
            "torchao's NF4Tensor, whose values were expected",
        ),
    ],
)
def test_what_is_kept_otherwise_is_refused_by_name(tmp_path, kind, parts, said):
    path = write(tmp_path / "x.safetensors", kind, parts, INT8)
    with pytest.raises(CheckpointError, match=rf"m\.weight is .*{said}"):
        read_header(path)


def test_parts_of_which_nothing_is_told_are_refused(tmp_path):
    save_file({"m._weight_qdata": torch.zeros(2, 4, dtype=torch.int8)}, tmp_path / "x.safetensors")
    with pytest.raises(CheckpointError, match=r"m\._weight_qdata is a part .* metadata tells nothing"):
        read_header(tmp_path / "x.safetensors")


# --- a whole folder -------------------------------------------------------------------------------------------------


def quantised(source: Path, target: Path) -> dict[str, Tensor]:
    """Write a part of a folder as diffusers does with torchao, in two files; return what its weights are worth."""
    parts: dict[str, Tensor] = {}
    metadata, plain = {}, {}
    config = json.loads((source / "config.json").read_text())
    for name, value in load_plain(source / "diffusion_pytorch_model.safetensors").items():
        module, _, last = name.rpartition(".")
        if value.ndim != 2 or last != "weight":
            parts[name] = plain[name] = value
            metadata[name] = '{"_type": "Tensor"}'
            continue
        factor = factor_for(value.abs().amax(dim=1, keepdim=True), 127.0)
        numbers = (value / factor).round().to(torch.int8)
        zero = torch.zeros(len(value), 1, dtype=torch.int8)
        here = {"qdata": numbers, "scale": factor, "zero_point": zero}
        metadata[name] = told("Int8Tensor", here, INT8 | {"block_size": [1, value.shape[1]]})
        parts |= {f"{module}._weight_{part}": one for part, one in here.items()}
        plain[name] = numbers.float() * factor
    metadata["tensor_names"] = json.dumps(list(plain))
    target.mkdir(parents=True, exist_ok=True)
    names = sorted(parts, key=lambda name: name.endswith("scale"))  # of a weight the factor in another file
    files = [f"diffusion_pytorch_model-0000{number}-of-00002.safetensors" for number in (1, 2)]
    half = sum(not name.endswith("scale") for name in names)
    for file, some in zip(files, (names[:half], names[half:]), strict=True):
        save_file({name: parts[name] for name in some}, target / file, metadata)
    table = {name: files[number >= half] for number, name in enumerate(names)}
    (target / "diffusion_pytorch_model.safetensors.index.json").write_text(json.dumps({"weight_map": table}))
    quantisation = {"quant_method": "torchao", "quant_type": {"default": {"_type": "Int8WeightOnlyConfig"}}}
    (target / "config.json").write_text(json.dumps(config | {"quantization_config": quantisation}))
    return plain


@pytest.fixture(scope="module")
def flux(tiny_sd, tmp_path_factory) -> Tiny:
    files = tiny_sd.tokenizer_files
    return write_flux(tmp_path_factory.mktemp("tiny_flux"), files, _tokenizer_json(files))


@pytest.fixture(scope="module")
def folders(flux, tmp_path_factory) -> dict[str, Path]:
    bases = {name: tmp_path_factory.mktemp(name) for name in ("torchao", "plain")}
    for base in bases.values():
        (base / "model_index.json").write_text("{}")
    flux.modules["transformer"].save_pretrained(bases["plain"] / "transformer")
    plain = quantised(bases["plain"] / "transformer", bases["torchao"] / "transformer")
    save_file(plain, bases["plain"] / "transformer" / "diffusion_pytorch_model.safetensors")
    return bases


def called(manager: ModelManager, model: Any) -> Tensor:
    numbers = torch.Generator().manual_seed(2)
    with manager.use(model) as network:
        pooled = torch.randn(1, 32, generator=numbers)
        options = network.inputs({"pooled_output": pooled}, torch.zeros(1, 16, 8, 8), True)
        x, text = torch.randn(1, 16, 8, 8, generator=numbers), torch.randn(1, 5, 24, generator=numbers)
        return network(x, torch.tensor([500.0]), text, options=options)


def test_a_folder_of_torchao_computes_as_with_the_weights_that_it_is_worth_and_takes_loras(flux, folders, tmp_path):
    manager = ModelManager()
    model, expected = (manager.checkpoint(folders[name]).model for name in ("torchao", "plain"))
    assert (model.family, model.config) == (expected.family, expected.config)
    lora = lora_for(flux.file("diffusion_models", "flux.safetensors"), tmp_path / "lora.safetensors")
    off = called(manager, model)
    assert torch.equal(off, called(manager, expected))
    on = called(manager, manager.lora(lora, model).model)
    assert torch.equal(on, called(manager, manager.lora(lora, expected).model))
    assert (on - off).abs().max() > 1e-3
    assert torch.equal(called(manager, model), off)
    with manager.use(model) as network:
        weights = [one for one in network.module.parameters() if isinstance(one, PackedTensor)]
    assert len(weights) > 20
    assert all(one.nbytes < 1.6 * one.numel() for one in weights)


def test_a_pickle_of_torchao_is_refused_with_the_reason(folders, tmp_path):
    part = tmp_path / "transformer"
    part.mkdir()
    (part / "config.json").write_text((folders["torchao"] / "transformer" / "config.json").read_text())
    torch.save({"x.weight": torch.zeros(2)}, part / "diffusion_pytorch_model.bin")
    with pytest.raises(
        CheckpointError, match=r"model\.bin: refused: weights quantised by torchao in a pickle .* safetensors"
    ):
        ModelManager().checkpoint(tmp_path)
