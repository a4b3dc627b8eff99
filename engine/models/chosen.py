"""On which device, and in which precision, a model is computed where nodes chose that themselves."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from engine.models.handles import ClipHandle, Handle, ModelHandle

DEVICE: Final = "device"
"""Option of a model handle: the device that SelectModelDevice chose for it."""

COMPUTE: Final = "compute_dtype"
"""Option of a model handle: what ModelComputeDtype chose for it, as torch calls it."""


def on_device(handle: Any, device: str) -> Any:
    """Return a handle of a model, a text encoder or a VAE that is computed on a device; "" for that of its worker."""
    if isinstance(handle, ModelHandle):
        return _with_option(handle, DEVICE, device)
    if isinstance(handle, ClipHandle):
        return handle.with_towers(msgspec.structs.replace(tower, device=device) for tower in handle.towers)
    return msgspec.structs.replace(handle, device=device)


def in_precision(handle: ModelHandle, dtype: str) -> ModelHandle:
    """Return a model that is computed in a dtype of torch; "" for that of its worker."""
    return _with_option(handle, COMPUTE, dtype)


def device_of(handle: Handle, own: str) -> str:
    """Return where a model is computed by a worker of the device `own`: there, unless another was chosen that is there too."""
    told = handle.options.get(DEVICE) if isinstance(handle, ModelHandle) else getattr(handle, "device", "")
    return told if told and is_there(told) and not same(told, own) else own


def dtype_of(handle: Handle) -> str | None:
    """Return the dtype that was chosen for a model, None where none was."""
    return handle.options.get(COMPUTE) if isinstance(handle, ModelHandle) else None


def is_there(device: str) -> bool:
    """Whether this machine has a device, called as torch does."""
    if device == "cpu":
        return True
    import torch

    return device.startswith("cuda:") and int(device.removeprefix("cuda:")) < torch.cuda.device_count()


def same(one: str, other: str) -> bool:
    """Whether two names mean the same device: `cuda` is the first card."""
    return one.replace("cuda:0", "cuda") == other.replace("cuda:0", "cuda")


def _with_option(handle: ModelHandle, name: str, value: str) -> ModelHandle:
    options = {key: kept for key, kept in handle.options.items() if key != name}
    return msgspec.structs.replace(handle, options=options | ({name: value} if value else {}))
