"""Guidance that does not make predictions longer."""

from __future__ import annotations

from typing import Annotated

from engine.api import In, Model, node
from engine.denoising.model_guidance import BOUND_OPTION, with_step


@node("CFGNorm", category="advanced/guidance", display_name=None, experimental=True)
def cfg_norm(
    model: Model,
    strength: Annotated[float, In(ge=0, le=100, step=0.01, tip="The result is multiplied by this too.")] = 1.0,
    pre_cfg: Annotated[
        bool | None,
        In(
            tip="Scale the guided noise to the length of the positive one; else shorten the predicted picture where it is longer."
        ),
    ] = False,
) -> Model:
    """Hold guidance to the length that the positive prediction has, latent pixel by latent pixel, against burnt-out colours."""
    return with_step(model, "noise_as_long" if pre_cfg else "shortened", strength)


@node("RenormCFG", category="advanced/model", display_name=None)
def renorm_cfg(
    model: Model,
    cfg_trunc: Annotated[
        float,
        In(ge=0, le=100, step=0.01, tip="From this noise level up there is no guidance.", options={"advanced": True}),
    ] = 100.0,
    renorm_cfg: Annotated[
        float,
        In(
            ge=0,
            le=100,
            step=0.01,
            tip="How long the result may be, as a share; 0: as it is.",
            options={"advanced": True},
        ),
    ] = 1.0,
) -> Model:
    """Guide below a noise level only, and hold each picture to the length of the positive prediction, as Lumina 2 wants it."""
    return model.with_option(BOUND_OPTION, [cfg_trunc, renorm_cfg])
