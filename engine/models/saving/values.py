"""Latents and conditionings as files: which tensors and which metadata the field's have.

A latent: `latent_tensor`, and the empty `latent_format_version_0`, without which the numbers are those of the first files, scaled
by 0.18215. A conditioning: `conditioning` and its options by name, of a list of tensors `name.0`, `name.1` …; what is no tensor
is the JSON object in the metadata entry `conditioning_options`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor

from engine.models.checkpoints import load_tensors, read_header
from engine.models.encoded import ENCODERS
from engine.models.errors import CheckpointError, ModelError, shortened
from engine.models.latent_spaces import MARK, told
from engine.models.saving.files import ModelFile
from engine.models.saving.pieces import piece_of

LATENT: Final = "latent_tensor"
VERSION: Final = "latent_format_version_0"
CONDITIONING: Final = "conditioning"
OPTIONS: Final = "conditioning_options"
_SPACE: Final = "safelight.latent_space"
_ENCODERS: Final = "safelight.text_encoders"
_FIRST_SCALE: Final = 0.18215
_OF_LIST: Final = re.compile(r"(.+)\.(\d+)")


def latent_file(latent: Mapping[str, Any]) -> ModelFile:
    """Return the file of a LATENT's samples, as they are; masks and batch indices are not kept, as in the field's files."""
    pieces = [piece_of(LATENT, latent["samples"]), piece_of(VERSION, torch.empty(0))]
    mark = latent.get(MARK)
    return ModelFile(pieces, {_SPACE: json.dumps(mark)} if mark is not None else {})


def read_latent(path: Path) -> dict[str, Any]:
    """Return the LATENT in a file, float32. Raises CheckpointError for one that holds none."""
    header = read_header(path)
    if LATENT not in header.shapes:
        raise CheckpointError(
            f"{path}: no latent: expected a tensor {LATENT}, got {shortened(list(header.shapes)) or 'none'}. "
            "Choose a file that SaveLatent wrote."
        )
    if len(header.shapes[LATENT]) < 3:
        raise CheckpointError(
            f"{path}: {LATENT} has the shape {list(header.shapes[LATENT])}, expected (B, C, h, w) or (B, C, T, h, w)."
        )
    samples = load_tensors(path, [LATENT])[LATENT].float().clone()
    if VERSION not in header.shapes:
        samples = samples / _FIRST_SCALE
    return _marked(samples, header.metadata.get(_SPACE))


def _marked(samples: Tensor, text: str | None) -> dict[str, Any]:
    """A LATENT with the mark of its space, where a file has one that can be read."""
    if text is None:
        return {"samples": samples}
    try:
        found = {"samples": samples, MARK: json.loads(text)}
        told(found)
    except (ValueError, KeyError, TypeError):
        return {"samples": samples}
    return found


def conditioning_file(conditioning: list[Any]) -> ModelFile:
    """Return the file of a CONDITIONING of one entry. Raises ModelError for several, and for an option that cannot be kept."""
    if len(conditioning) != 1:
        raise ModelError(
            f"A file holds a single conditioning, got {len(conditioning)}. Save each of them before they are combined."
        )
    [[tensor, options]] = conditioning
    tensors: dict[str, Tensor] = {CONDITIONING: tensor}
    plain: dict[str, Any] = {}
    mark = options.get(ENCODERS)
    for name, value in options.items():
        if name == ENCODERS:
            continue
        if isinstance(value, list | tuple) and value and all(isinstance(one, Tensor) for one in value):
            tensors |= {f"{name}.{number}": one for number, one in enumerate(value)}
        elif isinstance(value, Tensor) and name != CONDITIONING:
            tensors[name] = value
        elif isinstance(value, bool | int | float | str):
            plain[name] = value
        elif value is not None:
            raise ModelError(
                f"The conditioning's option {name!r} ({type(value).__name__}) cannot be saved: expected tensors, numbers, text "
                "or booleans. Save the conditioning before the node that adds this, and add it again after loading."
            )
    pieces = [piece_of(name, value) for name, value in tensors.items()]
    told = {OPTIONS: plain, _ENCODERS: mark}
    return ModelFile(pieces, {name: json.dumps(value) for name, value in told.items() if value})


def read_conditioning(path: Path) -> list[Any]:
    """Return the CONDITIONING in a file. Raises CheckpointError for one that holds none."""
    header = read_header(path)
    if CONDITIONING not in header.shapes:
        raise CheckpointError(
            f"{path}: no conditioning: expected a tensor {CONDITIONING}, got {shortened(list(header.shapes)) or 'none'}. "
            "Choose a file that SaveConditioning wrote; embeddings are named in prompts, as embedding:NAME."
        )
    tensors = {name: value.clone() for name, value in load_tensors(path).items()}
    options: dict[str, Any] = {}
    lists: dict[str, dict[int, Tensor]] = {}
    for name, value in tensors.items():
        if found := _OF_LIST.fullmatch(name):
            lists.setdefault(found[1], {})[int(found[2])] = value
        elif name != CONDITIONING:
            options[name] = value
    options |= {name: [values[number] for number in sorted(values)] for name, values in lists.items()}
    options |= _plain(path, OPTIONS, header.metadata.get(OPTIONS, "{}"))
    mark = _plain(path, _ENCODERS, header.metadata.get(_ENCODERS, "{}"))
    kinds = mark.get("kinds")
    if isinstance(kinds, list) and all(isinstance(kind, str) for kind in kinds):
        options[ENCODERS] = mark
    return [[tensors[CONDITIONING], options]]


def _plain(path: Path, entry: str, text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError as problem:
        raise CheckpointError(f"{path}: metadata {entry} is not JSON: {problem}.") from problem
    if not isinstance(found, dict):
        raise CheckpointError(f"{path}: metadata {entry}: expected an object, got {type(found).__name__}.")
    return found
