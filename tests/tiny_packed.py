"""Files with packed weights, made of others; and the same files with what the packed weights are worth, unpacked."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from engine.models.checkpoints import load_tensors, read_header
from tests.conftest import _save as save

Pack = Callable[[str, Tensor], tuple[dict[str, Tensor], Tensor]]
"""(module, weight) → what a file has beside and for it, by role, and the weight that this is worth, float32."""


def write_both(
    source: Path,
    pack: Pack,
    told: Mapping[str, Any] | None = None,
    *,
    where: str = "tensors",
    prefix: str = "",
    sides: tuple[int, ...] = (2,),
) -> tuple[Path, Path]:
    """Write `source` with its weights under `prefix` packed, and with these unpacked.

    `sides`: how many dimensions those have that are packed.

    `told`: the object that tells how each layer is packed, in `tensors` or in the `metadata`.
    """
    packed: dict[str, Tensor] = {}
    plain: dict[str, Tensor] = {}
    layers = {}
    for name, value in load_tensors(source).items():
        if value.ndim not in sides or not name.endswith(".weight") or not name.startswith(prefix) or "embed" in name:
            packed[name] = plain[name] = value
            continue
        module = name.removesuffix(".weight")
        parts, plain[name] = pack(module, value)
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
