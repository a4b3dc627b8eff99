"""What is guided towards and from, changed before it is guided: hooks of a guidance that see both predictions.

Each returns a positive and a negative prediction of x_0 (B, C, …) in the place of those it is given. Where papers speak of
noise or velocity, x - x_0 stands for it: both are that up to a factor.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from engine.sampling.guiders import CfgFrames, PairHook, PairStep

_NEAR_ZERO = 1e-8


class Pairs:
    """The hooks of one pair of predictions, one after the other."""

    def __init__(self, hooks: Sequence[PairHook]) -> None:
        self._hooks = hooks

    def __call__(
        self, x: Tensor, sigma: float, positive: Tensor, negative: Tensor, cfg: float | Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return both predictions (B, C, …) as the last hook left them."""
        for hook in self._hooks:
            positive, changed = hook(PairStep(x, sigma, positive, negative, cfg))
            assert changed is not None
            negative = changed
        return positive, negative

    def alone(self, x: Tensor, sigma: float, positive: Tensor) -> Tensor:
        """Return a prediction (B, C, …) that nothing is guided away from, as the last hook left it."""
        for hook in self._hooks:
            positive, _ = hook(PairStep(x, sigma, positive, None, 1.0))
        return positive


def adaptive_projected(eta: float, norm_threshold: float, momentum: float) -> Callable[[], PairHook]:
    """Return what makes hooks of adaptive projected guidance (Sadat et al. 2024, algorithm 1).

    Guided is D_c + (cfg - 1) * update. The update is the difference of the predictions, with `momentum` times the update's
    last difference added, shortened to `norm_threshold` over each picture (0: not), and its part along D_c times `eta`. The
    memory starts anew where the noise level rises. With `eta` 1 and the rest at 0 nothing changes.
    """

    def make() -> PairHook:
        remembered: Tensor | None = None
        last = float("inf")

        def project(step: PairStep) -> tuple[Tensor, Tensor | None]:
            nonlocal remembered, last
            positive, negative = step.positive, step.negative
            if negative is None:
                return positive, negative
            if step.sigma > last or (remembered is not None and remembered.shape != positive.shape):
                remembered = None
            last = step.sigma
            update = positive - negative
            if momentum != 0.0:
                update = update if remembered is None else update + momentum * remembered
                remembered = update
            axes = _of_picture(update)
            if norm_threshold > 0.0:
                length = torch.linalg.vector_norm(update, dim=axes, keepdim=True)
                update = update * (norm_threshold / length.clamp(min=_NEAR_ZERO)).clamp(max=1.0)
            if eta != 1.0:
                update = update - (1.0 - eta) * _along(update, positive)
            # What is guided by cfg comes out as D_c + (cfg - 1) * update; at cfg 0 it is the negative one, whatever is put here.
            cfg = torch.as_tensor(step.cfg, dtype=update.dtype, device=update.device)
            nothing = cfg == 0.0
            share = torch.where(nothing, torch.ones_like(cfg), cfg).reciprocal()
            return negative + share * (positive - negative) + (1.0 - share) * update, negative

        return project

    return make


def tangential(step: PairStep) -> tuple[Tensor, Tensor | None]:
    """Keep of the negative noise what lies along the direction that both have in common (Kwon et al. 2025, TCFG).

    That is the first right singular vector of the matrix of both, picture by picture. It is a combination of the two, so the
    2 × 2 matrix of their products tells it, without a decomposition of anything as long as a picture.
    """
    if step.negative is None:
        return step.positive, None
    positive, negative = step.x - step.positive, step.x - step.negative
    rows = torch.stack([negative, positive], dim=1).flatten(2).double()
    weights = torch.linalg.eigh(rows @ rows.transpose(1, 2)).eigenvectors[:, :, -1]
    kept = (weights[:, :1] * weights)[:, None] @ rows
    return step.positive, step.x - kept.reshape_as(negative).to(negative)


def zero_star(step: PairStep) -> tuple[Tensor, Tensor | None]:
    """Scale the negative noise to what fits the positive one best, picture by picture (CFG-Zero*, Fan et al. 2025)."""
    if step.negative is None:
        return step.positive, None
    positive, negative = step.x - step.positive, step.x - step.negative
    axes = _of_picture(negative)
    product = (positive * negative).sum(dim=axes, keepdim=True)
    share = product / (negative.square().sum(dim=axes, keepdim=True) + _NEAR_ZERO)
    return step.positive, step.x - share * negative


def off_positive(positive: Tensor, neutral: Tensor, away: Tensor, scale: float) -> Tensor:
    """Return the prediction to guide towards from `neutral`: positive without `scale` times what is perpendicular in `away`.

    Of each, what differs from the neutral one counts, picture by picture (Armandpour et al. 2023, Perp-Neg). All (B, C, …).
    """
    wanted, unwanted = positive - neutral, away - neutral
    return positive - scale * (unwanted - _along(unwanted, wanted))


def framed(frames: CfgFrames | None, cfg: float, x: Tensor) -> float | Tensor:
    """Return cfg for each frame of x (B, C, T, h, w), or for each picture of x (B, C, h, w), where it differs between them."""
    if frames is None:
        return cfg
    axis = 2 if x.dim() == 5 else 0
    count = x.shape[axis]
    way = torch.linspace(0.0, 1.0, count, dtype=torch.float32, device=x.device)
    if frames.shape == "triangle":
        way = 1.0 - (2.0 * way - 1.0).abs()
    shape = [1] * x.dim()
    shape[axis] = count
    return (frames.least + way * (cfg - frames.least)).reshape(shape).to(x)


def _along(given: Tensor, direction: Tensor) -> Tensor:
    """The part of each picture of (B, C, …) that lies along that of `direction`; nothing where that is zero."""
    axes = _of_picture(given)
    along, by = given.double(), direction.double()
    share = (along * by).sum(dim=axes, keepdim=True) / by.square().sum(dim=axes, keepdim=True).clamp(min=1e-30)
    return (share * by).to(given)


def _of_picture(tensor: Tensor) -> tuple[int, ...]:
    return tuple(range(1, tensor.dim()))
