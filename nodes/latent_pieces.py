"""Latents cut to pieces and joined along width, height or frames."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from torch import Tensor

from engine.api import In, Latent, node
from engine.media.resizing import repeat_to
from engine.models.latent_spaces import changed, side_by_side
from nodes.dimensions import MAX_RESOLUTION, ONE_CHOICE

AXES = {"x": -1, "y": -2, "t": -3}
"""Counted from the end, so that latents of pictures (B, C, h, w) and of videos (B, C, T, h, w) have the same x and y."""

_AXIS_TIP = "x: width, y: height, t: frames of a video."
LatentPixels = Annotated[int, In(ge=1, le=MAX_RESOLUTION, step=1, tip="Latent pixels, or latent frames.")]


@node("LatentCut", category="latent/advanced", display_name=None)
def latent_cut(
    samples: Latent,
    dim: Annotated[Literal["x", "y", "t"], In(tip=_AXIS_TIP, options=ONE_CHOICE)] = "x",
    index: Annotated[
        int, In(ge=-MAX_RESOLUTION, le=MAX_RESOLUTION, step=1, tip="Where to begin; negative counts from the end.")
    ] = 0,
    amount: LatentPixels = 1,
) -> Latent:
    """Take a piece of a latent (…, T, h, w): `amount` latent pixels or frames from `index` on.

    An index past the end takes the last one, one before the start begins there; what reaches past the end is left out.
    t is the third dimension from the end, which of a picture are its channels. A noise mask stays as it is.
    """
    whole: Tensor = samples["samples"]
    axis = AXES[dim]
    length = whole.shape[axis]
    first = max(index, -length) + length if index < 0 else min(index, length - 1)
    piece = whole.narrow(axis, first, min(amount, length - first))
    return changed(samples, piece.clone())  # a view would keep the whole latent in memory


@node("LatentConcat", category="latent/advanced", display_name=None)
def latent_concat(
    samples1: Latent,
    samples2: Latent,
    dim: Annotated[
        Literal["x", "-x", "y", "-y", "t", "-t"],
        In(tip=f"{_AXIS_TIP} With - the second comes first.", options=ONE_CHOICE),
    ] = "x",
) -> Latent:
    """Join two latents side by side, below one another, or as frames behind one another.

    The second is repeated to the batch of the first, or cut. Raises ValueError when they differ in another direction.
    """
    first: Tensor = samples1["samples"]
    second = repeat_to(samples2["samples"], first.shape[0]).to(first)
    axis = AXES[dim.removeprefix("-")]
    _require_alike(first, second, axis, dim)
    parts = (second, first) if dim.startswith("-") else (first, second)
    return side_by_side(samples1, samples2, torch.cat(parts, dim=axis))


def _require_alike(first: Tensor, second: Tensor, axis: int, dim: str) -> None:
    if first.ndim != second.ndim or any(
        a != b for at, (a, b) in enumerate(zip(first.shape, second.shape)) if at != first.ndim + axis
    ):
        raise ValueError(
            f"LatentConcat: the latents have shapes {tuple(first.shape)} and {tuple(second.shape)}; along {dim} they join "
            "only if all other sizes are the same. Scale or cut one of them, or use latents of the same kind of model."
        )


@node("LatentCutToBatch", category="latent/advanced", display_name=None)
def latent_cut_to_batch(
    samples: Latent,
    dim: Annotated[Literal["t", "x", "y"], In(tip=_AXIS_TIP, options=ONE_CHOICE)] = "t",
    slice_size: LatentPixels = 1,
) -> Latent:
    """Cut latents (B, …) into slices of `slice_size` along a direction, and make them a batch (B × slices, …).

    What is left over at the end is dropped; a slice longer than the latent is all of it. The slices of one latent follow one
    another, each with noise of its own. A picture has no frames: with t it stays as it is. A noise mask stays as it is.
    """
    whole: Tensor = samples["samples"]
    axis = whole.ndim + AXES[dim]
    if axis < 2:
        return samples
    size = min(slice_size, whole.shape[axis])
    count = whole.shape[axis] // size
    kept = whole.narrow(axis, 0, count * size).movedim(axis, 1)
    slices = kept.reshape(-1, size, *kept.shape[2:]).movedim(1, axis)
    made = changed(samples, slices.contiguous())
    return {key: value for key, value in made.items() if key != "batch_index"}  # which has one entry per latent
