"""Colours for numbers: Turbo (Mikhailov 2019), from dark blue over green to dark red."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from torch import Tensor

_TURBO: Final = (
    (0.13572138, 4.61539260, -42.66032258, 132.13108234, -152.94239396, 59.28637943),
    (0.09140261, 2.19418839, 4.84296658, -14.18503333, 4.27729857, 2.82956604),
    (0.10667330, 12.64194608, -60.58204836, 110.36276771, -89.90310912, 27.34824973),
)
"""Coefficients of the polynomials that its author gives for red, green and blue, the constant first."""


def turbo(values: Tensor) -> Tensor:
    """Return colours (…, 3) in 0..1 of values in 0..1; what is outside is taken as the nearest end."""
    import torch

    x = values.clamp(0.0, 1.0)[..., None]
    powers = torch.cat([x**power for power in range(6)], dim=-1)
    return (powers @ torch.tensor(_TURBO).T).clamp(0.0, 1.0)


def gray(values: Tensor) -> Tensor:
    """Return values (…) as pictures (…, 3), in 0..1."""
    return values.clamp(0.0, 1.0)[..., None].repeat_interleave(3, dim=-1)
