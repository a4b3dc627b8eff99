"""Latents as tensors: making, scaling, layering, batching and calculating; no model is asked.

A latent is a dict with `samples` (B, C, h, w), or (B, C, T, h, w) for video, eight times smaller than the picture.
"""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from torch import Tensor

from engine.api import In, Latent, Mask, node
from engine.media.bounds import bounded
from engine.media.resizing import Crop, LatentMethod, fit_mask, match_batches, repeat_to, resize
from engine.models.latent_spaces import changed, check_alike, side_by_side
from nodes.compositing import paste
from nodes.dimensions import MAX_RESOLUTION, ONE_CHOICE, Batches, BatchSize, ScaleFactor, first_of, target_size
from nodes.orientation import FlipMethod, Rotation, quarter_turns

PIXELS = 8
"""Pixels of the picture per latent pixel in each direction; sizes and places on nodes are in pixels."""

SMALLEST = 64
"""Pixels of the picture that scaling and cutting leave at least, in each direction."""

PictureSize = Annotated[int, In(ge=16, le=MAX_RESOLUTION, step=8, tip="Pixels of the picture to be.")]
WideStep = Annotated[int, In(ge=16, le=MAX_RESOLUTION, step=16, tip="Pixels of the picture to be.")]
CutSize = Annotated[int, In(ge=64, le=MAX_RESOLUTION, step=8, tip="Size in pixels of the picture.")]
TargetSize = Annotated[
    int, In(ge=0, le=MAX_RESOLUTION, step=8, tip="Pixels of the picture to be; 0 keeps the proportions.")
]
Place = Annotated[int, In(ge=0, le=MAX_RESOLUTION, step=8, tip="Place in pixels of the picture.")]
Method = Annotated[LatentMethod, In(tip="bislerp keeps the strength of the latent, the others blur or repeat it.")]
LatentRepeats = Annotated[int, In(ge=1, le=64, tip="How many times the batch is repeated.")]
LatentIndex = Annotated[int, In(ge=0, le=63, tip="Position of the first one to take, from 0.")]
LatentCount = Annotated[int, In(ge=1, le=64, tip="How many to take.")]
Share = Annotated[float, In(ge=0.0, le=1.0, step=0.01, tip="Share of the first latent.")]


@node("EmptyLatent", category="latent", display_name="Empty Latent Image")
def empty_latent(width: PictureSize = 512, height: PictureSize = 512, batch_size: BatchSize = 1) -> Latent:
    """Make zeros (batch_size, 4, height / 8, width / 8) to start from; samplers give them the model's channels."""
    return {"samples": torch.zeros(bounded(batch_size, 4, height // PIXELS, width // PIXELS))}


@node("EmptySD3LatentImage", category="latent/sd3", display_name=None)
def empty_latent_of_16_channels(width: WideStep = 1024, height: WideStep = 1024, batch_size: BatchSize = 1) -> Latent:
    """Make zeros (batch_size, 16, height / 8, width / 8) to start from, for models with 16 latent channels."""
    return {"samples": torch.zeros(bounded(batch_size, 16, height // PIXELS, width // PIXELS))}


@node("EmptyFlux2LatentImage", category="latent", display_name="Empty Flux 2 Latent")
def empty_latent_of_128_channels(
    width: WideStep = 1024, height: WideStep = 1024, batch_size: BatchSize | None = 1
) -> Latent:
    """Make zeros (batch_size, 128, height / 16, width / 16) to start from, for models whose latent pixel stands for 16 × 16."""
    return {"samples": torch.zeros(bounded(batch_size or 1, 128, height // 16, width // 16))}


@node("EmptyChromaRadianceLatentImage", category="latent/chroma_radiance", display_name="Empty Latent in Pixels")
def empty_latent_in_pixels(width: WideStep = 1024, height: WideStep = 1024, batch_size: BatchSize = 1) -> Latent:
    """Make zeros (batch_size, 3, height, width) to start from, for models that denoise pictures themselves."""
    return {"samples": torch.zeros(bounded(batch_size, 3, height, width))}


@node("LatentUpscale", category="latent", display_name="Upscale Latent")
def latent_upscale(
    samples: Latent,
    upscale_method: Method = "nearest-exact",
    width: TargetSize = 512,
    height: TargetSize = 512,
    crop: Annotated[Crop, In(tip="center keeps proportions by cutting; disabled stretches.")] = "disabled",
) -> Latent:
    """Scale a latent (B, C, h, w) to (B, C, height / 8, width / 8), but to no less than 8 each way.

    A width or height of 0 follows the other one; both 0 change nothing.
    """
    if width == height == 0:
        return samples
    old_height, old_width = samples["samples"].shape[-2:]
    asked = (max(SMALLEST, size) if size else 0 for size in (width, height))
    across, down = (max(SMALLEST, side) // PIXELS for side in target_size(old_width, old_height, *asked))
    return changed(samples, resize(samples["samples"], across, down, upscale_method, crop))


@node("LatentUpscaleBy", category="latent", display_name="Upscale Latent By")
def latent_upscale_by(samples: Latent, upscale_method: Method = "nearest-exact", scale_by: ScaleFactor = 1.5) -> Latent:
    """Scale a latent (B, C, h, w) to (B, C, h × scale_by, w × scale_by), rounded."""
    height, width = (max(1, round(size * scale_by)) for size in samples["samples"].shape[-2:])
    return changed(samples, resize(samples["samples"], width, height, upscale_method))


@node("LatentComposite", category="latent", display_name="Latent Composite")
def latent_composite(
    samples_to: Latent,
    samples_from: Latent,
    x: Place = 0,
    y: Place = 0,
    feather: Annotated[int, In(ge=0, le=MAX_RESOLUTION, step=8, tip="Pixels over which the edges fade.")] = 0,
) -> Latent:
    """Lay `samples_from` over `samples_to` (B, C, h, w) at (x, y), fading over `feather` pixels.

    Edges that lie on the edge of `samples_to` do not fade.
    """
    check_alike(samples_to, samples_from)
    below, above = samples_to["samples"], samples_from["samples"]
    left, top, reach = x // PIXELS, y // PIXELS, feather // PIXELS
    above = above[..., : max(1, below.shape[-2] - top), : max(1, below.shape[-1] - left)]
    height, width = above.shape[-2:]
    bottom, right = below.shape[-2] - top - height, below.shape[-1] - left - width
    mask = _ramp(height, reach * (top > 0), reach * (bottom > 0))[:, None] * _ramp(
        width, reach * (left > 0), reach * (right > 0)
    )
    return changed(samples_to, paste(below, above, left, top, mask))


def _ramp(size: int, before: int, after: int) -> Tensor:
    """Weights of `size` latent pixels that rise over the first `before` and fall over the last `after`.

    Steps of the falling side that lie before the first pixel count from the end again: a slip of the field, kept.
    """
    weights = torch.ones(size)
    for step in range(min(before, size)):
        weights[step] *= (step + 1) / before
    for step in range(after):
        weights[size - 1 - step : size - step] *= (step + 1) / after
    return weights


@node("LatentCompositeMasked", category="latent")
def latent_composite_masked(
    destination: Latent,
    source: Latent,
    x: Place = 0,
    y: Place = 0,
    resize_source: Annotated[bool, In(tip="Stretch the source to the size of the destination.")] = False,
    mask: Annotated[Mask | None, In(tip="1 where the source shows; stretched to the source.")] = None,
) -> Latent:
    """Lay `source` over `destination` (B, C, h, w) at (x, y), where `mask` is 1."""
    check_alike(destination, source)
    placed = paste(destination["samples"], source["samples"], x // PIXELS, y // PIXELS, mask, resize_source)
    return changed(destination, placed)


@node("LatentBlend", category="_for_testing", display_name="Latent Blend")
def latent_blend(samples1: Latent, samples2: Latent, blend_factor: Share = 0.5) -> Latent:
    """Mix two latents (B, C, h, w): `blend_factor` of the first and the rest of the second, scaled to its size.

    The shorter batch repeats.
    """
    first, second = match_batches(*_to_mix(samples1, samples2, "bicubic"))
    return changed(samples1, first * blend_factor + second * (1 - blend_factor))


@node("LatentAdd", category="latent/advanced", display_name=None)
def latent_add(samples1: Latent, samples2: Latent) -> Latent:
    """Add two latents (B, C, h, w); the second is scaled to the size of the first, and repeated to its batch or cut."""
    first, second = _to_mix(samples1, samples2)
    return changed(samples1, first + repeat_to(second, first.shape[0]))


@node("LatentSubtract", category="latent/advanced", display_name=None)
def latent_subtract(samples1: Latent, samples2: Latent) -> Latent:
    """Take the second latent from the first (B, C, h, w), scaled to its size, and repeated to its batch or cut."""
    first, second = _to_mix(samples1, samples2)
    return changed(samples1, first - repeat_to(second, first.shape[0]))


@node("LatentMultiply", category="latent/advanced", display_name=None)
def latent_multiply(
    samples: Latent, multiplier: Annotated[float, In(ge=-10.0, le=10.0, step=0.01, tip="Factor.")] = 1.0
) -> Latent:
    """Multiply every number of a latent (B, C, h, w)."""
    return changed(samples, samples["samples"] * multiplier)


@node("LatentInterpolate", category="latent/advanced", display_name=None)
def latent_interpolate(samples1: Latent, samples2: Latent, ratio: Share = 1.0) -> Latent:
    """Mix directions and lengths of the channel vectors apart, so that the mix of two latents does not get weaker.

    `ratio` is the share of the first latent (B, C, h, w); the second is scaled to its size, and repeated to its batch or
    cut.
    """
    first, second = _to_mix(samples1, samples2)
    second = repeat_to(second, first.shape[0])
    first_length, second_length = (one.norm(dim=1, keepdim=True) for one in (first, second))
    direction = torch.lerp(_unit(second, second_length), _unit(first, first_length), ratio)
    mixed = _unit(direction, direction.norm(dim=1, keepdim=True)) * torch.lerp(second_length, first_length, ratio)
    return changed(samples1, mixed)


def _unit(vectors: Tensor, length: Tensor) -> Tensor:
    return torch.where(length > 0, vectors / length, 0.0)


def _to_mix(samples1: Latent, samples2: Latent, method: str = "bilinear") -> tuple[Tensor, Tensor]:
    """As `_alike`, of latents whose numbers mean the same."""
    check_alike(samples1, samples2)
    return _alike(samples1, samples2, method)


def _alike(samples1: Latent, samples2: Latent, method: str = "bilinear") -> tuple[Tensor, Tensor]:
    """The samples of both, the second scaled and cut to the size of the first."""
    first, second = samples1["samples"], samples2["samples"]
    _require_same_channels(first, second)
    return first, resize(second, first.shape[-1], first.shape[-2], method, "center").to(first)


def _require_same_channels(first: Tensor, second: Tensor) -> None:
    if first.shape[1:-2] != second.shape[1:-2]:
        raise ValueError(
            f"The latents have shapes {tuple(first.shape)} and {tuple(second.shape)}; their channels must be the same. "
            "Use latents of the same kind of model."
        )


@node("LatentBatch", category="latent/batch", display_name=None)
def latent_batch(samples1: Latent, samples2: Latent) -> Latent:
    """Put two batches of latents (B, C, h, w) behind one another; the second is scaled to the size of the first.

    A noise mask stays as the first one has it, so that samplers repeat it over the batch.
    """
    joined = torch.cat(_alike(samples1, samples2))
    indices = _indices(samples1) + _indices(samples2)
    return side_by_side({**samples1, "batch_index": indices}, samples2, joined)


def _indices(samples: Latent, first: int = 0) -> list[int]:
    """Which noise of the seed each latent gets: `batch_index`, or counting from `first`."""
    count = samples["samples"].shape[0]
    return list(samples.get("batch_index") or range(first, first + count))


@node("RepeatLatentBatch", category="latent/batch", display_name="Repeat Latent Batch")
def repeat_latent_batch(samples: Latent, amount: LatentRepeats = 1) -> Latent:
    """Repeat the whole batch to (B × amount, C, h, w); every repetition gets noise of its own."""
    batch = samples["samples"]
    count = batch.shape[0]
    result = changed(samples, repeat_to(batch, count * amount))
    mask = samples.get("noise_mask")
    if mask is not None and mask.shape[0] > 1:
        result["noise_mask"] = repeat_to(mask, mask.shape[0] * amount)
    if samples.get("batch_index"):
        indices = _indices(samples)
        step = max(indices) - min(indices) + 1
        result["batch_index"] = [index + turn * step for turn in range(amount) for index in indices]
    return result


@node("LatentBatchSeedBehavior", category="latent/advanced", display_name=None)
def latent_batch_seed_behavior(
    samples: Latent,
    seed_behavior: Annotated[
        Literal["random", "fixed"],
        In(tip="random: noise by place in the batch; fixed: all get that of the first.", options=ONE_CHOICE),
    ] = "fixed",
) -> Latent:
    """Choose whether the latents of a batch (B, C, h, w) get different noise, or the same."""
    if seed_behavior == "random":
        return {key: value for key, value in samples.items() if key != "batch_index"}
    return {**samples, "batch_index": [_indices(samples)[0]] * samples["samples"].shape[0]}


@node("LatentFromBatch", category="latent/batch", display_name="Latent From Batch")
def latent_from_batch(samples: Latent, batch_index: LatentIndex = 0, length: LatentCount = 1) -> Latent:
    """Take `length` latents from `batch_index` on (past the end, the last ones there are); each keeps its noise."""
    batch = samples["samples"]
    first = min(batch_index, batch.shape[0] - 1)
    return _slice(samples, slice(first, first + length))


def _slice(samples: Latent, where: slice) -> Latent:
    """Some of a batch of latents, with their noise masks and noise indices."""
    batch = samples["samples"]
    result = {**changed(samples, batch[where]), "batch_index": _indices(samples)[where]}
    mask = samples.get("noise_mask")
    if mask is not None and mask.shape[0] > 1:
        result["noise_mask"] = repeat_to(mask, batch.shape[0])[where]
    return result


@node("RebatchLatents", category="latent/batch", display_name="Rebatch Latents", input_is_list=True)
def rebatch_latents(latents: list[Latent], batch_size: Batches = 1) -> list[Latent]:
    """Deal all latents (B, C, h, w) out again, as a list of batches of `batch_size`; a new size starts a new batch.

    Those without noise indices get the next ones, counting all latents of the list, so that no two get the same noise.
    Who has no noise mask gets one of ones; a mask that is ones everywhere is left out.
    """
    size = first_of(batch_size)
    batches: list[Latent] = []
    count = 0
    for latent in latents:
        batch = {**latent, "batch_index": _indices(latent, count)}
        count += latent["samples"].shape[0]
        if batches and _continues(batches[-1], batch, size):
            batch = _joined(batches.pop(), batch)
        held = batch["samples"].shape[0]
        batches.extend(_slice(batch, slice(first, first + size)) for first in range(0, held, size))
    return [_without_idle_mask(batch) for batch in batches]


def _continues(batch: Latent, latent: Latent, size: int) -> bool:
    """Whether `batch` is not full and `latent` has its shape."""
    last: Tensor = batch["samples"]
    return last.shape[0] % size != 0 and latent["samples"].shape[1:] == last.shape[1:]


def _joined(batch: Latent, latent: Latent) -> Latent:
    """Both behind one another, with a noise mask for each latent if either has any."""
    result = latent_batch(batch, latent)
    known = [samples["noise_mask"] for samples in (batch, latent) if "noise_mask" in samples]
    if known:
        height, width = known[0].shape[-2:]
        masks = [_masks(samples, height, width).to(known[0]) for samples in (batch, latent)]
        result["noise_mask"] = torch.cat(masks)[:, None]
    return result


def _masks(samples: Latent, height: int, width: int) -> Tensor:
    """One noise mask (B, height, width) for each latent; ones where there is none."""
    mask = samples.get("noise_mask")
    fitted = torch.ones(1, height, width) if mask is None else fit_mask(mask, height, width)
    return repeat_to(fitted, samples["samples"].shape[0])


def _without_idle_mask(batch: Latent) -> Latent:
    idle = "noise_mask" in batch and bool((batch["noise_mask"] == 1).all())
    return {key: value for key, value in batch.items() if key != "noise_mask" or not idle}


@node("SetLatentNoiseMask", category="latent/inpaint", display_name="Set Latent Noise Mask")
def set_latent_noise_mask(samples: Latent, mask: Mask) -> Latent:
    """Let samplers change the latent only where `mask` (B, H, W), in pixels of the picture, is 1."""
    return {**samples, "noise_mask": mask.reshape(-1, 1, *mask.shape[-2:])}


@node("LatentFlip", category="latent/transform", display_name="Flip Latent")
def latent_flip(samples: Latent, flip_method: FlipMethod = "x-axis: vertically") -> Latent:
    """Turn latents (B, C, h, w) upside down, or mirror them; a noise mask stays as it is."""
    return changed(samples, samples["samples"].flip(-2 if flip_method.startswith("x") else -1))


@node("LatentRotate", category="latent/transform", display_name="Rotate Latent")
def latent_rotate(samples: Latent, rotation: Rotation = "none") -> Latent:
    """Turn latents (B, C, h, w) clockwise by quarter turns; a noise mask stays as it is."""
    return changed(samples, samples["samples"].rot90(quarter_turns(rotation), dims=(-1, -2)))


@node("LatentCrop", category="latent/transform", display_name="Crop Latent")
def latent_crop(samples: Latent, width: CutSize = 512, height: CutSize = 512, x: Place = 0, y: Place = 0) -> Latent:
    """Cut a rectangle, in pixels of the picture, out of latents (B, C, h, w); a noise mask stays as it is.

    What reaches past the right or bottom edge is left out. A rectangle that begins less than 64 pixels before such an
    edge, or outside, begins 64 pixels before it.
    """
    rows, columns = samples["samples"].shape[-2:]
    least = SMALLEST // PIXELS
    left, top = min(x // PIXELS, max(0, columns - least)), min(y // PIXELS, max(0, rows - least))
    right, bottom = left + width // PIXELS, top + height // PIXELS
    return changed(samples, samples["samples"][..., top:bottom, left:right])
