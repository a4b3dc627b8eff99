"""Weights times a number, as a patch: those of attention, of which the field has nodes to multiply them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, TypeVar

from engine.models import weights
from engine.models.handles import ClipHandle, ModelHandle, Patch

if TYPE_CHECKING:
    from torch import Tensor

AHandle = TypeVar("AHandle", ModelHandle, ClipHandle)


def scaled(handle: AHandle, factors: Mapping[tuple[str, ...], float]) -> tuple[AHandle, bool]:
    """Return a handle (a text encoder: one tower) with weights times factors, and whether it has any of them.

    `factors`: ends of modules' names in the library's layout (`attn1.to_q`) → factor of their weights and biases. Reads headers
    only.
    """
    names = list(weights.parameter_shapes(handle))
    found = False
    for ends, factor in factors.items():
        suffixes = tuple(f".{end}.{part}" for end in ends for part in ("weight", "bias"))
        if not any(name.endswith(suffixes) for name in names):
            continue
        found = True
        if factor != 1.0:
            patch = Patch(kind="scale", source=handle.source, strength=0.0, keep=float(factor), within=suffixes)
            handle = handle.with_patch(patch)
    return handle, found


class Scaled:
    """The weights that a patch of the kind "scale" is for; how much of them is kept is the patch's `keep`."""

    def __init__(self, patch: Patch, names: Sequence[str]) -> None:
        self.digest = patch.key
        self.changes: Mapping[str, object] = {name: name for name in names if name.endswith(patch.within)}

    def patched(self, name: str, weight: Tensor, strength: float) -> Tensor:
        """Return `weight` as it is, float32: it has been scaled."""
        return weight.float()

    def factors(self, name: str, weight: Tensor, strength: float) -> None:
        """It is no product of factors."""
