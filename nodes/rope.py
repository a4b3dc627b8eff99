"""Where tokens stand for a network."""

from __future__ import annotations

from typing import Annotated

from engine.api import In, Model, node
from engine.denoising.inside.places import check_places, with_places

_ADVANCED = {"advanced": True}
Scale = Annotated[
    float, In(ge=0, le=100, step=0.1, tip="How far apart neighbours stand; 1 as ever.", options=_ADVANCED)
]
Shift = Annotated[
    float, In(ge=-256, le=256, step=0.1, tip="How far all of them stand from where they were.", options=_ADVANCED)
]


@node("ScaleROPE", category="advanced/model_patches", display_name=None, experimental=True)
def scale_rope(
    model: Model,
    scale_x: Scale = 1.0,
    shift_x: Shift = 0.0,
    scale_y: Scale = 1.0,
    shift_y: Shift = 0.0,
    scale_t: Scale = 1.0,
    shift_t: Shift = 0.0,
) -> Model:
    """Spread and shift the places that a transformer is told of a picture's tokens: columns (x), rows (y), sheets or frames (t).

    A token n from the first stands at first + scale · n + shift. For networks that are told places: FLUX.1, FLUX.2, FLUX.3,
    Chroma, Ovis-Image, LongCat-Image, Wan. Pictures to go by are moved with it (as inferred); text is not. With all scales 1 and
    shifts 0 the model comes back as it is; of several nodes scales are multiplied and shifts added.
    """
    scales, shifts = [scale_t, scale_y, scale_x], [shift_t, shift_y, shift_x]
    check_places(model, "ScaleROPE")
    if scales == [1.0, 1.0, 1.0] and shifts == [0.0, 0.0, 0.0]:
        return model
    return with_places(model, scales, shifts)
