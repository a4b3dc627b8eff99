"""What the two loops minimise."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def reconstruction_loss(output: Tensor, target: Tensor, gradient_weight: float, chroma_weight: float) -> Tensor:
    """Mean absolute error of pixels, of edges (times `gradient_weight`) and of coarse colour (times `chroma_weight`).

    `output` and `target` are (B, 3, H, W) in -1..1. Edges are the differences to the right and lower neighbours; they stay
    crisp without a perceptual network (the gradient difference loss of Mathieu, Couprie & LeCun 2016, with exponent 1).
    Coarse colour is each channel's difference to the grey value, averaged over 8×8 pixels: without this term a small
    autoencoder long ignores the hue that is rarest in the data, such as green against magenta.
    """
    error = output - target
    edges = (error[..., :, 1:] - error[..., :, :-1]).abs().mean() + (
        error[..., 1:, :] - error[..., :-1, :]
    ).abs().mean()
    chroma = functional.avg_pool2d(error - error.mean(1, keepdim=True), 8).abs().mean()
    return error.abs().mean() + gradient_weight * edges + chroma_weight * chroma


def gaussian_kl(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL divergence to the standard normal, averaged over all elements (Kingma & Welling 2014)."""
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).mean()


def min_snr_weights(alpha_bar: Tensor, gamma: float, prediction: str) -> Tensor:
    """Loss weights (B,) for noise levels `alpha_bar` (B,) in 0..1 (Hang et al. 2023, "Min-SNR").

    The loss of `eps` and `x0` counts an error of x0 min(SNR, gamma) times. That of `v` counts it min(SNR + 1, gamma)
    times: v's own weight is SNR + 1 (Salimans & Ho 2022), and only its growth towards clean pictures is cut. Without
    the + 1 the noisiest steps, where the text decides what the picture will be, would hardly count.
    Raises ValueError for another prediction.
    """
    snr = alpha_bar / (1 - alpha_bar)
    clipped = snr.clamp(max=gamma)
    if prediction == "v":
        return (snr + 1).clamp(max=gamma) / (snr + 1)
    if prediction == "eps":
        return clipped / snr
    if prediction == "x0":
        return clipped
    raise ValueError(f'min-SNR weights: expected prediction "v", "eps" or "x0", got "{prediction}".')


def noisy_and_target(x0: Tensor, noise: Tensor, alpha_bar: Tensor, prediction: str) -> tuple[Tensor, Tensor]:
    """Diffuse `x0` (B, C, h, w) to noise levels `alpha_bar` (B,); return x_t and what the network should say.

    x_t = sqrt(abar) x0 + sqrt(1 - abar) noise; v = sqrt(abar) noise - sqrt(1 - abar) x0 (Salimans & Ho 2022).
    Raises ValueError for a prediction other than "v", "eps" or "x0".
    """
    alpha = alpha_bar.sqrt()[:, None, None, None]
    sigma = (1 - alpha_bar).sqrt()[:, None, None, None]
    noisy = alpha * x0 + sigma * noise
    targets = {"v": lambda: alpha * noise - sigma * x0, "eps": lambda: noise, "x0": lambda: x0}
    if prediction not in targets:
        raise ValueError(f'training target: expected prediction "v", "eps" or "x0", got "{prediction}".')
    return noisy, targets[prediction]()


def alpha_bars(kind: str, beta_start: float, beta_end: float, timesteps: int) -> Tensor:
    """The products of 1 - beta over `timesteps` steps: float32 (timesteps,), decreasing.

    "linear" as Ho et al. 2020; "scaled_linear" is linear in the square root of beta, as Rombach et al. 2022.
    Raises ValueError for another kind.
    """
    if kind == "scaled_linear":
        betas = torch.linspace(beta_start**0.5, beta_end**0.5, timesteps, dtype=torch.float64).square()
    elif kind == "linear":
        betas = torch.linspace(beta_start, beta_end, timesteps, dtype=torch.float64)
    else:
        raise ValueError(f'schedule: expected "scaled_linear" or "linear", got "{kind}".')
    return torch.cumprod(1 - betas, 0).float()
