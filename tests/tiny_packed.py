"""Files with packed weights, made of others; and the same files with what the packed weights are worth, unpacked."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from engine.models.checkpoints import load_tensors, read_header
from tests.conftest import _save as save

Pack = Callable[[str, Tensor], tuple[dict[str, Tensor], Tensor] | None]
"""(module, weight) → what a file has beside and for it, by role, and the weight that this is worth, float32.

None for sizes that cannot be packed so. Factors are powers of two wherever a way lets one choose, so that every sum is exact.
"""


def write_both(
    source: Path,
    pack: Pack,
    told: Mapping[str, Any] | None = None,
    *,
    where: str = "tensors",
    prefix: str = "",
    sides: tuple[int, ...] = (2,),
    tables: bool = False,
) -> tuple[Path, Path]:
    """Write `source` with its weights under `prefix` packed, and with these unpacked.

    `sides`: how many dimensions those have that are packed; `tables`: those of embeddings too.

    `told`: the object that tells how each layer is packed, in `tensors` or in the `metadata`.
    """
    packed: dict[str, Tensor] = {}
    plain: dict[str, Tensor] = {}
    layers = {}
    for name, value in load_tensors(source).items():
        if (
            value.ndim not in sides
            or not name.endswith(".weight")
            or not name.startswith(prefix)
            or ("embed" in name and not tables)
        ):
            packed[name] = plain[name] = value
            continue
        module = name.removesuffix(".weight")
        if (made := pack(module, value)) is None:
            packed[name] = plain[name] = value
            continue
        parts, plain[name] = made
        packed |= {f"{module}.{role}": part for role, part in parts.items()}
        layers[module] = dict(told or {})
        if told and where == "tensors":
            packed[f"{module}.comfy_quant"] = torch.frombuffer(
                bytearray(json.dumps(layers[module]).encode()), dtype=torch.uint8
            )
    metadata = read_header(source).metadata
    quantised = {"_quantization_metadata": json.dumps({"format_version": "1.0", "layers": layers})}
    here = source.with_name(f"{source.stem}_packed.safetensors"), source.with_name(f"{source.stem}_plain.safetensors")
    save(here[0], packed, metadata | (quantised if told and where == "metadata" else {}))
    save(here[1], plain, metadata)
    return here


def fp8(scale: str = "", *, rows: bool = False, dtype: torch.dtype = torch.float8_e4m3fn) -> Pack:
    """Eight-bit floats, divided by a factor that is called `scale`."""

    def pack(module: str, weight: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        if not scale:
            return {"weight": weight.to(dtype)}, weight.to(dtype).float()
        most = weight.flatten(1).abs().amax(dim=1).reshape(-1, *[1] * (weight.ndim - 1)) if rows else weight.abs().max()
        factor = most / 448.0 + 1e-6
        kept = (weight / factor).to(dtype)
        return {"weight": kept, scale: factor.reshape(-1, 1) if rows else factor}, kept.float() * factor

    return pack


def factor_for(largest: Tensor, most: float) -> Tensor:
    """The least power of two by which `largest` is at most `most`."""
    return torch.exp2(torch.ceil(torch.log2(largest.clamp(min=1e-6) / most)))


def int8(*, group: int = 0) -> Pack:
    """Whole numbers with a factor for each row; with a `group`, of columns that were rotated in fours."""

    def pack(module: str, weight: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        turn = torch.block_diag(*[four()] * (weight.shape[1] // 4)) if group else torch.eye(weight.shape[1])
        turned = weight @ turn
        factor = factor_for(turned.abs().amax(dim=1, keepdim=True), 127.0)
        kept = (turned / factor).round().to(torch.int8)
        return {"weight": kept, "weight_scale": factor}, (kept.double() * factor.double() @ turn.double()).float()

    return pack


def four() -> Tensor:
    """The regular Hadamard matrix of four rows, over two."""
    return torch.tensor([[1.0, 1, 1, -1], [1, 1, -1, 1], [1, -1, 1, 1], [-1, 1, 1, 1]]) / 2


def in_tiles(scales: Tensor) -> Tensor:
    """Scales (R, C) in the order of tensor cores, one by one."""
    rows, columns = scales.shape
    down, across = -(-rows // 128), -(-columns // 4)
    found = torch.zeros(down * across * 512, dtype=scales.dtype)
    for row in range(rows):
        for column in range(columns):
            tile = (row // 128) * across + column // 4
            found[tile * 512 + row % 32 * 16 + row % 128 // 32 * 4 + column % 4] = scales[row, column]
    return found.reshape(down * 128, across * 4)


def mxfp8() -> Pack:
    """Eight-bit floats, a power of two for each 32 of a row."""

    def pack(module: str, weight: Tensor) -> tuple[dict[str, Tensor], Tensor] | None:
        rows, columns = weight.shape
        if columns % 32 or rows % 32:
            return None
        blocks = weight.reshape(rows, -1, 32)
        power = factor_for(blocks.abs().amax(dim=-1), 448.0)
        kept = (blocks / power[..., None]).to(torch.float8_e4m3fn)
        exponents = (torch.log2(power) + 127).to(torch.uint8)
        worth = (kept.float() * power[..., None]).reshape(weight.shape)
        return {"weight": kept.reshape(weight.shape), "weight_scale": in_tiles(exponents)}, worth

    return pack


def nvfp4() -> Pack:
    """Four-bit floats, two a byte, an eight-bit factor for each 16 of a row, and one for all."""
    values = torch.tensor([0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0])
    signed = torch.cat([values, -values])

    def pack(module: str, weight: Tensor) -> tuple[dict[str, Tensor], Tensor] | None:
        rows, columns = weight.shape
        if columns % 16 or rows % 16:
            return None
        blocks = weight.reshape(rows, -1, 16)
        whole = factor_for(weight.abs().max(), 448.0 * 6.0)
        factor = (blocks.abs().amax(dim=-1) / 6.0 / whole).to(torch.float8_e4m3fn)
        each = (whole * factor.float()).clamp(min=1e-9)[..., None]
        codes = (blocks[..., None] / each[..., None] - signed).abs().argmin(dim=-1).to(torch.uint8)
        worth = (signed[codes.int()] * whole * factor.float()[..., None]).reshape(weight.shape)
        codes = codes.reshape(weight.shape)
        scales = in_tiles(factor.view(torch.uint8)).view(torch.float8_e4m3fn)
        return {"weight": codes[:, ::2] << 4 | codes[:, 1::2], "weight_scale": scales, "weight_scale_2": whole}, worth

    return pack


def int4() -> Pack:
    """Four-bit whole numbers with a factor for each row, of columns that were rotated in fours."""

    def pack(module: str, weight: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        turn = torch.block_diag(*[four()] * (weight.shape[1] // 4))
        turned = weight @ turn
        factor = factor_for(turned.abs().amax(dim=1, keepdim=True), 7.0)
        codes = (turned / factor).round().to(torch.int8)
        kept = (codes[:, 1::2] << 4 | codes[:, ::2] & 15).to(torch.int8)
        return {"weight": kept, "weight_scale": factor[:, 0]}, (codes.double() * factor @ turn.double()).float()

    return pack


def grouped() -> Pack:
    """Four-bit whole numbers plus 8, with a factor for each 16 of a row and one for each row, rotated in fours."""

    def pack(module: str, weight: Tensor) -> tuple[dict[str, Tensor], Tensor] | None:
        if weight.shape[1] % 16:
            return None
        turn = torch.block_diag(*[four()] * (weight.shape[1] // 4))
        turned = (weight @ turn).reshape(len(weight), -1, 16)
        row = factor_for(turned.abs().amax(dim=(1, 2)), 112.0)
        relative = (turned.abs().amax(dim=-1) / row[:, None] / 7.0).ceil().clamp(min=1.0)
        codes = (turned / (relative * row[:, None])[..., None]).round().clamp(-8, 7) + 8
        worth = ((codes - 8) * (relative * row[:, None])[..., None]).reshape(weight.shape).double() @ turn.double()
        codes = codes.reshape(weight.shape).to(torch.uint8)
        kept = (codes[:, 1::2] << 4 | codes[:, ::2]).view(torch.int8)
        factors = {"weight_s_rel": relative.to(torch.float8_e4m3fn), "weight_s_channel": row}
        return {"weight": kept, **factors}, worth.float()

    return pack


def four_bits(block: int = 64) -> Pack:
    """Numbers of entries of a map, of four bits, with a factor for each block, as bitsandbytes keeps NF4."""
    entries = torch.arange(-8, 8) / 8

    def pack(module: str, weight: Tensor) -> tuple[dict[str, Tensor], Tensor] | None:
        if weight.numel() % block:
            return None
        blocks = weight.reshape(-1, block)
        factor = factor_for(blocks.abs().amax(dim=1, keepdim=True), 0.875)
        codes = (blocks / factor * 8).round().to(torch.int8) + 8
        worth = (entries[codes.int()] * factor).reshape(weight.shape)
        state = {"quant_type": "nf4", "blocksize": block, "dtype": "float32", "shape": list(weight.shape)}
        flat = codes.flatten().to(torch.uint8)
        return {
            "weight": (flat[::2] << 4 | flat[1::2]).reshape(-1, 1),
            "weight.absmax": factor[:, 0],
            "weight.quant_map": entries,
            "weight.quant_state.bitsandbytes__nf4": torch.frombuffer(
                bytearray(json.dumps(state).encode()), dtype=torch.uint8
            ),
        }, worth

    return pack


def q8_0(weight: Tensor) -> tuple[bytes, Tensor]:
    """ggml's Q8_0: of each 32 numbers a factor, float16, and 32 whole numbers of eight bits; and what they are worth."""
    blocks = weight.reshape(-1, 32)
    factor = factor_for(blocks.abs().amax(dim=1, keepdim=True), 127.0).clamp(min=2.0**-14)
    kept = (blocks / factor).round().to(torch.int8)
    rows = torch.cat([factor.half().view(torch.uint8), kept.view(torch.uint8)], dim=1)
    return rows.numpy().tobytes(), (kept.float() * factor).reshape(weight.shape)


def q4_0(weight: Tensor) -> tuple[bytes, Tensor]:
    """ggml's Q4_0: a factor, float16, and 32 numbers plus 8 of four bits, the first sixteen in the low halves."""
    blocks = weight.reshape(-1, 32)
    factor = factor_for(blocks.abs().amax(dim=1, keepdim=True), 7.0).clamp(min=2.0**-14)
    codes = ((blocks / factor).round().clamp(-8, 7) + 8).to(torch.uint8)
    rows = torch.cat([factor.half().view(torch.uint8), codes[:, 16:] << 4 | codes[:, :16]], dim=1)
    return rows.numpy().tobytes(), ((codes.float() - 8) * factor).reshape(weight.shape)


_GGML: dict[str, int] = {"F32": 0, "F16": 1, "Q4_0": 2, "Q8_0": 8, "BF16": 30}


def write_gguf(
    target: Path, tensors: Mapping[str, tuple[str, tuple[int, ...], bytes]], facts: Mapping[str, str | tuple[int, ...]]
) -> Path:
    """A GGUF file, version 3, of tensors (kind, shape, bytes), with texts and lists of int32 as metadata."""

    def text(value: str) -> bytes:
        return struct.pack("<Q", len(value.encode())) + value.encode()

    said = b""
    for name, value in facts.items():
        one = struct.pack("<I", 8) + text(value) if isinstance(value, str) else b""
        many = () if isinstance(value, str) else value
        said += text(name) + (one or struct.pack(f"<IIQ{len(many)}i", 9, 5, len(many), *many))
    infos, data = b"", b""
    for name, (kind, shape, kept) in tensors.items():
        infos += text(name) + struct.pack(f"<I{len(shape)}Q", len(shape), *reversed(shape))
        infos += struct.pack("<IQ", _GGML[kind], len(data))
        data += kept + bytes(-len(kept) % 32)
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(facts)) + said + infos
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(head + bytes(-len(head) % 32) + data)
    return target


def as_gguf(source: Path, target: Path, kind: str, architecture: str) -> Path:
    """The tensors of a file as GGUF, and beside it, as safetensors, what they are worth: matrices of a kind, others as float32."""
    packs = {"Q8_0": q8_0, "Q4_0": q4_0}
    kept: dict[str, tuple[str, tuple[int, ...], bytes]] = {}
    plain = {}
    for name, value in load_tensors(source).items():
        here, (data, plain[name]) = "F32", (value.numpy().tobytes(), value)
        if value.ndim > 1 and value.shape[-1] % 32 == 0 and kind in packs:
            here, (data, plain[name]) = kind, packs[kind](value)
        elif value.ndim > 1 and kind in ("F16", "BF16"):
            dtype = torch.float16 if kind == "F16" else torch.bfloat16
            here, data, plain[name] = kind, value.to(dtype).view(torch.int16).numpy().tobytes(), value.to(dtype).float()
        kept[name] = (here, tuple(value.shape), data)
    save(target.with_suffix(".plain.safetensors"), plain, read_header(source).metadata)
    return write_gguf(target, kept, {"general.architecture": architecture, "general.name": "tiny"})


def lora_for(source: Path, target: Path, prefix: str = "") -> Path:
    """A LoRA in kohya's names on each weight of two dimensions of a network in the original layout."""
    generator = torch.Generator().manual_seed(3)
    tensors = {}
    for name, shape in read_header(source).shapes.items():
        if len(shape) == 2 and name.startswith(prefix) and name.endswith(".weight") and "embed" not in name:
            key = "lora_unet_" + name.removeprefix(prefix).removesuffix(".weight").replace(".", "_")
            tensors[f"{key}.lora_down.weight"] = torch.randn(2, shape[1], generator=generator) * 0.2
            tensors[f"{key}.lora_up.weight"] = torch.randn(shape[0], 2, generator=generator) * 0.2
            tensors[f"{key}.alpha"] = torch.tensor(1.0)
    save(target, tensors)
    return target
