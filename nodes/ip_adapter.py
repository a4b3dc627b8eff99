"""IP-Adapter: pictures as prompts (Ye et al. 2023)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import torch

from engine.api import ClipVision, Context, Files, Image, In, Mask, Model, Socket, node
from engine.models.handles import ControlUse

if TYPE_CHECKING:
    from engine.models.handles import ModelPatchHandle as IpAdapter
else:

    class IpAdapter(Socket, io_type="IPADAPTER"):
        """Handle of layers that look at pictures beside the text."""


WAYS = ("concat", "average", "each its own")
"""What several pictures are to one another."""

Moment = Annotated[float, In(ge=0, le=1, step=0.001, tip="Share of the sampling done: 0 the start, 1 the end.")]


@node("IPAdapterModelLoader", category="ipadapter", display_name="IPAdapter Model Loader")
def ip_adapter_model_loader(
    ctx: Context, ipadapter_file: Annotated[str, In(choices=Files("ipadapter"), tip="A file in models/ipadapter.")]
) -> IpAdapter:
    """Load an IP-Adapter of Stable Diffusion 1 or XL: plain, plus, plus-face or full-face, in its authors' layout."""
    found = ctx.models.model_patch(ctx.paths.find("ipadapter", ipadapter_file))
    if found.kind != "ip_adapter":
        raise ValueError(
            f"ipadapter_file: expected an IP-Adapter, got another model patch, {ipadapter_file} ({found.kind})."
        )
    return found


@node("IPAdapterApply", category="ipadapter", display_name="Apply IPAdapter")
def ip_adapter_apply(
    ctx: Context,
    model: Model,
    ipadapter: IpAdapter,
    clip_vision: ClipVision,
    image: Image,
    weight: Annotated[float, In(ge=-1, le=5, step=0.05, tip="How much the pictures count beside the text.")] = 1.0,
    combine: Annotated[
        str, In(choices=WAYS, tip="Several pictures: all of them, their mean, or one for each picture that is made.")
    ] = "concat",
    start_at: Moment = 0.0,
    end_at: Moment = 1.0,
    image_negative: Annotated[Image | None, In(tip="What negative conditionings see; without one, nothing.")] = None,
    attn_mask: Annotated[Mask | None, In(tip="How much the pictures count at each place: white, all of it.")] = None,
) -> Model:
    """Let pictures (B, H, W, C), as an image encoder sees them, stand beside the text for a U-Net's cross-attention.

    Attention to them, with the text's query, is added `weight` times (Ye et al. 2023, equation 5); several adapters add up.
    Negative conditionings see what the encoder makes of nothing, as in training. A mask (B, H, W) is squeezed to the picture.
    """
    if weight == 0.0:
        return model
    tokens = ipadapter.config["kind"] != "plain"
    with ctx.models.use(clip_vision) as encoder:
        seen = _states(encoder.encode(image), tokens=tokens)
        if image_negative is not None:
            away = _states(encoder.encode(image_negative), tokens=tokens)
        else:
            away = _states(encoder.nothing(), tokens=True) if tokens else torch.zeros_like(seen[:1])
    if combine == "average":
        seen = seen.mean(dim=0, keepdim=True)
    hint = seen[:, None] if combine == "each its own" else seen[None]
    mask = None if attn_mask is None else attn_mask[:, None].float()
    return model.with_control(ControlUse(ipadapter, hint, weight, start_at, end_at, mask=mask, away=away[None]))


def _states(seen: object, *, tokens: bool) -> torch.Tensor:
    """What was seen of B pictures, (B, T, D): the tokens of the last layer but one, or the vector, T = 1."""
    found: torch.Tensor = getattr(seen, "penultimate_hidden_states" if tokens else "image_embeds")
    return found if tokens else found[:, None]
