"""Files with packed weights, read as if they were not: shapes are those of the unpacked weights, tensors stay packed in memory.

What a file tells of a layer's packing is the JSON object in its tensor `NAME.comfy_quant` (or `NAME.weight.quant_state.…` of
bitsandbytes), else in the metadata entry `_quantization_metadata` ({"layers": {NAME: object or name of the format}}), else in
torchao's of the weight's name (`engine.models.packed.flattened`). No torch but for tensors.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from engine.models import checkpoints
from engine.models.errors import CheckpointError
from engine.models.gguf_files import SUFFIX
from engine.models.header import Header
from engine.models.packed.base import Packing, all_formats, module_of
from engine.models.packed.flattened import as_weights
from engine.models.shapes import Facts
from engine.models.shards import is_index

if TYPE_CHECKING:
    from torch import Tensor

_TOLD = ".comfy_quant"
_STATE = ".quant_state.bitsandbytes__"
_METADATA = "_quantization_metadata"
_ELSEWHERE = ".qweight"
_KERNELS = {
    "nunchaku": {"wscales"},
    "AWQ or GPTQ": {"qzeros", "scales"},
}
"""Whose kernels' order a weight `NAME.qweight` has, by what stands beside it."""
_FLOATS = ("F64", "F32", "F16", "BF16")


class Contents(Header, frozen=True, kw_only=True):
    """A header as it is with every weight unpacked, and how the packed ones are kept: `packings` by name.

    `called`: what the file calls a tensor of another name here.
    """

    packings: dict[str, Packing]
    packed_bytes: dict[str, int]
    called: dict[str, str] = msgspec.field(default_factory=dict)


def read_header(path: Path) -> Contents:
    """Return what a file holds, with the shapes of unpacked weights and nothing of what is kept beside them.

    What was found in a file is remembered while its size and time stay: a model's file is looked at by its loader, by each LoRA
    that is put on it, and when it is loaded. Raises CheckpointError for a file that cannot be read, or with weights packed in a
    way that is not known.
    """
    path = Path(path)
    if (
        is_index(path) or path.suffix.lower() == SUFFIX or not path.is_file()
    ):  # other files belong to it, with their own times
        return _contents(path)
    found = path.stat()
    return _remembered(path, (found.st_ino, found.st_size, found.st_mtime_ns))


@lru_cache(maxsize=16)
def _remembered(path: Path, stamp: tuple[int, int, int]) -> Contents:
    return _contents(path)


def _contents(path: Path) -> Contents:
    raw, called, flat = as_weights(checkpoints.read_header(path))
    _check_elsewhere(raw)
    told = flat | _told(raw)
    names = _weights(raw)
    packings = {name: packing for name in names if (packing := _packing(raw, name, told.get(_layer(name), {})))}
    _check(raw, [name for name in names if name not in packings], told)
    return Contents(
        path=raw.path,
        shapes={name: packings[name].shape if name in packings else raw.shapes[name] for name in names},
        dtypes={name: raw.dtypes[name] for name in names},
        metadata=raw.metadata,
        packings=packings,
        packed_bytes={
            name: checkpoints.tensor_bytes(raw, packing.parts.values())
            for name, packing in packings.items()
            if _stays(packing)
        },
        called=called,
    )


def load_tensors(header: Contents, names: Iterable[str]) -> dict[str, Tensor]:
    """Return tensors by name, mapped, on the CPU: those with two or more dimensions that the file packs stay packed.

    Raises CheckpointError for a file that cannot be read and KeyError for a name that it does not hold.
    """
    from engine.models.packed.tensor import PackedTensor, Stored

    names = list(names)
    parts = {name: packing.parts for name in names if (packing := header.packings.get(name))}
    wanted = {name: None for name in names if name not in parts}
    wanted |= {part: None for those in parts.values() for part in those.values()}
    in_file = {name: header.called.get(name, name) for name in wanted}
    loaded = checkpoints.load_tensors(Path(header.path), in_file.values())
    tensors = {name: loaded[kept] for name, kept in in_file.items()}
    found: dict[str, Tensor] = {}
    for name in names:
        if name not in parts:
            found[name] = tensors[name]
            continue
        import torch

        packing, form = header.packings[name], all_formats()[header.packings[name].format]
        here = form.prepared({role: tensors[part] for role, part in parts[name].items()}, packing.facts, packing.shape)
        kept = Stored(form, here, packing.facts, packing.shape)
        found[name] = PackedTensor(kept, torch.float32) if _stays(packing) else kept.unpacked()
    return found


def _stays(packing: Packing) -> bool:
    """Whether a weight stays packed: vectors take nothing, and are used in more ways than matrices."""
    return len(packing.shape) > 1 and not packing.whole


def _weights(raw: Header) -> list[str]:
    """The names of a file's tensors without those that only tell how others are packed."""
    beside = {role for form in all_formats().values() for role in form.BESIDE}
    return [name for name in raw.shapes if name.rpartition(".")[2] not in beside and not name.endswith(_TOLD)]


def _packing(raw: Header, name: str, told: Facts) -> Packing | None:
    for form in all_formats().values():
        if packing := form.found(raw, name, told):
            return packing
    return None


def _told(raw: Header) -> dict[str, Facts]:
    """What a file tells of how its layers are packed, by module."""
    layers = _object(raw, raw.metadata.get(_METADATA, "{}"), f"metadata {_METADATA}").get("layers", {})
    if not isinstance(layers, Mapping):
        raise CheckpointError(f"{raw.path}: metadata {_METADATA}: expected an object as `layers`, got {layers!r}.")
    told: dict[str, Facts] = {
        str(module): facts if isinstance(facts, Mapping) else {"format": facts} for module, facts in layers.items()
    }
    names = [name for name in raw.shapes if name.endswith(_TOLD) or _STATE in name]
    for name, text in checkpoints.read_bytes(Path(raw.path), names).items():
        module = module_of(name.partition(_STATE)[0]) if _STATE in name else name.removesuffix(_TOLD)
        told[module] = _object(raw, text, f"tensor {name}")
    return told


def _object(raw: Header, text: str | bytes, where: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError as problem:
        raise CheckpointError(f"{raw.path}: {where} is not JSON: {problem}") from problem
    if not isinstance(found, dict):
        raise CheckpointError(f"{raw.path}: {where}: expected a JSON object, got {type(found).__name__}")
    return found


def _layer(name: str) -> str:
    """The layer that a weight or a bias is of."""
    return module_of(name).removesuffix(".bias")


def _check_elsewhere(raw: Header) -> None:
    """Raise CheckpointError for weights in the order of another library's kernels, which stand under names of their own."""
    if (name := next((one for one in raw.shapes if one.endswith(_ELSEWHERE)), None)) is None:
        return
    beside = {one.rpartition(".")[2] for one in raw.shapes if one.rpartition(".")[0] == name.removesuffix(_ELSEWHERE)}
    known = [way for way, roles in _KERNELS.items() if roles <= beside]
    how = f"in the order of the kernels of {known[0]}" if known else f"beside {', '.join(sorted(beside))}"
    raise CheckpointError(
        f"{raw.path}: {name} is kept {how}, which is not read. Use the model in bf16, fp16 or fp8, as GGUF, or in one of: "
        f"{', '.join(sorted(told for form in all_formats().values() for told in form.TOLD))}."
    )


def _check(raw: Header, names: Iterable[str], told: Mapping[str, Facts]) -> None:
    """Raise CheckpointError when a weight that no format takes is not plain: as numbers it would be noise."""
    known = sorted(name for form in all_formats().values() for name in form.TOLD)
    for name in names:
        facts, here = told.get(module_of(name), {}), f"{raw.dtypes[name]} {list(raw.shapes[name])}"
        if facts and name.endswith(".weight"):
            how = f"is packed as {facts.get('format', facts.get('quant_type'))!r}, which does not go with {here}"
        elif raw.dtypes[name] in _FLOATS or not name.endswith((".weight", ".bias")):
            continue
        else:
            scales = [other for other in raw.shapes if other.startswith(f"{module_of(name)}.") and "scale" in other]
            shown = ", ".join(f"{other.rpartition('.')[2]} {list(raw.shapes[other])}" for other in scales) or "no scale"
            how = f"is kept as {here} with {shown}, and nothing tells how it is packed"
        raise CheckpointError(
            f"{raw.path}: {name} {how}. Expected bf16, fp16, fp32, fp8, or metadata (tensors *{_TOLD}, or "
            f"{_METADATA}) with one of: {', '.join(known)}. "
            "Use a complete file, or one in bf16, fp16 or fp8."
        )
