"""How a denoising network relates to the noise process: what it predicts and under which schedule."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec

if TYPE_CHECKING:
    from torch import Tensor

Prediction = Literal["eps", "v", "x0", "flow", "lcm", "img_to_img", "edm", "share"]
ScheduleKind = Literal[
    "scaled_linear", "linear", "cosine", "cosine_time", "flow", "log_time", "tangent_time", "share_time"
]
Variance = Literal["least", "most"]


class Parameterization(msgspec.Struct, frozen=True, kw_only=True):
    """The noise process a network was trained on and what its output means.

    `prediction`: the noise, the velocity, x_0, a flow's velocity; `lcm`: the noise, of a network distilled to 50 timesteps
    (Luo et al. 2023); `img_to_img`: x_0, of a network that is given x as it is. For all but `flow` the process is
    x_t = sqrt(abar_t) x_0 + sqrt(1 - abar_t) eps over `timesteps` discrete steps, with betas from `beta_start` to
    `beta_end` (`scaled_linear`: linear in the square root, as Stable Diffusion; `linear`: as DDPM; `cosine`: Nichol &
    Dhariwal 2021, betas ignored; `cosine_time`: the same as a function of time 0..1, which is what the network is told, with
    `shift` dividing the signal's share of the noise, as Stable Cascade). For `flow` it is x_t = (1 - t) x_0 + t eps
    (Liu et al. 2022; Lipman et al. 2022), with the resolution shift of Stable Diffusion 3 (Esser et al. 2024).

    `clip` above 0: guided predictions of x_0 are kept within ±clip, as networks of pictures are sampled (Ho et al. 2020). With
    `clip_quantile` 0..1 that bound is the quantile of each prediction's magnitudes, between 1 and `clip`, and the prediction is
    scaled back to ±1 (Saharia et al. 2022, section 2.3, dynamic thresholding). `variance`: which of the two bounds on the
    variance of a step (Ho et al. 2020, section 3.2) ancestral sampling draws with; a network that has learned it decides itself.

    Of `log_time`, `tangent_time` and `share_time` any level from `sigma_min` to `sigma_max` is one that the network knows, and it
    is told log(sigma) / 4 (Karras et al. 2022), atan(sigma) 2 / pi, or sigma / (sigma + 1). The prediction `edm` is Karras et
    al.'s F, and `share` a flow's velocity at the time sigma / (sigma + 1) and at x / (sigma + 1). `sigma_data`: the deviation of
    the data, for eps, v and edm. `noise_scale`: the deviation of the noise that the network was trained with.
    """

    prediction: Prediction = "eps"
    schedule: ScheduleKind = "scaled_linear"
    timesteps: int = 1000
    beta_start: float = 0.00085
    beta_end: float = 0.012
    shift: float = 1.0
    zero_terminal_snr: bool = False
    clip: float = 0.0
    clip_quantile: float = 0.0
    variance: Variance = "least"
    sigma_min: float = 0.0
    sigma_max: float = 0.0
    sigma_data: float = 1.0
    noise_scale: float = 1.0


class LatentFormat(msgspec.Struct, frozen=True, kw_only=True):
    """The space a model denoises in.

    `channels` C and `downscale` f: a picture (B, H, W, 3) is a latent (B, C, H / f, W / f). The network sees
    (latent - `shift`) * `scale`, and before that (latent - mean) / deviation of each channel where `means` and `deviations`
    (C numbers each) are told. `axes` 3: latents have frames, or layers, (B, C, T, h, w), and one without is one frame.
    `rgb_factors` (C rows of 3) with `rgb_bias` map a latent pixel to RGB in 0..1 for cheap previews; empty when unknown.
    """

    channels: int = 4
    downscale: int = 8
    scale: float = 0.18215
    shift: float = 0.0
    means: tuple[float, ...] = ()
    deviations: tuple[float, ...] = ()
    axes: int = 2
    rgb_factors: tuple[tuple[float, float, float], ...] = ()
    rgb_bias: tuple[float, float, float] = (0.0, 0.0, 0.0)

    def to_network(self, latent: Tensor) -> Tensor:
        """Return a latent (C, h, w) or (B, C, …) as the network sees it."""
        if self.means:
            latent = (latent - _along(latent, self.means)) / _along(latent, self.deviations)
        return (latent - self.shift) * self.scale

    def from_network(self, latent: Tensor) -> Tensor:
        """Return the inverse of `to_network`."""
        latent = latent / self.scale + self.shift
        return latent * _along(latent, self.deviations) + _along(latent, self.means) if self.means else latent


def _along(latent: Tensor, numbers: tuple[float, ...]) -> Tensor:
    """A number for each channel, to calculate with a latent (C, h, w) or (B, C, …)."""
    return latent.new_tensor(numbers).reshape(-1, *[1] * max(2, latent.ndim - 2))
