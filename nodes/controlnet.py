"""ControlNet: pictures such as edges or depth that steer the sampling, put on conditionings as data."""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple

import msgspec
from torch.nn import functional

from engine.api import Conditioning, ControlNet, Image, In, Mask, Out, Vae, node
from engine.models.handles import ControlUse

# fmt: off
UNION_TYPES = (
    "openpose", "depth", "hed/pidi/softedge", "canny", "scribble", "seg", "tile", "inpaint", "lineart", "blur", "mlsd",
    "normalbae", "mask",
)
# fmt: on
"""What the field calls the tasks of control networks that know several."""

_ALPHA = 4
"""Channels of a picture at most; what has more is a latent, of which all are taken (StableCascade_SuperResolutionControlnet)."""

Strength = Annotated[float, In(ge=0, le=10, step=0.01, tip="Weight of the control network's residuals.")]
Moment = Annotated[float, In(ge=0, le=1, step=0.001, tip="Share of the sampling done: 0 the start, 1 the end.")]


class PositiveNegative(NamedTuple):
    """The two conditionings of classifier-free guidance."""

    positive: Annotated[Conditioning, Out(name="positive")]
    negative: Annotated[Conditioning, Out(name="negative")]


@node("ControlNetApply", category="conditioning/controlnet", display_name="Apply ControlNet (OLD)", deprecated=True)
def control_net_apply(
    conditioning: Conditioning, control_net: ControlNet, image: Image, strength: Strength = 1.0
) -> Conditioning:
    """Steer by a control picture (B, H, W, C), with and without the prompt alike. Applications chain."""
    if strength == 0.0:
        return conditioning
    return _Applied(control_net, image, strength)(conditioning, control_apply_to_uncond=True)


@node("ControlNetApplyAdvanced", category="conditioning/controlnet", display_name="Apply ControlNet")
def control_net_apply_advanced(
    positive: Conditioning,
    negative: Conditioning,
    control_net: ControlNet,
    image: Image,
    strength: Strength = 1.0,
    start_percent: Moment = 0.0,
    end_percent: Moment = 1.0,
    vae: Annotated[Vae | None, In(tip="Only for control networks that take latents; of no use to the others.")] = None,
) -> PositiveNegative:
    """Steer both conditionings by a control picture (B, H, W, C) during a part of the sampling."""
    if strength == 0.0:
        return PositiveNegative(positive, negative)
    apply = _Applied(control_net, image, strength, start_percent, end_percent, vae=vae)
    return PositiveNegative(
        apply(positive, control_apply_to_uncond=False), apply(negative, control_apply_to_uncond=False)
    )


@node(
    "ControlNetApplySD3", category="conditioning/controlnet", display_name="Apply Controlnet with VAE", deprecated=True
)
def control_net_apply_with_vae(
    positive: Conditioning,
    negative: Conditioning,
    control_net: ControlNet,
    vae: Vae,
    image: Image,
    strength: Strength = 1.0,
    start_percent: Moment = 0.0,
    end_percent: Moment = 1.0,
) -> PositiveNegative:
    """Steer both conditionings by a control picture (B, H, W, C), for control networks that take latents."""
    return control_net_apply_advanced(positive, negative, control_net, image, strength, start_percent, end_percent, vae)


@node(
    "ControlNetInpaintingAliMamaApply",
    category="conditioning/controlnet",
    display_name="ControlNetInpaintingAliMamaApply",
)
def control_net_apply_for_inpainting(
    positive: Conditioning,
    negative: Conditioning,
    control_net: ControlNet,
    vae: Vae,
    image: Image,
    mask: Annotated[Mask, In(tip="1 where the picture is to be made anew.")],
    strength: Strength = 1.0,
    start_percent: Moment = 0.0,
    end_percent: Moment = 1.0,
) -> PositiveNegative:
    """Steer both conditionings by a picture (B, H, W, C) and a mask (B, H, W), by a ControlNet for inpainting.

    What is to be made is black for it. Others than those for inpainting are given the whole picture, and no mask.
    """
    if strength == 0.0:
        return PositiveNegative(positive, negative)
    apply = _Applied(
        control_net, image, strength, start_percent, end_percent, vae=vae, mask=as_large(mask, *image.shape[1:3])
    )
    return PositiveNegative(
        apply(positive, control_apply_to_uncond=False), apply(negative, control_apply_to_uncond=False)
    )


@node("SetUnionControlNetType", category="conditioning/controlnet")
def set_union_control_net_type(
    control_net: ControlNet,
    type: Annotated[str, In(choices=("auto", *UNION_TYPES), tip="What the control picture shows.")] = "auto",
) -> ControlNet:
    """Tell a control network that knows several tasks which one it is given a picture for."""
    return msgspec.structs.replace(control_net, mode="" if type == "auto" else type)


def as_large(mask: Any, height: int, width: int) -> Any:
    """Return a mask (B, H, W) as (B, 1, `height`, `width`), the size of its picture."""
    return functional.interpolate(mask[:, None].float(), size=(height, width), mode="bilinear")


class _Applied:
    """Puts one ControlUse on conditionings; entries that had the same control before share the new one too.

    Sharing lets the sampler run both sides of guidance through the control network at once.
    """

    def __init__(
        self, control_net: Any, image: Any, strength: float, start: float = 0.0, end: float = 1.0, **beside: Any
    ) -> None:
        self._control_net = control_net
        self._hint = (image if image.shape[-1] > _ALPHA else image[..., :3]).movedim(-1, 1)
        self._facts = (strength, start, end)
        self._beside = beside
        self._made: dict[int, ControlUse] = {}

    def __call__(self, conditioning: Conditioning, *, control_apply_to_uncond: bool) -> Conditioning:
        return [
            [
                tokens,
                {
                    **options,
                    "control": self._after(options.get("control")),
                    "control_apply_to_uncond": control_apply_to_uncond,
                },
            ]
            for tokens, options in conditioning
        ]

    def _after(self, previous: ControlUse | None) -> ControlUse:
        key = id(previous)
        if key not in self._made:
            self._made[key] = ControlUse(self._control_net, self._hint, *self._facts, previous=previous, **self._beside)
        return self._made[key]
