"""How single models are run, without changing what they give."""

from __future__ import annotations

from typing import Annotated

from engine.api import In, Model, node
from engine.models.networks.radiance import TILE_OPTION

_KEPT = "Kept for saved workflows; it changes no picture."


@node("ChromaRadianceOptions", category="model_patches/chroma_radiance", display_name=None)
def chroma_radiance_options(
    model: Model,
    preserve_wrapper: Annotated[bool, In(tip=_KEPT)] = True,
    start_sigma: Annotated[float, In(ge=0, le=1, tip=_KEPT)] = 1.0,
    end_sigma: Annotated[float, In(ge=0, le=1, tip=_KEPT)] = 0.0,
    nerf_tile_size: Annotated[
        int, In(ge=-1, tip="Patches whose pixels are worked out at once; 0 for all of them, -1 for the usual 32.")
    ] = -1,
) -> Model:
    """Say how many patches Chroma Radiance works out at once: more take more memory, and give the same."""
    return model if nerf_tile_size < 0 else model.with_option(TILE_OPTION, nerf_tile_size)
