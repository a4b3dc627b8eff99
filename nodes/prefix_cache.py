"""What a model keeps of one step for the next."""

from __future__ import annotations

from typing import Annotated, Literal

from engine.api import In, Model, node
from engine.models.networks.flux2 import KEEPS_OPTION
from engine.models.networks.prefix_cache import CACHE_OPTION
from nodes.dimensions import ONE_CHOICE


@node("QwenImage21Cache", category="advanced/model", display_name=None, experimental=True)
def qwen_image21_cache(
    model: Model,
    device: Annotated[
        Literal["auto", "gpu", "cpu", "off"],
        In(
            tip="auto: on the GPU while there is room, then in memory; off: worked out anew at every step.",
            options=ONE_CHOICE,
        ),
    ] = "auto",
    dtype: Annotated[
        Literal["default", "int8", "int4"],
        In(
            tip="default: as they are; int8 takes half and int4 a quarter of the room, less exactly.",
            options=ONE_CHOICE,
        ),
    ] = "default",
) -> Model:
    """Say where Qwen-Image 2.1 keeps what its text and references come to, which is the same at every step, and how exactly."""
    return model.with_option(CACHE_OPTION, [device, dtype])


@node("FluxKVCache", category="advanced/model", display_name=None, experimental=True)
def flux_kv_cache(model: Model) -> Model:
    """Keep what pictures to go by come to for all steps, as FLUX.2 klein 9B KV was trained; others give other pictures by it."""
    return model.with_option(KEEPS_OPTION, True)
