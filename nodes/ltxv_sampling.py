"""How LTX-Video is sampled: noise levels shifted by the number of tokens, which are pixels of its latent."""

from __future__ import annotations

import math
from typing import Annotated

import torch

from engine.api import In, Latent, Model, Sigmas, Steps, node
from nodes.model_sampling import MAX_LOG_SHIFT, as_flow

_TOKENS = 4096
"""Where no latent is told."""

_FEW, _MANY = 1024, 4096
"""Tokens at which the logarithms of the shift are told."""

MaxShift = Annotated[
    float, In(ge=0, le=100, step=0.01, tip="Logarithm of the shift at 4096 tokens.", options={"advanced": True})
]
BaseShift = Annotated[
    float, In(ge=0, le=100, step=0.01, tip="Logarithm of the shift at 1024 tokens.", options={"advanced": True})
]
Sized = Annotated[Latent | None, In(tip="The latent to be sampled, for its size; without one it has 4096 tokens.")]


@node("LTXVScheduler", category="sampling/custom_sampling/schedulers", display_name=None)
def ltxv_scheduler(
    steps: Steps = 20,
    max_shift: MaxShift = 2.05,
    base_shift: BaseShift = 0.95,
    stretch: Annotated[
        bool, In(tip="Stretch the levels so that the last above zero is `terminal`.", options={"advanced": True})
    ] = True,
    terminal: Annotated[
        float, In(ge=0, le=0.99, step=0.01, tip="The last level above zero.", options={"advanced": True})
    ] = 0.1,
    latent: Sized = None,
) -> Sigmas:
    """Even in time, shifted by the number of tokens, then stretched to [`terminal`, 1] (HaCohen et al. 2024, LTX-Video).

    The logarithm of the shift is linear in the tokens. A single step goes from 1 to 0.
    """
    shift = math.exp(_logarithm("LTXVScheduler", max_shift, base_shift, latent))
    time = torch.linspace(1.0, 0.0, steps + 1, dtype=torch.float64)[:-1]
    sigmas = shift * time / (1.0 + (shift - 1.0) * time)
    if stretch and steps > 1:
        rest = (1.0 - time) / (1.0 + (shift - 1.0) * time)  # 1 - sigmas, which a large shift rounds to nothing
        sigmas = 1.0 - rest * ((1.0 - terminal) / rest[-1])
    return torch.cat([sigmas, sigmas.new_zeros(1)]).to(torch.float32)


@node("ModelSamplingLTXV", category="advanced/model", display_name=None)
def model_sampling_ltxv(
    model: Model, max_shift: MaxShift = 2.05, base_shift: BaseShift = 0.95, latent: Sized = None
) -> Model:
    """Read a model as a flow whose noise levels are shifted by the number of tokens, as LTXVScheduler's are."""
    return as_flow(model, math.exp(_logarithm("ModelSamplingLTXV", max_shift, base_shift, latent)))


def _logarithm(name: str, max_shift: float, base_shift: float, latent: Latent | None) -> float:
    """The logarithm of the shift for a latent (B, C, …). Raises ValueError where it leaves nothing but noise."""
    tokens = _TOKENS if latent is None else math.prod(latent["samples"].shape[2:])
    logarithm = base_shift + (max_shift - base_shift) * (tokens - _FEW) / (_MANY - _FEW)
    if logarithm > MAX_LOG_SHIFT:
        raise ValueError(
            f"{name}: {tokens} tokens give a shift of e to the power of {logarithm:.0f}, which leaves nothing but noise; the "
            f"power may be {MAX_LOG_SHIFT} at most. Lower max_shift or the size."
        )
    return logarithm
