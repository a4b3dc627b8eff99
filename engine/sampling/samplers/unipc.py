"""UniPC (Zhao et al. 2023): a predictor and a corrector that share each evaluation, order up to 3.

Its coefficients are worked out in float32 in the paper's own order of operations. Where levels lie close together, as at the
beginning of linear_quadratic, the phi functions cancel to nothing but rounding there, and latents differ by up to 0.1 from
those of exact coefficients: the field's pictures have that rounding in them.
"""

from __future__ import annotations

import torch
from torch import Tensor

from engine.sampling.denoisers import Denoiser
from engine.sampling.noise import NoiseSampler
from engine.sampling.noise_schedule import NoiseSchedule
from engine.sampling.samplers.steps import Callback, StepInfo, lerp_to, levels, silent

# UniPC works in log sigma and cannot reach zero; the field ends it here, where the rest of the noise is invisible.
_END = 0.001


def uni_pc(
    denoiser: Denoiser,
    x: Tensor,
    sigmas: Tensor,
    *,
    schedule: NoiseSchedule,
    noise_sampler: NoiseSampler,
    callback: Callback = silent,
    max_order: int = 3,
    variant: str = "bh1",
) -> Tensor:
    """UniPC for the data prediction (algorithms 5-8), with B(h) = -h (`bh1`) or exp(-h) - 1 (`bh2`).

    One evaluation a step: that at the predicted point corrects it and serves the next step. The last step has no
    corrector, and order falls towards the end. x: (B, C, h, w); sigmas: (n + 1,). Raises ValueError for another variant.
    """
    if variant not in ("bh1", "bh2"):
        raise ValueError(f"uni_pc: variant: expected 'bh1' or 'bh2', got {variant!r}")
    sigma_list = levels(sigmas)
    ends_in_zero = sigma_list[-1] == 0.0
    if ends_in_zero:
        sigma_list[-1] = min(_END, sigma_list[-2] / 2)
    total = len(sigma_list) - 1
    highest = max(1, min(max_order, total - 1))
    past = [denoiser(x, sigma_list[0])]
    callback(StepInfo(0, total, x, past[0], sigma_list[0]))
    for step in range(1, total + 1):
        order = min(highest, step, total + 1 - step)
        weights = _Weights(sigma_list, step, order, variant)
        base = lerp_to(x, past[0], sigma_list[step] / sigma_list[step - 1])
        differences = [(past[k] - past[0]) / weights.r[k - 1] for k in range(1, order)]
        x = _apply(base, differences, weights.predictor, weights.scale)
        if step < total:
            fresh = denoiser(x, sigma_list[step])
            x = _apply(base, [*differences, fresh - past[0]], weights.corrector, weights.scale)
            past = [fresh, *past[: highest - 1]]
            callback(StepInfo(step, total, x, fresh, sigma_list[step]))
    return x / schedule.alpha(sigma_list[-1]) if ends_in_zero else x


def uni_pc_bh2(
    denoiser: Denoiser,
    x: Tensor,
    sigmas: Tensor,
    *,
    schedule: NoiseSchedule,
    noise_sampler: NoiseSampler,
    callback: Callback = silent,
    max_order: int = 3,
) -> Tensor:
    """UniPC with B(h) = exp(-h) - 1, which the paper recommends for few steps. x: (B, C, h, w)."""
    return uni_pc(
        denoiser,
        x,
        sigmas,
        schedule=schedule,
        noise_sampler=noise_sampler,
        callback=callback,
        max_order=max_order,
        variant="bh2",
    )


class _Weights:
    """The coefficients of one step of `order`: r (positions of past predictions), predictor and corrector weights."""

    def __init__(self, sigmas: list[float], step: int, order: int, variant: str):
        here = _log_snr(sigmas[step - 1])
        h = _log_snr(sigmas[step]) - here
        positions = [(_log_snr(sigmas[step - 1 - k]) - here) / h for k in range(1, order)]
        self.r = [float(position) for position in positions]
        scale = -h if variant == "bh1" else torch.expm1(-h)
        self.scale = float(scale)
        at = torch.tensor([*self.r, 1.0])
        rows = torch.stack([torch.pow(at, k) for k in range(order)])
        right = torch.stack(_right_side(-h, order)) / scale
        # Order 2 forward and order 1 backward are fixed at 1/2 by the paper: the free coefficient of B(h).
        self.predictor: list[float] = []
        if order == 1:
            self.corrector = [0.5]
        else:
            self.corrector = torch.linalg.solve(rows, right).tolist()
            self.predictor = [0.5] if order == 2 else torch.linalg.solve(rows[:-1, :-1], right[:-1]).tolist()


def _log_snr(sigma: float) -> Tensor:
    """Return log(alpha / sigma) of the variance-preserving form, by way of log alpha = -log(1 + sigma^2) / 2.

    Below the level that runs end at, where that way is lost in rounding, it is -log sigma.
    """
    level = torch.tensor(sigma, dtype=torch.float32)
    if sigma < _END:
        return -level.log()
    log_alpha = 0.5 * torch.log(1 / (level * level + 1))
    return log_alpha - 0.5 * torch.log(1.0 - torch.exp(2.0 * log_alpha))


def _right_side(h: Tensor, order: int) -> list[Tensor]:
    """Return h phi_k(h) k! for k = 2 .. order + 1, with phi_1 = (e^h - 1) / h and phi_{k+1} = (phi_k - 1 / k!) / h."""
    values = []
    phi = torch.expm1(h) / h - 1
    factorial = 1
    for k in range(1, order + 1):
        values.append(phi * factorial)
        factorial *= k + 1
        phi = phi / h - 1 / factorial
    return values


def _apply(base: Tensor, differences: list[Tensor], weights: list[float], scale: float) -> Tensor:
    """Return base - scale * sum of weight * difference (alpha is 1: the step is in x / alpha)."""
    for difference, weight in zip(differences, weights):
        base = base - difference * (scale * weight)
    return base
