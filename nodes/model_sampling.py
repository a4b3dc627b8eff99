"""How a model is read: its prediction type, its noise process, the spread of its guidance."""

from __future__ import annotations

from typing import Annotated

import msgspec

from engine.api import In, Model, node
from engine.denoising.live import RESCALE_OPTION

PREDICTIONS = {"eps": "eps", "v_prediction": "v", "lcm": "lcm", "x0": "x0", "img_to_img": "img_to_img"}


@node("ModelSamplingDiscrete", category="advanced/model")
def model_sampling_discrete(
    model: Model,
    sampling: Annotated[str, In(choices=tuple(PREDICTIONS), tip="What the network predicts.")] = "eps",
    zsnr: Annotated[bool, In(tip="Rescale the schedule so that its last level holds no signal at all.")] = False,
) -> Model:
    """Read a model under another prediction type or with zero terminal signal (Lin et al. 2023), when its file does not say.

    `lcm` is a latent consistency model (Luo et al. 2023) with the 50 noise levels it was distilled to, `img_to_img` a network
    that turns one picture into another and is given its input unscaled.
    """
    known = model.parameterization
    schedule = "scaled_linear" if known.schedule == "flow" else known.schedule
    parameterization = msgspec.structs.replace(
        known, prediction=PREDICTIONS[sampling], schedule=schedule, zero_terminal_snr=zsnr
    )
    return model.with_parameterization(parameterization)


@node("RescaleCFG", category="advanced/model")
def rescale_cfg(
    model: Model,
    multiplier: Annotated[float, In(ge=0, le=1, step=0.01, tip="0 leaves guidance as it is.")] = 0.7,
) -> Model:
    """Pull the spread of the guided prediction back to that of the positive one, against burnt-out colours."""
    return model.with_option(RESCALE_OPTION, multiplier)
