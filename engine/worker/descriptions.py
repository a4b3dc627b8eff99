"""Values of links in words and numbers, for people who point at a link."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final, Literal

from engine.cache.digests import is_array, is_tensor
from engine.cache.memory import size_of
from engine.execute.summaries import describe
from engine.jobs.values import Histogram, Part, ValueDescription
from engine.models.handles import ModelHandle

if TYPE_CHECKING:
    from torch import Tensor

BINS: Final = 64
LONGEST_TEXT: Final = 4_000
MOST_PARTS: Final = 24
FEW_NUMBERS: Final = 256
"""As many numbers of one row (noise levels, weights) are told as they are."""

MOST_COUNTED: Final = 1 << 22
"""Of a larger tensor every n-th number is looked at, which is enough for range and histogram."""

Kind = Literal[
    "image", "mask", "latent", "conditioning", "audio", "tensor", "text", "number", "boolean", "model", "other"
]
_BY_TYPE: Final[Mapping[str, Kind]] = {
    "MODEL": "model",
    "CLIP": "model",
    "VAE": "model",
    "CONTROL_NET": "model",
    "CLIP_VISION": "model",
}


def description(value: Any, type: str = "") -> ValueDescription:
    """Describe `value`, which came out of a socket of `type` ("": of one that is not known)."""
    kind = kind_of(value, type)
    told = ValueDescription(summary=describe(value), kind=kind, type=type, bytes=size_of(value))
    told.picture = kind in ("image", "mask", "latent")
    main = main_tensor(value)
    if main is not None:
        _tell_tensor(told, main)
    if isinstance(value, str):
        told.text, told.cut = value[:LONGEST_TEXT], len(value) > LONGEST_TEXT
    elif isinstance(value, bool | int | float):
        told.value = value if not isinstance(value, float) or math.isfinite(value) else str(value)
    told.parts = [Part(name[:80], summary[:400]) for name, summary in _parts(value)][:MOST_PARTS]
    return told


def kind_of(value: Any, type: str) -> Kind:
    """What a value is: by its own form, and by its socket's type where several have the same form."""
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    if isinstance(value, str):
        return "text"
    if isinstance(value, dict):
        if is_tensor(value.get("samples")):
            return "latent"
        return "audio" if is_tensor(value.get("waveform")) else "other"
    if is_tensor(value) or is_array(value):
        return _kind_of_tensor(value, type)
    if _is_conditioning(value):
        return "conditioning"
    return _BY_TYPE.get(type, "model" if hasattr(value, "identity") and hasattr(value, "source") else "other")


def _kind_of_tensor(value: Any, type: str) -> Kind:
    if value.ndim == 4 and value.shape[-1] in (1, 3, 4) and type in ("IMAGE", "", "*"):
        return "image"
    if (value.ndim == 3 and type in ("MASK", "", "*")) or (value.ndim == 2 and type == "MASK"):
        return "mask"
    return "tensor"


def main_tensor(value: Any) -> Any:
    """The tensor or array that stands for `value`: itself, or the first one in it; None when there is none."""
    if is_tensor(value) or is_array(value):
        return value
    if isinstance(value, dict):
        return next((one for key in ("samples", "waveform") if is_tensor(one := value.get(key))), None)
    return value[0][0] if _is_conditioning(value) else None


def _is_conditioning(value: Any) -> bool:
    return (
        isinstance(value, list)
        and bool(value)
        and isinstance(value[0], list | tuple)
        and len(value[0]) == 2
        and is_tensor(value[0][0])
        and isinstance(value[0][1], dict)
    )


# -- tensors


def _tell_tensor(told: ValueDescription, value: Any) -> None:
    import torch

    tensor: Tensor = torch.as_tensor(value).detach()
    told.shape = list(tensor.shape)
    told.dtype = str(tensor.dtype).removeprefix("torch.")
    told.device = str(tensor.device)
    if not tensor.numel() or tensor.is_complex():
        return
    flat = tensor.reshape(-1)
    flat = flat[:: max(1, flat.numel() // MOST_COUNTED)].to("cpu", torch.float32)
    finite = flat[torch.isfinite(flat)]
    told.not_finite = flat.numel() - finite.numel()
    if finite.numel():
        low, high = float(finite.min()), float(finite.max())
        told.min, told.max, told.mean = low, high, float(finite.mean())
        told.std = float(finite.std(correction=0))
        told.histogram = _histogram(finite, low, high)
    if tensor.ndim <= 1 and 1 < tensor.numel() <= FEW_NUMBERS and not told.not_finite:
        told.numbers = flat.tolist()


def _histogram(numbers: Tensor, low: float, high: float) -> Histogram:
    counts = numbers.histc(BINS, low, high) if high > low else numbers.new_tensor([numbers.numel()])
    return Histogram(low, high, [int(count) for count in counts])


# -- parts


def _parts(value: Any) -> Iterable[tuple[str, str]]:
    if isinstance(value, dict):
        return [(str(key), describe(item)) for key, item in value.items()]
    if _is_conditioning(value):
        return [(str(index), _condition(*entry)) for index, entry in enumerate(value)]
    if isinstance(value, list | tuple):
        return [(str(index), describe(item)) for index, item in enumerate(value[:MOST_PARTS])]
    return _handle_parts(value)


def _condition(tensor: Any, options: Mapping[str, Any]) -> str:
    told = ", ".join(f"{key}: {describe(item)}" for key, item in options.items() if item is not None)
    return f"{describe(tensor)}{'; ' if told else ''}{told}"


def _handle_parts(value: Any) -> list[tuple[str, str]]:
    """A model handle: which file, which family, what was patched. Folders of this machine are not told."""
    source = getattr(value, "source", None)
    path = getattr(source, "path", None)
    if not isinstance(path, str):
        return []
    found = [("file", path.replace("\\", "/").rsplit("/", 1)[-1])]
    if isinstance(family := getattr(value, "family", None), str):
        found.append(("family", family))
    if isinstance(value, ModelHandle):
        found += [
            ("prediction", str(getattr(value.parameterization, "prediction", type(value.parameterization).__name__)))
        ]
        for patch in value.patches:
            if patch.kind == "scale":
                found.append((patch.kind, f"{' '.join(patch.within)} times {patch.keep:g}"))
                continue
            name = patch.source.path.replace("\\", "/").rsplit("/", 1)[-1]
            found.append((patch.kind, f"{name}, strength {patch.strength:g}"))
        found += [("option", key) for key in value.options]
    return found
