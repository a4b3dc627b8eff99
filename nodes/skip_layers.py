"""Guidance away from what the model predicts without some of its layers (skip-layer guidance; Stability AI 2024)."""

from __future__ import annotations

import re
from typing import Annotated, TypeAlias

from engine.api import In, Model, node
from engine.denoising.skipped_layers import with_negative_skip, with_skip

_COUNTED = "numbers from 0, with commas between. Numbers that the model does not have are passed over."
DoubleLayers: TypeAlias = Annotated[
    str, In(tip=f"Layers that treat text and picture apart: {_COUNTED}", options={"multiline": False})
]
SingleLayers: TypeAlias = Annotated[
    str, In(tip=f"Layers in which text and picture are one: {_COUNTED}", options={"multiline": False})
]
Scale: TypeAlias = Annotated[
    float, In(ge=0, le=10, step=0.1, tip="How far away from the prediction without the layers.")
]
Percent: TypeAlias = Annotated[float, In(ge=0, le=1, step=0.001, tip="Share of the noise levels that are behind.")]

_USUAL = "7, 8, 9"
_NUMBER = re.compile(r"[0-9]{1,9}")


@node("SkipLayerGuidanceDiT", category="advanced/guidance", display_name=None, experimental=True)
def skip_layer_guidance_dit(
    model: Model,
    double_layers: DoubleLayers = _USUAL,
    single_layers: SingleLayers = _USUAL,
    scale: Scale = 3.0,
    start_percent: Percent = 0.01,
    end_percent: Percent = 0.15,
    rescaling_scale: Annotated[
        float, In(ge=0, le=10, step=0.01, tip="How far the spread is pulled back to that of the positive prediction.")
    ] = 0.0,
) -> Model:
    """Guide away from what the model predicts for the positive prompt without some layers, for sounder structure.

    Without any numbers, or at scale 0, the model comes back as it is. Raises ValueError for what is no list of numbers.
    """
    double, single = _numbers("double_layers", double_layers), _numbers("single_layers", single_layers)
    if not (double or single) or scale == 0.0:
        return model
    return with_skip(model, double, single, (start_percent, end_percent), scale, rescaling_scale)


@node("SkipLayerGuidanceDiTSimple", category="advanced/guidance", display_name=None, experimental=True)
def skip_layer_guidance_dit_simple(
    model: Model,
    double_layers: DoubleLayers = _USUAL,
    single_layers: SingleLayers = _USUAL,
    start_percent: Percent = 0.0,
    end_percent: Percent = 1.0,
) -> Model:
    """Let the prediction for the negative prompt be made without some layers, which costs no further call of the model.

    Without any numbers the model comes back as it is. Raises ValueError for what is no list of numbers.
    """
    double, single = _numbers("double_layers", double_layers), _numbers("single_layers", single_layers)
    if not (double or single):
        return model
    return with_negative_skip(model, double, single, (start_percent, end_percent))


@node("SkipLayerGuidanceSD3", category="advanced/guidance", display_name=None, experimental=True)
def skip_layer_guidance_sd3(
    model: Model,
    layers: DoubleLayers = _USUAL,
    scale: Scale = 3.0,
    start_percent: Percent = 0.01,
    end_percent: Percent = 0.15,
) -> Model:
    """Guide away from what Stable Diffusion 3.5 predicts for the positive prompt without some layers, for sounder structure.

    Without any numbers, or at scale 0, the model comes back as it is. Raises ValueError for what is no list of numbers.
    """
    numbers = _numbers("layers", layers)
    if not numbers or scale == 0.0:
        return model
    return with_skip(model, numbers, [], (start_percent, end_percent), scale, 0.0)


def _numbers(name: str, text: str) -> list[int]:
    parts = text.replace(",", " ").split()
    if not all(_NUMBER.fullmatch(part) for part in parts):
        raise ValueError(
            f"{name}: {text[:80]!r} is no list of layers. Write numbers from 0 with commas between, such as 7, 8, 9."
        )
    return sorted({int(part) for part in parts})
