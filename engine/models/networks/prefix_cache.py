"""Keys and values of tokens that are the same at every step of a run, kept after the first one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

import torch

if TYPE_CHECKING:
    from torch import Tensor

CACHE_OPTION = "prefix_cache"
"""Option of a model handle: [where, as what] they are kept."""

Place: TypeAlias = Literal["auto", "gpu", "cpu", "off"]
"""Where they are kept: on the device of the run, in the machine's memory, the first while there is room, or not at all."""

Precision: TypeAlias = Literal["default", "int8", "int4"]
"""What they are kept as: as they are, or whole numbers of 8 or 4 bits with a factor for each token and head."""


class _Packed(NamedTuple):
    """Numbers (B, T, H, D) as they are kept; without factors they are themselves."""

    values: Tensor
    factors: Tensor | None
    dtype: torch.dtype
    bits: int


class KeptLayer:
    """The keys and values of one layer, (B, T, H, D) each, in the form in which the library's layers store and get them."""

    def __init__(self, place: Place, precision: Precision) -> None:
        self._place, self._precision = place, precision
        self._kept: tuple[_Packed, _Packed] | None = None
        self._device = torch.device("cpu")

    def store(self, k: Tensor, v: Tensor) -> None:
        """Keep keys and values."""
        self._device = k.device
        packed = _packed(k, self._precision), _packed(v, self._precision)
        self._kept = (_moved(packed[0], self._place), _moved(packed[1], self._place))

    def get(self) -> tuple[Tensor, Tensor]:
        """Return them, on the device on which they were made and in its type; RuntimeError when there are none."""
        if self._kept is None:
            raise RuntimeError("no keys and values are kept yet")
        return _unpacked(self._kept[0], self._device), _unpacked(self._kept[1], self._device)


class KeptPrefix:
    """The keys and values of all layers, in the form in which the library's network asks for them."""

    def __init__(self, layers: int, place: Place, precision: Precision) -> None:
        self._layers = [KeptLayer(place, precision) for _ in range(layers)]

    def get_layer(self, layer_idx: int) -> KeptLayer:
        """Return one layer's."""
        return self._layers[layer_idx]


def _packed(numbers: Tensor, precision: Precision) -> _Packed:
    if precision == "default":
        return _Packed(numbers, None, numbers.dtype, 0)
    bits = 8 if precision == "int8" else 4
    most = 2 ** (bits - 1) - 1
    factors = numbers.float().abs().amax(dim=-1, keepdim=True).clamp(min=1e-12) / most
    whole = (numbers.float() / factors).round().to(torch.int8)
    if bits == 4:
        pairs = (whole + 8).to(torch.uint8)
        whole = pairs[..., ::2] | pairs[..., 1::2] << 4
    return _Packed(whole, factors.to(torch.float32), numbers.dtype, bits)


def _unpacked(packed: _Packed, device: torch.device) -> Tensor:
    values = packed.values.to(device)
    if packed.factors is None:
        return values
    if packed.bits == 4:
        values = torch.stack([values & 15, values >> 4], dim=-1).flatten(-2).to(torch.int8) - 8
    return (values * packed.factors.to(device)).to(packed.dtype)


def _moved(packed: _Packed, place: Place) -> _Packed:
    if place == "gpu" or (place == "auto" and _has_room(packed.values)):
        return packed
    factors = None if packed.factors is None else packed.factors.cpu()
    return packed._replace(values=packed.values.cpu(), factors=factors)


def _has_room(values: Tensor) -> bool:
    """Whether a device holds much more than this; what is in the machine's memory is there already."""
    if values.device.type != "cuda":
        return True
    free, whole = torch.cuda.mem_get_info(values.device)
    return free > whole // 8 + 4 * values.nbytes
