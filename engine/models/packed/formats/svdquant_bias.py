"""The bias of a layer that `svdquant` shifts the activations of: they are made 0.171875 larger, which the bias has taken off.

That shift times the four-bit part of the weight is put on again, as here nothing is shifted.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from engine.models.header import Header
from engine.models.packed import told as tell
from engine.models.packed.base import WEIGHT, Packing
from engine.models.packed.formats import svdquant
from engine.models.shapes import Facts, Shape

if TYPE_CHECKING:
    from torch import Tensor

TOLD = ()
BESIDE = ()
_BIAS: Final = ".bias"
_SHIFT: Final = 0.171875


def found(header: Header, name: str, told: Facts) -> Packing | None:
    """Recognise a bias by what is told of its layer."""
    if not name.endswith(_BIAS) or not tell.fact(told, "act_unsigned", False):
        return None
    weight = f"{name.removesuffix(_BIAS)}.{WEIGHT}"
    packed = svdquant.found(header, weight, told) if weight in header.shapes else None
    if packed is None or header.shapes[name] != packed.shape[:1]:
        return None
    return Packing(format="svdquant_bias", shape=header.shapes[name], parts={"bias": name, **packed.parts})


def prepared(parts: Mapping[str, Tensor], facts: Facts, shape: Shape) -> dict[str, Tensor]:
    """Return the bias and the parts of the weight; the numbers of columns follow from these."""
    columns = parts[svdquant.SMOOTH].numel()
    weight = {role: part for role, part in parts.items() if role != "bias"}
    return {"bias": parts["bias"], **svdquant.prepared(weight, facts, (*shape, columns))}


def taken(parts: Mapping[str, Tensor], rows: Any) -> dict[str, Tensor]:
    """Return some entries."""
    weight = {role: part for role, part in parts.items() if role != "bias"}
    return {"bias": parts["bias"][rows], **svdquant.taken(weight, rows)}


def unpacked(parts: Mapping[str, Tensor], facts: Facts, shape: Shape) -> Tensor:
    """Return the bias with the shift's part on it."""
    put_on: Tensor = svdquant.worth(parts).sum(dim=1) * _SHIFT
    return parts["bias"].float() + put_on
