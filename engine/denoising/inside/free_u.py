"""FreeU (Si et al. 2023): what a U-Net's decoder is given, weighed anew.

Where h (B, C, H, W), what comes from below, has four times (or twice) the channels of the first level, its first half is made
stronger by b, and the low frequencies of what comes over the skip connection count s times. The second version makes h
stronger the more, the stronger its mean over the channels is at a place.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import torch

from engine.models.networks.unet_places import Layout

if TYPE_CHECKING:
    from torch import Tensor

    from engine.denoising.inside.base import Given, Inner, Where


class FreeU:
    """The patch; `version` 1 or 2."""

    def __init__(self, where: Where, b1: float, b2: float, s1: float, s2: float, version: int) -> None:
        layout = Layout.of(where.network.module)
        assert layout is not None
        self._joins = layout.joins()
        self._shares = {4 * layout.width: (b1, s1), 2 * layout.width: (b2, s2)}
        self._stronger = by_mean if version == 2 else by_number

    def __call__(self, given: Given, inner: Inner) -> Tensor:
        """Return the prediction with every output block of those widths changed."""
        with ExitStack() as hooks:
            for resnet, skipped in self._joins:
                hooks.callback(resnet.register_forward_pre_hook(self._before(skipped)).remove)
            return inner(given)

    def _before(self, skipped: int) -> Any:
        def before(_: Any, arguments: tuple[Tensor, ...]) -> Any:
            joined = arguments[0]
            own = joined.shape[1] - skipped
            if own not in self._shares:
                return None
            b, s = self._shares[own]
            h, over = joined[:, :own], joined[:, own:]
            half = own // 2
            return (torch.cat([self._stronger(h, half, b), h[:, half:], low_scaled(over, s)], dim=1), *arguments[1:])

        return before


def by_number(h: Tensor, half: int, b: float) -> Tensor:
    """Return the first `half` channels of h (B, C, H, W) times b."""
    return h[:, :half] * b


def by_mean(h: Tensor, half: int, b: float) -> Tensor:
    """Return the first `half` channels of h (B, C, H, W) times 1..b, by where the mean over the channels is in its range.

    Where that is the same everywhere, and has no range, they are as they were.
    """
    mean = h.float().mean(1, keepdim=True)
    low, high = mean.amin((2, 3), keepdim=True), mean.amax((2, 3), keepdim=True)
    place = torch.where(high > low, (mean - low) / (high - low), 0.0)
    return h[:, :half] * ((b - 1.0) * place + 1.0).to(h.dtype)


def low_scaled(x: Tensor, scale: float, threshold: int = 1) -> Tensor:
    """Return x (B, C, H, W) with frequencies from -`threshold` to below it, in both directions, times `scale`."""
    spectrum: Tensor = torch.fft.fftn(x.float(), dim=(-2, -1))
    rows, columns = (_low(side, threshold, x.device) for side in x.shape[-2:])
    weights = torch.where(rows[:, None] & columns[None, :], scale, 1.0)
    changed: Tensor = torch.fft.ifftn(spectrum * weights, dim=(-2, -1)).real
    return changed.to(x.dtype)


def _low(side: int, threshold: int, device: torch.device) -> Tensor:
    """Which places of a spectrum's side, (side,), are low frequencies."""
    frequencies: Tensor = (torch.fft.fftfreq(side, device=device) * side).round()
    return (frequencies >= -threshold) & (frequencies < threshold)
