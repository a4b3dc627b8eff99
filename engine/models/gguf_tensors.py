"""Tensors of GGUF files as safetensors files have them: names, order of rows and values of transformers. No torch for headers.

Text encoders are in llama.cpp's names (`gguf_names`). Of some architectures it changed values when it wrote the file, which is
undone here on the rows as they are kept, so that packed ones stay packed. Large ones may be in parts (`NAME-00001-of-00003.gguf`)
and a language model's vision tower is in a file of its own beside it, whose name has `mmproj`: they are read as if they were one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from engine.models import gguf_names
from engine.models.errors import CheckpointError, shortened
from engine.models.gguf_files import ARCHITECTURE, BLOCKS, NUMPY, SUFFIX, Entry, table
from engine.models.header import Header
from engine.models.shapes import Shape

if TYPE_CHECKING:
    from torch import Tensor

_TABLE = "token_embd.weight"
_PART = re.compile(r"(.*-)(\d{5})(-of-\d{5}\.gguf)", re.IGNORECASE)
_PROJECTORS = ("clip.projector_type", "clip.vision.projector_type")


class _Kept(NamedTuple):
    """A tensor and how it is made of those of the file: laid one after the other, or stacked along a new third dimension.

    `heads`: whose halves are interleaved; `raised`: whether it is one too large.
    """

    shape: Shape
    dtype: str
    file: Path
    parts: tuple[Entry, ...]
    stacked: bool = False
    heads: int = 0
    raised: bool = False


def read_header(path: Path) -> Header:
    """Return the names, shapes and dtypes of a GGUF file; metadata has `gguf.architecture`, and what its facts tell.

    Raises CheckpointError naming the file and what is wrong with it.
    """
    kept = _tensors(path)
    architecture, told = _about(path)
    facts = _text_facts(path, architecture, told)
    return Header(
        path=str(path),
        shapes={name: one.shape for name, one in kept.items()},
        dtypes={name: one.dtype for name, one in kept.items()},
        metadata={"gguf.architecture": architecture, **({"safelight.config": json.dumps(facts)} if facts else {})},
    )


def load_tensors(path: Path, names: Iterable[str] | None = None) -> dict[str, Tensor]:
    """Return tensors by name, on the CPU: plain ones in their shape, those in blocks as bytes (N,).

    They are mapped where the file has them as they are. Raises CheckpointError for a file that cannot be read and KeyError for
    a name that it does not hold.
    """
    kept = _tensors(path)
    files: dict[Path, Any] = {}
    found = {}
    for name in kept if names is None else names:
        one = kept[name]
        if one.file not in files:
            files[one.file] = np.memmap(one.file, mode="c")
        found[name] = _loaded(one, files[one.file])
    return found


def files_beside(path: Path) -> list[Path]:
    """Return the files that are read together with one: its further parts, and its vision tower.

    Raises CheckpointError for a file that cannot be read, and when a part is not there.
    """
    path = Path(path)
    if path.suffix.lower() != SUFFIX:
        return []
    tower = picture_file(path)
    return [*_parts(path, table(path)[1]), *([tower] if tower else [])]


def _parts(path: Path, told: Mapping[str, Any]) -> list[Path]:
    """Return the parts of a file after the first, which is the one that is opened; [] where it is whole."""
    count, number = told.get("split.count", 1), told.get("split.no", 0)
    if not isinstance(count, int) or count < 2:
        return []
    match = _PART.fullmatch(path.name)
    if match is None or number != 0 or int(match[2]) != 1:
        raise CheckpointError(
            f"{path}: part {number + 1} of {count} of a GGUF file. Expected the first, whose name ends with "
            f"-00001-of-{count:05d}.gguf: choose that one, with the others beside it under their own names."
        )
    parts = [path.with_name(f"{match[1]}{one:05d}{match[3]}") for one in range(2, count + 1)]
    if missing := [part.name for part in parts if not part.is_file()]:
        raise CheckpointError(
            f"{path}: {len(missing)} of its {count} parts are missing ({shortened(missing)}). Download them into {path.parent}."
        )
    return parts


def picture_file(path: Path) -> Path | None:
    """Return the file beside a language model that has its vision tower; None where there is none, or it sees nothing.

    Of several that with the width of the model, whose name begins most like its.
    """
    path = Path(path)
    if path.suffix.lower() != SUFFIX:
        return None
    architecture, _ = _about(path)
    if (projector := gguf_names.SEEING.get(architecture)) is None:
        return None
    tokens = _entries(path).get(_TABLE)
    width = tokens[1].shape[-1] if tokens else 0
    beside = (one for one in sorted(path.parent.glob("*")) if one.suffix.lower() == SUFFIX and one != path)
    fitting = [one for one in beside if "mmproj" in one.name.lower() and _is_tower(one, projector, width)]
    return max(fitting, key=lambda one: _alike(one.name.lower(), path.name.lower()), default=None)


def _alike(one: str, other: str) -> int:
    """How many letters two names begin with alike."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((number for number, (mine, theirs) in pairs if mine != theirs), min(len(one), len(other)))


def _is_tower(path: Path, projector: str, width: int) -> bool:
    try:
        entries, told = table(path)
    except CheckpointError:  # another file's fault is not this model's
        return False
    last = entries.get("mm.2.weight")
    return any(told.get(name) == projector for name in _PROJECTORS) and last is not None and last.shape[0] == width


def _about(path: Path) -> tuple[str, dict[str, Any]]:
    _, told = table(path)
    return str(told.get(ARCHITECTURE, "")), told


def _entries(path: Path) -> dict[str, tuple[Path, Entry]]:
    """Return the tensors of a file and of its further parts by the names that these have for them, each with its file."""
    first, told = table(path)
    found = {name: (path, entry) for name, entry in first.items()}
    for part in _parts(path, told):
        found |= {name: (part, entry) for name, entry in table(part)[0].items()}
    return found


def _tensors(path: Path) -> dict[str, _Kept]:
    entries = _entries(path)
    architecture, told = _about(path)
    if _TABLE in entries and architecture not in (*gguf_names.LANGUAGE, *gguf_names.T5):
        raise CheckpointError(
            f"{path}: a language model of the architecture {architecture!r} in llama.cpp's names, expected one of "
            f"{', '.join((*gguf_names.LANGUAGE, *gguf_names.T5))}. Use the text encoder as safetensors."
        )
    kept = {}
    for name, (file, entry) in entries.items():
        ours = gguf_names.renamed(name, architecture)
        kept[ours] = _Kept(entry.shape, entry.dtype, file, (entry,))
        if architecture in gguf_names.TURNED and (heads := _heads(path, name, architecture, told)):
            kept[ours] = kept[ours]._replace(heads=heads)
        if architecture in gguf_names.RAISED and name.endswith("norm.weight"):
            kept[ours] = kept[ours]._replace(raised=True, dtype="F32")
    if architecture not in gguf_names.SEEING:
        return kept
    if (tower := picture_file(path)) is None and architecture == "qwen3vl":
        raise CheckpointError(
            f"{path}: Qwen3-VL without its vision tower, which was expected beside it in a file of its own, with `mmproj` in "
            f"its name. Put it into {path.parent}."
        )
    return kept | (_vision(tower, architecture) if tower else {})


def _heads(path: Path, name: str, architecture: str, told: Mapping[str, Any]) -> int:
    """Return in how many heads the rows of a tensor are, 0 where it is none of queries or keys."""
    kind = next((kind for kind in ("attn_q", "attn_k") if f".{kind}." in name), None)
    if kind is None:
        return 0
    fact = f"{architecture}.attention.head_count"
    count = told.get(f"{fact}_kv", told.get(fact)) if kind == "attn_k" else told.get(fact)
    if not isinstance(count, int) or count < 1:
        raise CheckpointError(
            f"{path}: {fact} is {count!r}, where the number of heads was expected, by which {name} is read."
        )
    return count


def _vision(path: Path, architecture: str) -> dict[str, _Kept]:
    entries, _ = table(path)
    found = {}
    for name, parts in gguf_names.seen(entries, architecture).items():
        those = tuple(entries[part] for part in parts)
        first = those[0]
        stacked = len(those) > 1 and name.startswith(gguf_names.PATCHES)
        alike = all((one.dtype, one.shape[1:]) == (first.dtype, first.shape[1:]) for one in those)
        if not alike or (stacked and first.dtype.startswith(BLOCKS)):
            kinds = [f"{part} {one.dtype} {list(one.shape)}" for part, one in zip(parts, those, strict=True)]
            raise CheckpointError(f"{path}: expected {name} in parts of one kind, got {shortened(kinds)}.")
        if stacked:
            shape = (*first.shape[:2], len(those), *first.shape[2:])
        else:
            shape = (sum(one.shape[0] for one in those), *first.shape[1:])
        found[f"visual.{name}"] = _Kept(shape, first.dtype, path, those, stacked=stacked)
    return found


def _loaded(one: _Kept, data: Any) -> Tensor:
    import torch

    parts = [data[entry.begin : entry.begin + entry.size] for entry in one.parts]
    if one.stacked:
        sides = (-1, one.shape[1], 1, *one.shape[3:])
        whole = np.concatenate([part.view(NUMPY[one.dtype]).reshape(sides) for part in parts], axis=2).view("u1")
        parts = [whole.reshape(-1)]
    kept = parts[0] if len(parts) == 1 else np.concatenate(parts)
    if one.heads:
        rows = kept.reshape(one.heads, one.shape[0] // one.heads // 2, 2, -1)
        kept = np.ascontiguousarray(rows.swapaxes(1, 2)).reshape(-1)
    if one.dtype.startswith(BLOCKS):
        return torch.from_numpy(kept)
    dtype = one.parts[0].dtype
    value = torch.from_numpy(kept.view(NUMPY[dtype]))
    value = (value.view(torch.bfloat16) if dtype == "BF16" else value).reshape(one.shape)
    return value.float() - 1.0 if one.raised else value


def _text_facts(path: Path, architecture: str, told: Mapping[str, Any]) -> dict[str, Any]:
    """What the facts of a text encoder tell that its tensors do not, in the words of `safelight.config`."""
    if architecture not in (*gguf_names.LANGUAGE, *gguf_names.T5):
        return {}
    names = {"norm_eps": "attention.layer_norm_rms_epsilon"}
    if architecture in gguf_names.LANGUAGE:
        names |= {"heads": "attention.head_count", "head_dim": "attention.key_length", "rope_theta": "rope.freq_base"}
    found = {ours: told.get(f"{architecture}.{theirs}") for ours, theirs in names.items()}
    text: dict[str, Any] = {name: _number(value) for name, value in found.items() if isinstance(value, (int, float))}
    if isinstance(sections := told.get(f"{architecture}.rope.dimension_sections"), tuple):
        text["mrope_section"] = list(sections[:3])  # the fourth is of nothing
    tower = picture_file(path)
    return {"text": text | ({"vision": _vision_facts(tower)} if tower else {})}


def _vision_facts(path: Path) -> dict[str, Any]:
    entries, told = table(path)
    found: dict[str, Any] = {}
    if heads := told.get("clip.vision.attention.head_count"):
        found["num_heads"] = heads
    if merged := told.get("clip.vision.spatial_merge_size"):
        found["spatial_merge_size"] = merged
    if (every := told.get("clip.vision.n_wa_pattern")) and (depth := told.get("clip.vision.block_count")):
        found["fullatt_block_indexes"] = list(range(every - 1, depth, every))
    if deep := gguf_names.deep_layers(entries):
        found["deepstack_visual_indexes"] = deep
    return found


def _number(value: float) -> float:
    """A float32 as the shortest decimal number that it is: 1e-06, not 9.999999974752427e-07."""
    return value if isinstance(value, int) else float(str(np.float32(value)))
