"""GLIGEN: texts that are to be seen in boxes of the picture (Li et al. 2023)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import torch

from engine.api import Clip, Conditioning, Context, Files, In, Socket, node
from engine.models.handles import ControlUse
from engine.sampling.conditions import BOXES

if TYPE_CHECKING:
    from engine.models.handles import ModelPatchHandle as Gligen
else:

    class Gligen(Socket, io_type="GLIGEN"):
        """Handle of layers that look at texts in boxes."""


MOST = 30
"""Boxes that one model sees, as in training."""

Size = Annotated[int, In(ge=8, le=16384, step=8, tip="Side of the box in pixels of the picture.")]
Place = Annotated[int, In(ge=0, le=16384, step=8, tip="Pixels from the picture's edge.")]


@node("GLIGENLoader", category="loaders", display_name="GLIGENLoader")
def gligen_loader(
    ctx: Context, gligen_name: Annotated[str, In(choices=Files("gligen"), tip="A file in models/gligen.")]
) -> Gligen:
    """Load GLIGEN's layers for texts in boxes, in a file of their own or within that of a U-Net."""
    found = ctx.models.model_patch(ctx.paths.find("gligen", gligen_name))
    if found.kind != "gligen":
        raise ValueError(
            f"gligen_name: expected GLIGEN's layers, got a file of another model patch, {gligen_name} ({found.kind})."
        )
    return found


@node("GLIGENTextBoxApply", category="conditioning/gligen", display_name="GLIGENTextBoxApply")
def gligen_text_box_apply(
    ctx: Context,
    conditioning_to: Conditioning,
    clip: Clip,
    gligen_textbox_model: Gligen,
    text: Annotated[str, In(multiline=True, options={"dynamicPrompts": True}, tip="What is to be seen in the box.")],
    width: Size = 64,
    height: Size = 64,
    x: Place = 0,
    y: Place = 0,
) -> Conditioning:
    """Say what is to be seen in a box of the picture. Several of these nodes in a row give several boxes, 30 at most.

    The prompt should name it too. A box that reaches out of the picture is told by the sampler. Branches without boxes, such as
    the negative one, see none where others have some, which is how GLIGEN was trained.
    """
    with ctx.models.use(clip) as encoder:
        pooled = encoder.encode(text, ctx.warn).pooled
    wanted = int(gligen_textbox_model.config["text"])
    if pooled is None or pooled.shape[-1] != wanted:
        raise ValueError(
            f"GLIGENTextBoxApply: clip: expected a text encoder whose pooled text has the width {wanted}, as Stable "
            f"Diffusion 1's, got {'none' if pooled is None else pooled.shape[-1]}. Use that of the checkpoint that GLIGEN is for."
        )
    row = torch.cat([torch.tensor([[float(x), float(y), float(width), float(height)]]), pooled], dim=1)
    return [
        [tokens, {**options, BOXES: _with_box(options.get(BOXES), gligen_textbox_model, row)}]
        for tokens, options in conditioning_to
    ]


def _with_box(earlier: ControlUse | None, model: Gligen, row: torch.Tensor) -> ControlUse:
    """The boxes of a conditioning with one more: those of one model are one use of it, others are before it."""
    if earlier is None or earlier.handle.identity() != model.identity():
        return ControlUse(model, row[None], previous=earlier)
    boxes = torch.cat([earlier.hint, row[None]], dim=1)
    if boxes.shape[1] > MOST:
        raise ValueError(
            f"GLIGENTextBoxApply: expected {MOST} boxes at most, got {boxes.shape[1]}: GLIGEN sees no more. Leave some out."
        )
    return ControlUse(model, boxes, previous=earlier.previous)
