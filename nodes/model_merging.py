"""Merging models: sums of the weights of two, as recipes; nothing is computed until the model is used."""

from __future__ import annotations

from typing import Annotated

from engine.api import Clip, Context, In, Model, node
from engine.models.errors import shortened
from engine.models.merging import AHandle, Share, merged

Ratio = Annotated[float, In(ge=0, le=1, step=0.01, tip="Share of the first model: 1 is the first, 0 the second.")]
Multiplier = Annotated[float, In(ge=-10, le=10, step=0.01, tip="What the difference is multiplied by.")]


@node("ModelMergeSimple", category="advanced/model_merging")
def model_merge_simple(ctx: Context, model1: Model, model2: Model, ratio: Ratio = 1.0) -> Model:
    """Take a mean of the weights of two models: `ratio` of the first, the rest of the second."""
    return _of(ctx, model1, model2, [Share(ratio, 1.0 - ratio)])


@node("ModelMergeBlocks", category="advanced/model_merging")
def model_merge_blocks(
    ctx: Context,
    model1: Model,
    model2: Model,
    input: Annotated[
        Ratio, In(tip="Of the first half of a U-Net, and of all that is in none of its three parts.")
    ] = 1.0,
    middle: Ratio = 1.0,
    out: Ratio = 1.0,
) -> Model:
    """Take means of the weights of two models, with other shares for the three parts of a U-Net."""
    parts = {"middle": middle, "out": out}
    shares = [Share(ratio, 1.0 - ratio, within=(name,)) for name, ratio in parts.items()]
    return _of(ctx, model1, model2, [Share(input, 1.0 - input, without=tuple(parts)), *shares])


@node("ModelMergeAdd", category="advanced/model_merging")
def model_merge_add(ctx: Context, model1: Model, model2: Model) -> Model:
    """Add the weights of two models, such as a difference that ModelMergeSubtract made to a third one."""
    return _of(ctx, model1, model2, [Share(1.0, 1.0)])


@node("ModelMergeSubtract", category="advanced/model_merging")
def model_merge_subtract(ctx: Context, model1: Model, model2: Model, multiplier: Multiplier = 1.0) -> Model:
    """Take the difference of the weights of two models, the second from the first."""
    return _of(ctx, model1, model2, [Share(multiplier, -multiplier)])


@node("CLIPMergeSimple", category="advanced/model_merging")
def clip_merge_simple(ctx: Context, clip1: Clip, clip2: Clip, ratio: Ratio = 1.0) -> Clip:
    """Take a mean of the weights of two text encoders: `ratio` of the first, the rest of the second."""
    return _of_texts(ctx, clip1, clip2, Share(ratio, 1.0 - ratio))


@node("CLIPMergeAdd", category="advanced/model_merging")
def clip_merge_add(ctx: Context, clip1: Clip, clip2: Clip) -> Clip:
    """Add the weights of two text encoders."""
    return _of_texts(ctx, clip1, clip2, Share(1.0, 1.0))


@node("CLIPMergeSubtract", category="advanced/model_merging")
def clip_merge_subtract(ctx: Context, clip1: Clip, clip2: Clip, multiplier: Multiplier = 1.0) -> Clip:
    """Take the difference of the weights of two text encoders, the second from the first."""
    return _of_texts(ctx, clip1, clip2, Share(multiplier, -multiplier))


def _of(ctx: Context, first: AHandle, second: AHandle, shares: list[Share]) -> AHandle:
    handle, left = merged(first, second, shares)
    if left:
        ctx.warn(
            f"{len(left)} weights of the first model are left as they are, such as {shortened(list(left))}: the second has none "
            "of that name and size."
        )
    return handle


def _of_texts(ctx: Context, first: Clip, second: Clip, share: Share) -> Clip:
    """Tower by tower; one that the second does not have is left as it is."""
    others = {tower.tower: tower for tower in second.towers}
    if not any(tower.tower in others for tower in first.towers):
        raise ValueError(
            f"clip2 has none of the text encoders of clip1: {', '.join(t.tower for t in first.towers)} against "
            f"{', '.join(others)}. Merge the text encoders of the same family."
        )
    return first.with_towers(
        _of(ctx, tower, others[tower.tower], [share]) if tower.tower in others else tower for tower in first.towers
    )
