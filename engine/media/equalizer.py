"""Tone control: the biquad filters of Robert Bristow-Johnson's Audio EQ Cookbook (W3C note, 2021)."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

Band = tuple[str, float, float, float]
"""Kind (`lowshelf`, `peak`, `highshelf`), frequency in Hz, gain in decibels, Q."""


def equalized(waveform: Tensor, rate: int, bands: Iterable[Band]) -> Tensor:
    """The waveform (B, C, T) through the filters, one after another.

    Raises ValueError for a frequency at or above half of `rate`, which a sound of that rate does not have.
    """
    import torch
    from scipy.signal import lfilter

    samples = waveform.double().cpu().numpy()
    for band in bands:
        if band[1] >= rate / 2:
            raise ValueError(
                f"{band[0]} at {band[1]:g} Hz: a sound of {rate} samples a second has tones up to {rate / 2:g} Hz. "
                "Choose a lower frequency, or a gain of 0 for this band."
            )
        above, below = coefficients(band, rate)
        samples = lfilter(above, below, samples, axis=-1)
    return torch.from_numpy(samples).to(torch.float32)


def coefficients(band: Band, rate: int) -> tuple[list[float], list[float]]:
    """Numerator b0..b2 and denominator a0..a2 of a band at `rate` samples a second."""
    kind, frequency, gain, q = band
    a = 10 ** (gain / 40)
    omega = 2 * math.pi * frequency / rate
    cos, alpha = math.cos(omega), math.sin(omega) / (2 * q)
    if kind == "peak":
        return [1 + alpha * a, -2 * cos, 1 - alpha * a], [1 + alpha / a, -2 * cos, 1 - alpha / a]
    slope, turn = 2 * math.sqrt(a) * alpha, 1.0 if kind == "lowshelf" else -1.0
    up, down = a + 1, a - 1
    return (
        [
            a * (up - turn * down * cos + slope),
            turn * 2 * a * (down - turn * up * cos),
            a * (up - turn * down * cos - slope),
        ],
        [up + turn * down * cos + slope, turn * -2 * (down + turn * up * cos), up + turn * down * cos - slope],
    )
