"""Encoded data sets on disk: examples in files of some hundreds each, and what is in them.

A folder holds `shard_0000.pkl` …, each what `torch.save` makes of `latents` (a list of {"samples"}) and `conditioning` (a list
of [[tensor, options]]), and `metadata.json` {"num_samples", "num_shards", "shard_size"}. Shards are read as data only; the keys
in them are inferred.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, NamedTuple

import torch
from torch import Tensor

from engine.media.errors import MediaError
from engine.media.names import place
from engine.models.checkpoints import unpickled
from engine.training.pictures import DataError

METADATA: Final = "metadata.json"
_SHARDS: Final = "shard_*.pkl"
_PLAIN = (Tensor, bool, int, float, str, type(None))


class Dataset(NamedTuple):
    """Latents, each a dict with `samples`, and a conditioning for each."""

    latents: list[dict[str, Any]]
    conditioning: list[list[Any]]


def save_dataset(home: Path, name: str, dataset: Dataset, shard_size: int, report: Any = None) -> Path:
    """Write a data set as the folder `name` in `home`, whole or not at all, over an older one of that name, and return it.

    `report(shards written, shards)` may raise to end it. Raises DataError for a name that is none, numbers that do not match,
    options that are no data, and a folder of that name that is no data set; MediaError for a full disk.
    """
    target = _target(home, name)
    if len(dataset.latents) != len(dataset.conditioning) or not dataset.latents:
        raise DataError(
            f"expected as many conditionings as latents, and one at least; got {len(dataset.latents)} latents and "
            f"{len(dataset.conditioning)} conditionings."
        )
    _check_plain(dataset.conditioning)
    part = target.with_name(f".{os.urandom(8).hex()}.part")
    try:
        part.mkdir(parents=True)
        _write(part, dataset, shard_size, report)
        _replace(part, target)
    except OSError as problem:
        raise MediaError(
            f"Cannot write the data set to {target}: {problem.strerror or problem}. Nothing is left."
        ) from problem
    except RuntimeError as problem:  # what torch makes of a full disk
        raise MediaError(
            f"Cannot write the data set to {target}: {problem}. Nothing is left. Free some space."
        ) from problem
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return target


def load_dataset(folder: Path) -> Dataset:
    """Return the data set in a folder. Raises DataError for a folder without shards, and CheckpointError for broken ones."""
    found = Dataset([], [])
    paths = sorted(folder.glob(_SHARDS))
    if not paths:
        raise DataError(f"{folder}: no {_SHARDS} files. Choose a folder that SaveTrainingDataset wrote.")
    for path in paths:
        held = unpickled(path)
        latents, texts = (held.get(name) if isinstance(held, Mapping) else None for name in Dataset._fields)
        if not (isinstance(latents, list) and isinstance(texts, list) and len(latents) == len(texts)):
            raise DataError(
                f"{path}: expected `latents` and `conditioning`, lists of the same length. Save the data set again."
            )
        for number, (latent, text) in enumerate(zip(latents, texts)):
            if not _is_latent(latent) or not _is_conditioning(text):
                raise DataError(f"{path}: number {number} is no latent with a conditioning. Save the data set again.")
        found.latents.extend(latents)
        found.conditioning.extend(texts)
    return found


def bucketed(dataset: Dataset) -> Dataset:
    """Return the same examples in one batch for each height and width, in the order in which these come first.

    Raises DataError for numbers that do not match, and latents of one size with other channels or frames.
    """
    if len(dataset.latents) != len(dataset.conditioning):
        raise DataError(
            f"expected as many conditionings as latents, got {len(dataset.conditioning)} for {len(dataset.latents)}."
        )
    samples: dict[tuple[int, ...], list[Tensor]] = {}
    texts: dict[tuple[int, ...], list[Any]] = {}
    for number, (latent, entries) in enumerate(zip(dataset.latents, dataset.conditioning)):
        batch = latent["samples"]
        if len(entries) != len(batch):
            raise DataError(
                f"latents: number {number} holds {len(batch)} examples, and has {len(entries)} conditionings."
            )
        size = tuple(batch.shape[-2:])
        first = samples.setdefault(size, [])
        if first and first[0].shape[1:] != batch.shape[1:]:
            raise DataError(
                f"latents: number {number} has the shape {list(batch.shape)}, another of this size {list(first[0].shape)}. "
                "Put only latents of the same channels and frames into one data set."
            )
        first.append(batch)
        texts.setdefault(size, []).extend(entries)
    return Dataset([{"samples": torch.cat(one)} for one in samples.values()], list(texts.values()))


def _target(home: Path, name: str) -> Path:
    try:
        folder, stem = place(home, name.rstrip("/\\"))
    except MediaError as problem:
        raise DataError(f"folder_name: {name!r} leads out of {home}. Use a name such as my_dataset.") from problem
    if stem in ("", ".", ".."):
        raise DataError(f"folder_name: {name!r} names no folder inside {home}. Use a name such as my_dataset.")
    target = folder / stem
    if target.is_file() or (target.is_dir() and any(target.iterdir()) and not _is_dataset(target)):
        raise DataError(f"folder_name: {target} is there already, and is no data set. Choose another name.")
    return target


def _is_dataset(folder: Path) -> bool:
    return (folder / METADATA).is_file() or any(folder.glob(_SHARDS))


def _write(folder: Path, dataset: Dataset, size: int, report: Any) -> None:
    count = len(dataset.latents)
    shards = -(-count // size)
    for number in range(shards):
        piece = slice(number * size, (number + 1) * size)
        latents = [{"samples": one["samples"].detach().cpu().clone()} for one in dataset.latents[piece]]
        held = {"latents": latents, "conditioning": _as_lists(dataset.conditioning[piece])}
        torch.save(held, folder / f"shard_{number:04}.pkl")
        if report is not None:
            report(number + 1, shards)
    told = {"num_samples": count, "num_shards": shards, "shard_size": size}
    (folder / METADATA).write_text(json.dumps(told, indent=2), encoding="utf-8")


def _replace(part: Path, target: Path) -> None:
    """Put a folder in the place of another."""
    old = target.with_name(f".{os.urandom(8).hex()}.old")
    with suppress(FileNotFoundError):
        target.rename(old)
    part.rename(target)
    shutil.rmtree(old, ignore_errors=True)


def _as_lists(value: Any) -> Any:
    """The same of lists and dicts, with tensors of their own memory, so that no more than these is written."""
    if isinstance(value, Tensor):
        return value.detach().cpu().clone()
    if isinstance(value, Mapping):
        return {name: _as_lists(one) for name, one in value.items()}
    return [_as_lists(one) for one in value] if isinstance(value, list | tuple) else value


def _check_plain(value: Any, name: str = "") -> None:
    if isinstance(value, Mapping):
        for key, one in value.items():
            _check_plain(one, str(key))
    elif isinstance(value, Sequence) and not isinstance(value, str):
        for one in value:
            _check_plain(one, name)
    elif not isinstance(value, _PLAIN):
        raise DataError(
            f"conditioning: the option {name!r} ({type(value).__name__}) cannot be saved: expected tensors, numbers and text. "
            "Save the data set before the node that adds it."
        )


def _is_latent(value: Any) -> bool:
    return isinstance(value, Mapping) and isinstance(value.get("samples"), Tensor)


def _is_conditioning(value: Any) -> bool:
    return isinstance(value, list) and all(
        isinstance(one, list) and len(one) == 2 and isinstance(one[0], Tensor) and isinstance(one[1], dict)
        for one in value
    )
