"""Models that know every noise level of a range, and models that were trained with noise of another strength."""

from __future__ import annotations

from typing import Annotated

import msgspec

from engine.api import In, Model, node
from engine.datatypes.parameterization import LatentFormat

_ADVANCED = {"advanced": True}

_PREDICTIONS = {
    "v_prediction": "v",
    "edm": "edm",
    "edm_playground_v2.5": "edm",
    "eps": "eps",
    "cosmos_rflow": "share",
}

_PLAYGROUND = "edm_playground_v2.5"
_PLAYGROUND_DATA = 0.5
_PLAYGROUND_LATENTS = {
    "scale": 0.5,
    "shift": 0.0,
    "means": (-1.6574, 1.886, -1.383, 2.5155),
    "deviations": (8.4927, 5.9022, 6.5498, 5.2299),
}
"""As the configuration of Playground v2.5's VAE has them (Li et al. 2024)."""


@node("ModelSamplingContinuousEDM", category="advanced/model", display_name=None)
def model_sampling_continuous_edm(
    model: Model,
    sampling: Annotated[str, In(choices=tuple(_PREDICTIONS), tip="What the network predicts.", options=_ADVANCED)],
    sigma_max: Annotated[
        float, In(ge=0, le=1000, step=0.001, round=False, tip="The largest noise level.", options=_ADVANCED)
    ] = 120.0,
    sigma_min: Annotated[
        float, In(ge=0, le=1000, step=0.001, round=False, tip="The least noise level.", options=_ADVANCED)
    ] = 0.002,
) -> Model:
    """Read a model as one that knows every noise level of a range and is told log(sigma) / 4 (Karras et al. 2022, EDM).

    "edm" is their F; "edm_playground_v2.5" the same with data of deviation 1/2 and the latents of Playground v2.5;
    "cosmos_rflow" a flow's velocity, whose network is told sigma / (sigma + 1).
    """
    ranged = _ranged("ModelSamplingContinuousEDM", model, sigma_min, sigma_max)
    playground, cosmos = sampling == _PLAYGROUND, sampling == "cosmos_rflow"
    process = msgspec.structs.replace(
        ranged.parameterization,
        prediction=_PREDICTIONS[sampling],
        schedule="share_time" if cosmos else "log_time",
        sigma_data=_PLAYGROUND_DATA if playground else 1.0,
    )
    if not playground:
        return ranged.with_parameterization(process)
    return ranged.with_parameterization(process).with_latent(_playground(model.latent))


def _playground(latent: LatentFormat) -> LatentFormat:
    wanted = len(_PLAYGROUND_LATENTS["means"])  # type: ignore[arg-type]  # a tuple
    if latent.channels != wanted:
        raise ValueError(
            f"ModelSamplingContinuousEDM: {_PLAYGROUND} is for latents of {wanted} channels; this model has {latent.channels}. "
            "Load Playground v2.5, or choose another sampling."
        )
    return msgspec.structs.replace(latent, **_PLAYGROUND_LATENTS)


@node("ModelSamplingContinuousV", category="advanced/model", display_name=None)
def model_sampling_continuous_v(
    model: Model,
    sampling: Annotated[
        str, In(choices=("v_prediction",), tip="What the network predicts.", options=_ADVANCED)
    ] = "v_prediction",
    sigma_max: Annotated[
        float, In(ge=0, le=1000, step=0.001, round=False, tip="The largest noise level.", options=_ADVANCED)
    ] = 500.0,
    sigma_min: Annotated[
        float, In(ge=0, le=1000, step=0.001, round=False, tip="The least noise level.", options=_ADVANCED)
    ] = 0.03,
) -> Model:
    """Read a model as one that knows every noise level of a range, predicts velocity, and is told atan(sigma) × 2 / π."""
    ranged = _ranged("ModelSamplingContinuousV", model, sigma_min, sigma_max)
    process = msgspec.structs.replace(ranged.parameterization, prediction="v", schedule="tangent_time", sigma_data=1.0)
    return ranged.with_parameterization(process)


@node("ModelNoiseScale", category="advanced/model", display_name=None)
def model_noise_scale(
    model: Model,
    noise_scale: Annotated[
        float, In(ge=0, le=64, step=0.01, tip="Deviation of the noise in training: 8 for HiDream-O1, 7.5 for its dev.")
    ] = 1.0,
) -> Model:
    """Sample a model with noise of the deviation that it was trained with, at the start and where more is added on the way.

    It is the deviation itself, and no factor on another. What is predicted means the same (inferred: levels stay).
    """
    return model.with_parameterization(msgspec.structs.replace(model.parameterization, noise_scale=noise_scale))


def _ranged(name: str, model: Model, low: float, high: float) -> Model:
    """The model with a range of levels; raises ValueError for one that has none."""
    if not 0.0 < low < high:
        raise ValueError(
            f"{name}: sigma_min must be above 0 and below sigma_max; they are {low} and {high}. Use such as 0.002 and 120."
        )
    process = msgspec.structs.replace(
        model.parameterization, sigma_min=low, sigma_max=high, timesteps=1000, shift=1.0, zero_terminal_snr=False
    )
    return model.with_parameterization(process)
