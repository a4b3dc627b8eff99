"""Guidance weighted by frequency."""

from __future__ import annotations

from typing import Annotated

from engine.api import In, Model, node
from engine.denoising.model_guidance import FREQUENCY_OPTION


@node("FreSca", category="_for_testing", display_name="FreSca", experimental=True)
def fresca(
    model: Model,
    scale_low: Annotated[float, In(ge=0, le=10, step=0.01, tip="How much of the low frequencies: large shapes.")] = 1.0,
    scale_high: Annotated[float, In(ge=0, le=10, step=0.01, tip="How much of the high frequencies: details.")] = 1.25,
    freq_cutoff: Annotated[
        int, In(ge=1, le=10_000, step=1, tip="How many frequencies on either side of 0, in latent pixels, are low.")
    ] = 20,
) -> Model:
    """Weigh low and high frequencies of guidance apart (FreSca; Huang et al. 2025)."""
    told = [scale_low, scale_high, freq_cutoff]
    return model.with_option(FREQUENCY_OPTION, [*model.options.get(FREQUENCY_OPTION, []), told])
