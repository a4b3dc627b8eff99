"""What LoRA files that are written here call the layers of a model."""

from __future__ import annotations

from typing import NamedTuple

from engine.models.families import family_named, tower_of
from engine.models.handles import ClipHandle, ModelHandle
from engine.models.networks.unet_sizes import U_NET
from engine.models.towers import kind_named


class LoraNames(NamedTuple):
    """What stands before each part of a layer's change, and what a plain LoRA's two factors are called behind it."""

    base: str
    up: str
    down: str


def lora_names(handle: ModelHandle | ClipHandle, module: str) -> LoraNames:
    """Return the names for a layer, by its path in the library's network.

    Those of kohya-ss for U-Nets and text encoders, which every program reads; else those of PEFT, by which diffusers calls the
    layers of transformers, and which have no alpha.
    """
    if isinstance(handle, ClipHandle):
        tower = tower_of(handle.family, handle.tower)
        spelled = kind_named(tower.kind).spelled(module)[0].replace(".", "_")
        return _kohya(f"{tower.lora_prefixes[0]}{spelled}")
    if family_named(handle.family).network is U_NET:
        return _kohya(f"lora_unet_{module.replace('.', '_')}")
    return LoraNames(f"transformer.{module}", ".lora_B.weight", ".lora_A.weight")


def _kohya(base: str) -> LoraNames:
    return LoraNames(base, ".lora_up.weight", ".lora_down.weight")
