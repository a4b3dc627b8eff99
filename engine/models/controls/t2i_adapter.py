"""T2I-Adapters (Mou et al. 2023): small networks of a picture alone, whose features are added within a U-Net. No torch.

The names are those of github.com/TencentARC/T2I-Adapter, or the library's. Inferred: that the original has two layers a level.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

from engine.models.shapes import Facts, Shapes, Spread, count

if TYPE_CHECKING:
    from torch import Tensor

TITLE: Final = "T2I-Adapter"
PATCH: Final = False
MODULE: Final = "diffusers.models.adapter:T2IAdapter"
CALL: Final = "engine.models.networks.t2i_adapter:Adapter"

_PREFIX: Final = "adapter."
_FULL, _LIGHT = "conv_in.weight", "body.0.out_conv.weight"
_LAYERS: Final = 2
"""Layers a level of the original files, which count them through."""
_SMALL, _LARGE = 8, 16
"""By how much pictures are made smaller at first: for Stable Diffusion 1, and for XL."""


def is_there(shapes: Shapes) -> bool:
    """Say whether these are an adapter's tensors."""
    found = set(_ours(shapes).values())
    return "body.0.resnets.0.block1.weight" in found and not found.isdisjoint((_FULL, _LIGHT))


def family(shapes: Shapes) -> str:
    """It needs none."""
    return ""


def config(shapes: Shapes, hints: Facts, spread: Spread) -> dict[str, Any]:
    """Return T2IAdapter's arguments."""
    found = {ours: shapes[name] for name, ours in _ours(shapes).items()}
    light = _LIGHT in found
    seen = found["body.0.in_conv.weight" if light else _FULL][1]
    factor = _SMALL if light or seen % _LARGE**2 else _LARGE
    rows = "out_conv.weight" if light else "resnets.0.block1.weight"
    channels = [found[f"body.{level}.{rows}"][0] for level in range(count(found, "body."))]
    kind = "light_adapter" if light else {_SMALL: "full_adapter", _LARGE: "full_adapter_xl"}[factor]
    return {
        "in_channels": seen // factor**2,
        "channels": channels[:-1] if light else channels,
        "num_res_blocks": count(found, "body.0.resnets."),
        "downscale_factor": factor,
        "adapter_type": kind,
    }


def renamed(tensors: Mapping[str, Tensor], config: Facts) -> dict[str, Tensor]:
    """Return a file's tensors under T2IAdapter's names."""
    names = _ours(tensors)
    return {f"{_PREFIX}{names[name]}": value for name, value in tensors.items()}


def _ours(names: Iterable[str]) -> dict[str, str]:
    """The library's names of a file's tensors, without what all of them begin with."""
    found = {name: name.removeprefix(_PREFIX) for name in names}
    inner = set(found.values())
    if _LIGHT in inner:
        return {name: re.sub(r"^body\.(\d+)\.body\.", r"body.\1.resnets.", one) for name, one in found.items()}
    if "body.0.block1.weight" in inner:
        return {name: _COUNTED.sub(_apart, one) for name, one in found.items()}
    return found


_COUNTED: Final = re.compile(r"^body\.(\d+)\.(?=(block|in_conv))")


def _apart(found: re.Match[str]) -> str:
    """A level and a layer of it, where layers of all levels are counted through."""
    level, layer = divmod(int(found[1]), _LAYERS)
    return f"body.{level}." if found[2] == "in_conv" else f"body.{level}.resnets.{layer}."
