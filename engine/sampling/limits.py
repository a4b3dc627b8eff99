"""Bounds on predictions of x_0, for networks of pictures, whose values are known to lie in -1..1."""

from __future__ import annotations

import torch
from torch import Tensor

from engine.datatypes.parameterization import Parameterization


def limited(process: Parameterization, x_0: Tensor) -> Tensor:
    """Return a prediction (B, C, h, w) within what `process` says of its data; itself where it says nothing."""
    if process.clip <= 0.0:
        return x_0
    if process.clip_quantile <= 0.0:
        return x_0.clamp(-process.clip, process.clip)
    sizes = [one.abs().flatten().quantile(process.clip_quantile) for one in x_0.float()]
    bound = torch.stack(sizes).clamp(1.0, process.clip).to(x_0).reshape(-1, *[1] * (x_0.dim() - 1))
    return torch.minimum(torch.maximum(x_0, -bound), bound) / bound
