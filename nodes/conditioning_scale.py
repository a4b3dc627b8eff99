"""Conditionings that count more or less as numbers, and areas of videos."""

from __future__ import annotations

from typing import Annotated, Any

from engine.api import Conditioning, In, Out, node
from engine.models.encoded import makers, signed
from nodes.conditioning import AreaStrength, Share, with_options


@node("ConditioningMultiply", category="advanced/conditioning", display_name="Conditioning (Multiply)")
def conditioning_multiply(
    conditioning: Conditioning,
    multiplier: Annotated[float, In(ge=-100, le=100, step=0.01, tip="What all numbers are multiplied by.")] = 1.0,
) -> Conditioning:
    """Multiply a conditioning (B, T, D) and its pooled text (B, P) by a number."""
    if multiplier == 1.0:
        return conditioning
    return [_times(tokens, options, multiplier) for tokens, options in conditioning]


def _times(tokens: Any, options: dict[str, Any], multiplier: float) -> list[Any]:
    made = tokens * multiplier
    new = signed(made, options, makers(tokens, options))
    if (pooled := options.get("pooled_output")) is not None:
        new["pooled_output"] = pooled * multiplier
    return [made, new]


@node(
    "ConditioningSetAreaPercentageVideo",
    category="conditioning",
    display_name="Conditioning (Set Area with Percentage for Video)",
)
def conditioning_set_area_percentage_video(
    conditioning: Conditioning,
    width: Share = 1.0,
    height: Share = 1.0,
    temporal: Annotated[float, In(ge=0, le=1, step=0.01, tip="As a share of the duration.")] = 1.0,
    x: Share = 0.0,
    y: Share = 0.0,
    z: Annotated[float, In(ge=0, le=1, step=0.01, tip="Where it begins, as a share of the duration.")] = 0.0,
    strength: AreaStrength = 1.0,
) -> Annotated[Conditioning, Out(name="conditioning")]:
    """Let the conditioning act only in a rectangle of some frames: shares of the sides and the duration of latents with time."""
    area = ("percentage", temporal, height, width, z, y, x)
    return with_options(conditioning, area=area, strength=strength, set_area_to_bounds=False)
