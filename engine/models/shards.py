"""Weights in several files, of which an index tells who has which tensor: `NAME.safetensors.index.json`. No torch."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import xxhash

from engine.models.errors import CheckpointError, shortened
from engine.models.gguf_tensors import files_beside


def is_index(path: Path) -> bool:
    """Say whether a path is that of an index, with or without a variant (`….index.fp16.json`)."""
    return path.suffix == ".json" and ".index" in path.suffixes


def shards(path: Path) -> dict[str, Path]:
    """Return {tensor name: file beside the index `path` that has it}.

    Raises CheckpointError for an index that is none, and when a file that it names is not there.
    """
    try:
        table: Any = json.loads(path.read_text(encoding="utf-8"))
        found = {str(name): str(file) for name, file in table["weight_map"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as problem:
        raise CheckpointError(
            f"{path}: not an index of weights: expected a JSON object with `weight_map`: {problem!r}. Download it again."
        ) from problem
    files = dict.fromkeys(found.values())
    if strangers := [file for file in files if Path(file).name != file]:
        raise CheckpointError(f"{path}: names {shortened(strangers)}, where files beside it were expected.")
    if missing := [file for file in files if not (path.parent / file).is_file()]:
        raise CheckpointError(
            f"{path}: {len(missing)} of its {len(files)} files are missing ({shortened(missing)}). "
            f"Download them into {path.parent}."
        )
    return {name: path.parent / file for name, file in found.items()}


def with_shards(files: Callable[[Path], str]) -> Callable[[Path], str]:
    """Return what names a file by its content as `files` does, and one that is read with others by all their contents.

    These are an index with its files, and a GGUF file with its further parts and its vision tower.
    """

    def digest(path: Path) -> str:
        path = Path(path)
        if is_index(path):
            parts = [path, *dict.fromkeys(shards(path).values())]
        elif beside := files_beside(path):
            parts = [path, *beside]
        else:
            return files(path)
        return xxhash.xxh3_128("\n".join(files(part) for part in parts).encode()).hexdigest()

    return digest
