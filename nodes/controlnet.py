"""ControlNet: pictures such as edges or depth that steer the sampling, put on conditionings as data."""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple

from engine.api import Conditioning, ControlNet, Image, In, Out, Vae, node
from engine.models.handles import ControlUse

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
    apply = _Applied(control_net, image, strength, start_percent, end_percent)
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


class _Applied:
    """Puts one ControlUse on conditionings; entries that had the same control before share the new one too.

    Sharing lets the sampler run both sides of guidance through the control network at once.
    """

    def __init__(self, control_net: Any, image: Any, strength: float, start: float = 0.0, end: float = 1.0) -> None:
        self._control_net = control_net
        self._hint = image[..., :3].movedim(-1, 1)
        self._facts = (strength, start, end)
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
            self._made[key] = ControlUse(self._control_net, self._hint, *self._facts, previous=previous)
        return self._made[key]
