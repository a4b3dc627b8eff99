"""Reading checkpoint files: the header without torch, tensors memory-mapped, pickles only as data.

safetensors (https://github.com/huggingface/safetensors, format): 8 bytes little-endian header length, a JSON object
{name: {dtype, shape, data_offsets}}, then the tensors' bytes. GGUF files, and several files
under an index, are read alike. A mapped file must not be rewritten in place: replace it by
renaming a new one over it.
"""

from __future__ import annotations

import json
import pickle
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import msgspec
import numpy as np

from engine.models import gguf_files, gguf_tensors
from engine.models.errors import CheckpointError, shortened
from engine.models.header import Header
from engine.models.shapes import Shape
from engine.models.shards import is_index, shards

if TYPE_CHECKING:
    from torch import Tensor

SAFETENSORS_SUFFIXES = (".safetensors", ".sft")
PICKLE_SUFFIXES = (".ckpt", ".pt", ".pth", ".bin")
CHECKPOINT_SUFFIXES = SAFETENSORS_SUFFIXES + PICKLE_SUFFIXES

_MAX_HEADER = 100_000_000
_DTYPE_BYTES = {"F64": 8, "I64": 8, "U64": 8, "F32": 4, "I32": 4, "U32": 4, "F16": 2, "BF16": 2, "I16": 2, "U16": 2}
_NUMPY_DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2"}
_REMAKE = "Download or export the file again."


class _Entry(msgspec.Struct):
    dtype: str
    shape: Shape
    data_offsets: tuple[int, int]


def read_header(path: Path) -> Header:
    """Return the tensor names, shapes, dtypes and metadata of a checkpoint file.

    A safetensors file is read up to the end of its header, without torch; a pickle is mapped by `torch.load` as data only.
    Raises CheckpointError naming the file and what is wrong with it.
    """
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(
            f"{path}: there is no such file. Expected a checkpoint ({', '.join((*CHECKPOINT_SUFFIXES, gguf_files.SUFFIX))})."
        )
    if is_index(path):
        return _joined(path)
    if path.suffix.lower() == gguf_files.SUFFIX:
        return gguf_tensors.read_header(path)
    if path.suffix.lower() in PICKLE_SUFFIXES:
        return _header_of(path, _load_pickle(path))
    return _safetensors_header(path)


def _joined(path: Path) -> Header:
    """Return the header of files that an index names, as if they were one."""
    places = shards(path)
    headers = {file: read_header(file) for file in dict.fromkeys(places.values())}
    if absent := [name for name, file in places.items() if name not in headers[file].shapes]:
        raise CheckpointError(
            f"{path}: its files lack {len(absent)} tensors that it names ({shortened(absent)}). {_REMAKE}"
        )
    return Header(
        path=str(path),
        shapes={name: headers[file].shapes[name] for name, file in places.items()},
        dtypes={name: headers[file].dtypes[name] for name, file in places.items()},
        metadata={name: value for header in headers.values() for name, value in header.metadata.items()},
    )


def _safetensors_header(path: Path) -> Header:
    entries, metadata, _ = _safetensors_table(path)
    shapes = {name: entry.shape for name, entry in entries.items()}
    return Header(path=str(path), shapes=shapes, dtypes={n: e.dtype for n, e in entries.items()}, metadata=metadata)


def _safetensors_table(path: Path) -> tuple[dict[str, _Entry], dict[str, str], int]:
    """Return the tensors' entries, the metadata, and where the tensors' bytes begin."""
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or length > min(size - 8, _MAX_HEADER):
            raise CheckpointError(_not_safetensors(path, size, length))
        raw = file.read(length)
    try:
        table = msgspec.json.decode(raw, type=dict[str, Any])
        metadata = {
            name: str(value) for name, value in msgspec.convert(table.pop("__metadata__", {}), dict[str, Any]).items()
        }
        entries = msgspec.convert(table, dict[str, _Entry])
    except (ValueError, RecursionError) as problem:
        raise CheckpointError(
            f"{path}: not a checkpoint: its header is no safetensors table ({problem}). {_REMAKE}"
        ) from problem
    needed = 8 + length + max((entry.data_offsets[1] for entry in entries.values()), default=0)
    if size < needed:
        raise CheckpointError(
            f"{path}: truncated: the header promises {needed} bytes, the file has {size} "
            f"({needed - size} are missing). {_REMAKE}"
        )
    return entries, metadata, 8 + length


def spread(path: Path, name: str) -> float:
    """Return the standard deviation of one tensor's values about their mean. Reads its bytes alone, and mostly without torch.

    Raises CheckpointError for a file that cannot be read and KeyError for a name that it does not hold.
    """
    path = Path(path)
    if path.suffix.lower() in SAFETENSORS_SUFFIXES:
        entry = _safetensors_table(path)[0][name]
        if entry.dtype in _NUMPY_DTYPES:
            values = np.frombuffer(read_bytes(path, [name])[name], _NUMPY_DTYPES[entry.dtype])
            if entry.dtype == "BF16":  # the upper half of a float32
                values = (values.astype(np.uint32) << 16).view(np.float32)
            return float(values.astype(np.float64).std())
    return float(load_tensors(path, [name])[name].double().std(correction=0))


def read_bytes(path: Path, names: Iterable[str]) -> dict[str, bytes]:
    """Return the bytes of small tensors by name, without torch where the file is no pickle.

    Raises CheckpointError for a file that cannot be read and KeyError for a name that it does not hold.
    """
    path, names = Path(path), list(names)
    if not names:
        return {}
    if path.suffix.lower() not in SAFETENSORS_SUFFIXES:
        return {name: value.contiguous().numpy().tobytes() for name, value in load_tensors(path, names).items()}
    entries, _, data = _safetensors_table(path)
    found = {}
    with path.open("rb") as file:
        for name in names:
            begin, end = entries[name].data_offsets
            file.seek(data + begin)
            found[name] = file.read(end - begin)
    return found


def _not_safetensors(path: Path, size: int, length: int) -> str:
    with path.open("rb") as file:
        start = file.read(64).lstrip()
    if start.startswith(b"version https://git-lfs"):
        return f"{path}: a Git LFS pointer of {size} bytes, not the file itself. Run `git lfs pull`."
    if start.startswith((b"<", b"{")):
        return f"{path}: a text or web page of {size} bytes, not a checkpoint. {_REMAKE}"
    if size >= 8 and start[:2] in (b"PK", b"\x80\x02"):
        return f"{path}: a pickle under a safetensors name. Rename it to .ckpt, or convert it to safetensors."
    found = "its header begins after 8" if size < 8 else f"its header would be {length} bytes long"
    return f"{path}: not a safetensors file, or truncated: it has {size} bytes, and {found}. {_REMAKE}"


def load_tensors(path: Path, names: Iterable[str] | None = None) -> dict[str, Tensor]:
    """Return tensors of a file by name (all, or `names`), on the CPU, mapped: bytes are read when they are used.

    Raises CheckpointError for a file that cannot be read and KeyError for a name that it does not hold.
    """
    path = Path(path)
    if is_index(path):
        return _load_shards(path, names)
    if path.suffix.lower() == gguf_files.SUFFIX:
        return gguf_tensors.load_tensors(path, names)
    if path.suffix.lower() in PICKLE_SUFFIXES:
        tensors = _load_pickle(path)
        return tensors if names is None else {name: tensors[name] for name in names}
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            return {name: file.get_tensor(name) for name in (file.keys() if names is None else names)}
    except (SafetensorError, OSError) as problem:
        read_header(path)  # which tells more of what is wrong
        raise CheckpointError(f"{path}: cannot be read as safetensors: {problem}. {_REMAKE}") from problem


def _load_shards(path: Path, names: Iterable[str] | None) -> dict[str, Tensor]:
    places = shards(path)
    wanted: dict[Path, list[str]] = {}
    for name in places if names is None else names:
        wanted.setdefault(places[name], []).append(name)
    return {name: value for file, those in wanted.items() for name, value in load_tensors(file, those).items()}


def unpickled(path: Path) -> Any:
    """Return what a pickle holds, data only: tensors, numbers, text, lists and dicts. Raises CheckpointError."""
    try:
        return _torch_load(path)
    except pickle.UnpicklingError as problem:
        raise CheckpointError(_refused_pickle(path, str(problem))) from problem
    except (RuntimeError, EOFError, ValueError, KeyError, AttributeError, TypeError, OSError, IndexError) as problem:
        reason = str(problem).splitlines()[0] if str(problem) else type(problem).__name__
        raise CheckpointError(f"{path}: not a checkpoint, or truncated: {reason}. {_REMAKE}") from problem


def _load_pickle(path: Path) -> dict[str, Tensor]:
    import torch

    loaded = unpickled(path)
    for level in ("state_dict", "model", "params_ema", "params"):
        if isinstance(loaded, dict) and isinstance(loaded.get(level), dict):
            loaded = loaded[level]
    flat = _flat(loaded, "") if isinstance(loaded, dict) else {}
    tensors = {name: value for name, value in flat.items() if isinstance(value, torch.Tensor)}
    if not tensors:
        raise CheckpointError(f"{path}: holds no tensors by name, but {type(loaded).__name__}. Expected a state dict.")
    return tensors


def _torch_load(path: Path) -> Any:
    import warnings

    import torch

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Detected pickle protocol", UserWarning)  # the refusal says what is wrong
        try:
            return torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        except RuntimeError as problem:
            if "mmap can only be used" not in str(problem):
                raise
        return torch.load(path, map_location="cpu", weights_only=True)


def _refused_pickle(path: Path, reason: str) -> str:
    asked = re.search(r"(?:GLOBAL|global)\s+([\w.]+)", reason)
    if asked and asked[1] != "was":
        return (
            f"{path}: refused: this pickle asks for {asked[1]}, which could run code. Expected tensors and plain data "
            "only. Nothing was run. Use a safetensors version of the file."
        )
    # torch's own text goes on to advise weights_only=False, which is the one thing not to do.
    detail = re.search(r"WeightsUnpickler error:\s*(.+)", reason)
    why = f" ({detail[1].strip().rstrip('.')})" if detail else ""
    return f"{path}: refused: damaged, or not a pickle of tensors{why}. Nothing was run. Use a safetensors version."


def _flat(table: Mapping[Any, Any], prefix: str) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in table.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = value
    return flat


def _header_of(path: Path, tensors: Mapping[str, Tensor]) -> Header:
    names = {"torch.float32": "F32", "torch.float16": "F16", "torch.bfloat16": "BF16", "torch.float64": "F64"}
    dtypes = {name: names.get(str(value.dtype), str(value.dtype)) for name, value in tensors.items()}
    return Header(path=str(path), shapes={n: tuple(v.shape) for n, v in tensors.items()}, dtypes=dtypes, metadata={})


def tensor_bytes(header: Header, names: Iterable[str]) -> int:
    """Return how many bytes the tensors `names` take in the file."""
    total = 0
    for name in names:
        count = 1
        for side in header.shapes[name]:
            count *= side
        dtype = header.dtypes[name]
        if dtype.startswith(gguf_files.BLOCKS):
            kind = gguf_files.kind_named(dtype.removeprefix(gguf_files.BLOCKS))
            total += count // kind.numbers * kind.size
        else:
            total += count * _DTYPE_BYTES.get(dtype, 1)
    return total


class Fit(msgspec.Struct, frozen=True):
    """How the tensors of a file fit a module: names it lacks, names the module lacks, and (name, expected, got)."""

    missing: list[str]
    unexpected: list[str]
    mismatched: list[tuple[str, Shape, Shape]]

    @property
    def complete(self) -> bool:
        """True when every tensor of the module is there in its shape; tensors too many do no harm."""
        return not self.missing and not self.mismatched

    def describe(self) -> str:
        """Say what does not fit, long lists shortened."""
        parts = []
        if self.missing:
            parts.append(f"{len(self.missing)} tensors missing ({shortened(self.missing)})")
        if self.mismatched:
            shown = [f"{n}: expected {list(want)}, got {list(got)}" for n, want, got in self.mismatched]
            parts.append(f"{len(shown)} of another shape ({shortened(shown)})")
        if self.unexpected:
            parts.append(f"{len(self.unexpected)} unexpected ({shortened(self.unexpected)})")
        return "; ".join(parts) or "all tensors fit"


def fit(expected: Mapping[str, Shape], got: Mapping[str, Shape]) -> Fit:
    """Compare the tensors a module needs with those at hand."""
    return Fit(
        missing=[name for name in expected if name not in got],
        unexpected=[name for name in got if name not in expected],
        mismatched=[(n, s, got[n]) for n, s in expected.items() if n in got and tuple(got[n]) != tuple(s)],
    )


# --- diffusers folders ----------------------------------------------------------------------------------------------

_WEIGHT_FILES = (
    "diffusion_pytorch_model.safetensors",
    "diffusion_pytorch_model.fp16.safetensors",
    "model.safetensors",
    "model.fp16.safetensors",
    "diffusion_pytorch_model.bin",
    "pytorch_model.bin",
    *(f"{name}.safetensors.index.json" for name in ("diffusion_pytorch_model", "model")),
    *(f"{name}.safetensors.index.fp16.json" for name in ("diffusion_pytorch_model", "model")),
    *(f"{name}.bin.index.json" for name in ("diffusion_pytorch_model", "pytorch_model")),
)


_READ = ("bitsandbytes", "torchao")
"""Libraries whose quantised weights are read."""


class Component(msgspec.Struct, frozen=True):
    """One part of a diffusers folder: its weights file and its config."""

    weights: Path
    config: dict[str, Any]


def is_diffusers_folder(path: Path) -> bool:
    """Tell a diffusers model folder by its index or by a U-Net's config."""
    return (path / "model_index.json").is_file() or any(
        (path / name / "config.json").is_file() for name in ("unet", "transformer")
    )


def folder_component(folder: Path, name: str) -> Component | None:
    """Return the part `name` ("unet", "vae", "text_encoder") of a diffusers folder; None when the folder has no such part.

    Raises CheckpointError when the part is there without config or weights. `name` "" reads a folder that is one part.
    """
    part = folder / name
    if not part.is_dir():
        return None
    config = read_json(part / "config.json")
    method = (config.get("quantization_config") or {}).get("quant_method")
    if method not in (None, *_READ):
        raise CheckpointError(
            f"{part}: its weights were quantised by {method}, which is not read here. Use the model in bf16, fp16 or fp8, "
            f"as GGUF, or quantised by {' or '.join(_READ)}."
        )
    weights = next((part / file for file in _WEIGHT_FILES if (part / file).is_file()), None)
    if weights is None:
        raise CheckpointError(f"{part}: no weights. Expected one of {', '.join(_WEIGHT_FILES)}.")
    if method == "torchao" and weights.name.removesuffix(".index.json").endswith(PICKLE_SUFFIXES):
        raise CheckpointError(
            f"{weights}: refused: weights quantised by torchao in a pickle are objects of that library, which could run code. "
            "Nothing was run. Save the model as safetensors, with torchao 0.16 or later (`save_pretrained`), or use another file."
        )
    return Component(weights, config)


def read_json(path: Path) -> dict[str, Any]:
    """Return a JSON object from a file; CheckpointError when it is missing or holds something else."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CheckpointError(f"{path}: there is no such file. Expected the JSON config of this model part.") from None
    except (OSError, ValueError) as problem:
        raise CheckpointError(f"{path}: not JSON: {problem}") from problem
    if not isinstance(value, dict):
        raise CheckpointError(f"{path}: expected a JSON object, got {type(value).__name__}")
    return cast("dict[str, Any]", value)
