"""A LoRA of the difference of two models: of each weight the closest matrix of a rank, by its singular values.

The best approximation of a rank is that of the largest singular values (Eckart and Young 1936). Of large matrices they are found
by projections on random directions, refined by subspace iteration (Halko, Martinsson and Tropp 2011, algorithms 4.4 and 5.1),
always the same ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

import torch
from torch import Tensor

from engine.models.errors import ModelError
from engine.models.handles import ClipHandle, FileDigest, ModelHandle
from engine.models.saving.baked import as_parameters
from engine.models.saving.files import ModelFile
from engine.models.saving.lora_names import lora_names
from engine.models.saving.pieces import Piece, piece_of

_WHOLE: Final = 1024
"""Of matrices with at most so many rows or columns all singular values are computed."""
_MORE_DIRECTIONS, _ROUNDS = 16, 6


def lora_file(
    model: ModelHandle | None,
    clip: ClipHandle | None,
    files: FileDigest,
    *,
    rank: int,
    full: bool = False,
    biases: bool = True,
    report: Callable[[int, int], None] | None = None,
    device: str = "cpu",
) -> ModelFile:
    """Return a LoRA file of differences of weights: what ModelMergeSubtract and CLIPMergeSubtract gave.

    Of weights with two or more axes `rank` directions are kept, or with `full` the whole difference; those with one axis, of
    normalisations, and biases are kept as differences where `biases`. Values keep the dtype of the models' files. Differences of
    zero are left out. Raises ModelError for a model that is no difference.
    """
    found: list[Piece] = []
    for handle in (*([model] if model else ()), *(clip.towers if clip else ())):
        found += _of_part(handle, files, rank, full, biases, report, device)
    if not found:
        raise ModelError("There is no difference to make a LoRA of: the two models have the same weights.")
    return ModelFile(found, {"format": "pt"})


def _of_part(
    handle: ModelHandle | ClipHandle,
    files: FileDigest,
    rank: int,
    full: bool,
    biases: bool,
    report: Callable[[int, int], None] | None,
    device: str,
) -> list[Piece]:
    if not any(patch.kind == "model" for patch in handle.patches):
        raise ModelError(
            f"{handle.source.path}: its weights are no difference of two models, and a LoRA of them would be the model itself. "
            "Connect what ModelMergeSubtract (or CLIPMergeSubtract) gives."
        )
    pieces = as_parameters(handle, files, merged_only=True)
    found: list[Piece] = []
    for done, piece in enumerate(pieces):
        if report is not None:
            report(done, len(pieces))
        module, _, kind = piece.name.rpartition(".")
        if kind not in ("weight", "bias") or (not biases and (kind == "bias" or len(piece.shape) < 2)):
            continue
        value = piece.make()
        if not value.any():
            continue
        base, up, down = lora_names(handle, module)
        if kind == "bias":
            found.append(piece_of(f"{base}.diff_b", value))
        elif full or value.ndim < 2:
            found.append(piece_of(f"{base}.diff", value))
        else:
            found += _low_rank(value.to(device), rank, f"{base}{up}", f"{base}{down}", f"{base}.alpha")
    return found


def _low_rank(value: Tensor, rank: int, up_name: str, down_name: str, alpha_name: str) -> Iterable[Piece]:
    up, down = factors(value, rank)
    yield piece_of(up_name, up.to("cpu", value.dtype))
    yield piece_of(down_name, down.to("cpu", value.dtype))
    if up_name.endswith(".lora_up.weight"):
        yield piece_of(alpha_name, torch.tensor(float(len(down)), dtype=value.dtype))


def factors(weight: Tensor, rank: int) -> tuple[Tensor, Tensor]:
    """Return up (R, r[, 1, 1]) and down (r, C[, kh, kw]) whose product is the closest to `weight` (R, C[, kh, kw]) of the rank.

    `rank` is at most the number of rows and of columns. float32; both have the same share of the singular values.
    """
    matrix = weight.flatten(1).float()
    rank = min(rank, *matrix.shape)
    if min(matrix.shape) <= _WHOLE or 4 * rank >= min(matrix.shape):
        left, values, right = torch.linalg.svd(matrix, full_matrices=False)
    else:
        left, values, right = _largest(matrix, rank + _MORE_DIRECTIONS)
    root = values[:rank].sqrt()
    up, down = left[:, :rank] * root, root[:, None] * right[:rank]
    return up.reshape(*up.shape, *[1] * (weight.ndim - 2)), down.reshape(rank, *weight.shape[1:])


def _largest(matrix: Tensor, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """The largest singular values of a matrix with their vectors."""
    generator = torch.Generator().manual_seed(0)
    directions = torch.randn(matrix.shape[1], count, generator=generator).to(matrix)
    basis = torch.linalg.qr(matrix @ directions).Q
    for _ in range(_ROUNDS):
        basis = torch.linalg.qr(matrix @ torch.linalg.qr(matrix.mT @ basis).Q).Q
    left, values, right = torch.linalg.svd(basis.mT @ matrix, full_matrices=False)
    return basis @ left, values, right
