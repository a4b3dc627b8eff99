"""The devices that torch sees, as messages tell of them. Imports torch inside: nobody waits for it who need not."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from engine.jobs.messages import Device
from engine.jobs.workers import DEVICE, INDEX

if TYPE_CHECKING:
    import torch


def own_device(setting: str = "auto") -> str:
    """The device that this process is to use: what the pool says, else `setting`, else the fastest there is.

    With several CUDA devices, worker n takes number n, beginning again at 0 when there are more workers.
    """
    setting = os.environ.get(DEVICE) or setting
    if setting != "auto":
        return setting
    import torch

    if torch.cuda.is_available():
        index, count = _index(), torch.cuda.device_count()
        return f"cuda:{index % count}" if count > 1 else "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def _index() -> int:
    text = os.environ.get(INDEX, "0")
    return int(text) if text.isdecimal() else 0


def devices(own: str) -> list[Device]:
    """All devices of the kind of `own`, that one first."""
    import torch

    found = [device(own)]
    if found[0].type == "cuda":
        others = (f"cuda:{index}" for index in range(torch.cuda.device_count()))
        found += [_unused(name) for name in others if torch.device(name).index != found[0].index]
    return found


def device(own: str) -> Device:
    """The device `own` with its memory as it is now."""
    import torch

    place = torch.device(own)
    if place.type == "cuda":
        return _cuda(place)
    return _in_main_memory(place.type)


def _cuda(place: torch.device) -> Device:
    import torch

    free, total = torch.cuda.mem_get_info(place)
    reserved, used = torch.cuda.memory_reserved(place), torch.cuda.memory_allocated(place)
    return Device(
        name=f"cuda:{place.index or 0} {torch.cuda.get_device_name(place)}",
        type="cuda",
        index=place.index or 0,
        vram_total=total,
        vram_free=free + reserved - used,
        torch_vram_total=reserved,
        torch_vram_free=reserved - used,
    )


def _unused(name: str) -> Device:
    """A device of another worker: asking how much of it is free would take some of it."""
    import torch

    index = torch.device(name).index
    facts = torch.cuda.get_device_properties(index)
    return Device(name=f"{name} {facts.name}", type="cuda", index=index, vram_total=facts.total_memory)


def _in_main_memory(kind: str) -> Device:
    import psutil

    memory = psutil.virtual_memory()
    return Device(
        name=kind,
        type=kind,
        vram_total=memory.total,
        vram_free=memory.available,
        torch_vram_total=memory.total,
        torch_vram_free=memory.available,
    )
