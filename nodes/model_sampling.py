"""How a model is read: its prediction type, its noise process and its shift, the spread of its guidance."""

from __future__ import annotations

import math
from typing import Annotated, Literal

import msgspec

from engine.api import In, Model, node
from engine.denoising.live import CHANNELS_OPTION, RESCALE_OPTION
from nodes.dimensions import MAX_RESOLUTION

PREDICTIONS = {"eps": "eps", "v_prediction": "v", "lcm": "lcm", "x0": "x0", "img_to_img": "img_to_img"}

MAX_LOG_SHIFT = 100
"""Beyond it all noise levels but zero are 1 in float32 many times over."""

Shift = Annotated[float, In(ge=0, le=100, step=0.01, tip="1 leaves the levels; above 1 more steps are at high noise.")]
Pixels = Annotated[int, In(ge=16, le=MAX_RESOLUTION, step=8, tip="Size of the picture to be, in pixels.")]


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
    tabled = known.schedule not in ("flow", "log_time", "tangent_time", "share_time")
    schedule = known.schedule if tabled else "scaled_linear"
    parameterization = msgspec.structs.replace(
        known, prediction=PREDICTIONS[sampling], schedule=schedule, zero_terminal_snr=zsnr, sigma_data=1.0
    )
    return model.with_parameterization(parameterization)


@node("ModelSamplingSD3", category="advanced/model", display_name=None)
def model_sampling_sd3(model: Model, shift: Shift = 3.0) -> Model:
    """Read a model as a flow and shift its noise levels (Esser et al. 2024): above 1 more of the steps are at high noise."""
    return as_flow(model, shift)


@node("ModelSamplingAuraFlow", category="advanced/model", display_name=None)
def model_sampling_aura_flow(
    model: Model,
    shift: Shift = 1.73,
    sampling: Annotated[
        Literal["flow"] | None, In(tip="What the network predicts.", options={"advanced": True, "multiselect": False})
    ] = "flow",
) -> Model:
    """Read a model as a flow and shift its noise levels, as ModelSamplingSD3 does; AuraFlow's shift is the default."""
    return as_flow(model, shift)


@node("ModelSamplingFlux", category="advanced/model", display_name=None)
def model_sampling_flux(
    model: Model,
    max_shift: Annotated[
        float, In(ge=0, le=100, step=0.01, tip="Logarithm of the shift at 1024 × 1024 pixels.")
    ] = 1.15,
    base_shift: Annotated[float, In(ge=0, le=100, step=0.01, tip="Logarithm of the shift at 256 × 256 pixels.")] = 0.5,
    width: Pixels = 1024,
    height: Pixels = 1024,
) -> Model:
    """Read a model as a flow whose noise levels are shifted by the size of the picture: larger ones need more noise.

    The logarithm of the shift is linear in the number of patches of 16 × 16 pixels: `base_shift` at 256 of them and
    `max_shift` at 4096, and on beyond.
    """
    slope = (max_shift - base_shift) / (4096 - 256)
    logarithm = base_shift + slope * (width * height / 256 - 256)
    if logarithm > MAX_LOG_SHIFT:
        raise ValueError(
            f"ModelSamplingFlux: {width} × {height} pixels give a shift of e to the power of {logarithm:.0f}, which leaves "
            f"nothing but noise; the power may be {MAX_LOG_SHIFT} at most. Lower max_shift or the size."
        )
    return as_flow(model, math.exp(logarithm))


@node("ModelSamplingStableCascade", category="advanced/model", display_name=None)
def model_sampling_stable_cascade(
    model: Model,
    shift: Annotated[float, In(ge=0, le=100, step=0.01, tip="More than 1 leaves more noise at each time.")] = 2.0,
) -> Model:
    """Read a model as Stable Cascade's stages are: noise along a cosine in time, shifted for larger pictures."""
    if shift <= 0:
        raise ValueError(f"A shift of {shift} leaves no noise; use one above 0, such as 1 for none.")
    process = msgspec.structs.replace(
        model.parameterization,
        prediction="eps",
        schedule="cosine_time",
        timesteps=10_000,
        shift=shift,
        zero_terminal_snr=False,
    )
    return model.with_parameterization(process)


def as_flow(model: Model, shift: float) -> Model:
    """Return a model read as a flow with shifted levels; raises ValueError for a shift that leaves none."""
    if shift <= 0:
        raise ValueError(f"A shift of {shift} leaves no noise level above zero; use one above 0, such as 1 for none.")
    flow = msgspec.structs.replace(
        model.parameterization, prediction="flow", schedule="flow", shift=shift, zero_terminal_snr=False
    )
    return model.with_parameterization(flow)


@node("GuideChannels", category="advanced/model", display_name="Guide Channels")
def guide_channels(
    model: Model,
    channels: Annotated[int, In(ge=1, le=128, tip="How many of the latent's channels, from the first.")] = 3,
) -> Model:
    """Let guidance act on the first channels alone; the others are those of the positive side. DiT's authors guide 3 of 4."""
    return model.with_option(CHANNELS_OPTION, channels)


@node("RescaleCFG", category="advanced/model")
def rescale_cfg(
    model: Model,
    multiplier: Annotated[float, In(ge=0, le=1, step=0.01, tip="0 leaves guidance as it is.")] = 0.7,
) -> Model:
    """Pull the spread of the guided prediction back to that of the positive one, against burnt-out colours."""
    return model.with_option(RESCALE_OPTION, multiplier)
