"""Weights that a file keeps in eight bits, and what it keeps beside them. No torch but for tensors.

Scaled fp8 is a weight in float8 and the factor that it was divided by, one for the tensor or one for each row:
`NAME.scale_weight` (and an empty tensor `scaled_fp8`), or `NAME.weight_scale`. Plain fp8 has no factor. Other ways of packing are
refused: read as they are, they would give noise.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from engine.models.errors import CheckpointError

if TYPE_CHECKING:
    from torch import Tensor

    from engine.models.checkpoints import Header

SCALES: Final = ("scale_weight", "weight_scale")
_BESIDE: Final = (*SCALES, "scale_input", "input_scale", "comfy_quant", "scaled_fp8")
_FLOATS: Final = ("F64", "F32", "F16", "BF16", "F8_E4M3", "F8_E5M2")
_OF_PICKLES: Final = "torch."


def is_beside(name: str) -> bool:
    """Say whether a tensor is kept beside a weight, and none itself."""
    return name.rpartition(".")[2] in _BESIDE


def check_packing(header: Header, names: list[str]) -> None:
    """Raise CheckpointError when a weight among `names` is packed in a way that is not known."""
    for name in names:
        dtype = header.dtypes[name]
        known = dtype in _FLOATS or dtype.startswith(_OF_PICKLES) or not name.endswith((".weight", ".bias"))
        if not known and not is_beside(name):
            raise CheckpointError(_unknown(header, name, f"is kept as {dtype}"))
        if name.rpartition(".")[2] in SCALES and not _is_factor(header, name):
            raise CheckpointError(_unknown(header, name, f"has the shape {list(header.shapes[name])}"))


def _is_factor(header: Header, name: str) -> bool:
    """Whether a scale is one for its weight, or one for each row."""
    weight = header.shapes.get(f"{name.rpartition('.')[0]}.weight", ())
    return math.prod(header.shapes[name]) in (1, weight[0] if weight else 1)


def _unknown(header: Header, name: str, how: str) -> str:
    return (
        f"{header.path}: {name} {how}: quantised in a way that is not known here. Expected floating-point weights, fp8 with or "
        "without scales among them. Use a file in bf16, fp16 or fp8."
    )


def unpacked(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the weights: those with a factor multiplied by it, float32; what was beside them is left out."""
    found = {}
    for name, value in tensors.items():
        if is_beside(name):
            continue
        module = name.removesuffix(".weight")
        scale = next((tensors[key] for kind in SCALES if (key := f"{module}.{kind}") in tensors), None)
        scaled = scale is not None and name.endswith(".weight") and value.element_size() == 1
        if scaled and scale is not None:
            rows = scale.float().reshape(-1, *[1] * (value.ndim - 1)) if scale.numel() > 1 else scale.float()
            value = value.float() * rows
        found[name] = value
    return found
