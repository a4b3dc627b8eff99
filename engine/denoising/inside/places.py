"""Places of the picture's tokens, as rotary embeddings have them, spread and shifted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import torch

from engine.denoising.inside.base import OPTION, class_of, with_patch
from engine.models.errors import ModelError
from engine.models.families import family_named
from engine.models.networks.turns import Turns

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from engine.denoising.inside.base import Given, Inner, Where
    from engine.models.handles import ModelHandle

KIND: Final = "moved_places"

_PLACED: Final = frozenset(
    f"{name}Transformer2DModel" for name in ("Flux", "Chroma", "Flux2", "Flux3", "OvisImage", "LongCatImage")
)
"""The library's classes that are told where each token stands: sheet or frame, row, column, and some a fourth number."""

_COUNTED: Final = "WanTransformer3DModel"
"""The library's class that counts frames, rows and columns itself."""

_BASE: Final = 10_000.0
"""Of the wave lengths of Wan's rotary embeddings."""


def check_places(model: ModelHandle, node: str) -> None:
    """Raise ModelError at a node for a model that is not told where tokens stand."""
    family = family_named(model.family)
    if class_of(model) not in _PLACED | {_COUNTED}:
        raise ModelError(
            f"{node}: model: {model.source.path} is {family.title}, whose {family.network.title} is not told places of tokens "
            "that could be changed. Load one of FLUX.1, FLUX.2, FLUX.3, Chroma, Ovis-Image, LongCat-Image, Wan, or leave it out."
        )


def with_places(model: ModelHandle, scales: Sequence[float], shifts: Sequence[float]) -> ModelHandle:
    """Return the model with places of tokens moved, beyond what they are moved already."""
    patches = list(model.options.get(OPTION, ()))
    for earlier in [facts for kind, facts in patches if kind == KIND]:
        scales = [a * b for a, b in zip(earlier["scales"], scales, strict=True)]
        shifts = [a + b for a, b in zip(earlier["shifts"], shifts, strict=True)]
    others = model.with_option(OPTION, [one for one in patches if one[0] != KIND])
    return with_patch(others, KIND, scales=list(scales), shifts=list(shifts))


class MovedPlaces:
    """The patch: along each axis (t, y, x) a place p is first + scale · (p - first) + shift, with `first` the least there is."""

    def __init__(self, where: Where, scales: Sequence[float], shifts: Sequence[float]) -> None:
        self._network, self._scales, self._shifts = where.network, scales, shifts

    def __call__(self, given: Given, inner: Inner) -> Tensor:
        """Return the prediction with tokens in other places."""
        rope: Any = getattr(self._network.module, "rope", None)
        if rope is None:
            with Turns.of(self._network.module).moving(self.moved):
                return inner(given)
        hook = rope.register_forward_hook(self._turned)
        try:
            return inner(given)
        finally:
            hook.remove()

    def _turned(self, rope: Any, arguments: tuple[Tensor, ...], made: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """Cosines and sines (1, N, 1, D) of Wan's tokens in their new places."""
        sides = [side // patch for side, patch in zip(arguments[0].shape[2:], rope.patch_size, strict=True)]
        angles = []
        for axis, (side, width) in enumerate(zip(sides, (rope.t_dim, rope.h_dim, rope.w_dim), strict=True)):
            places = torch.arange(side, dtype=torch.float64) * self._scales[axis] + self._shifts[axis]
            waves = _BASE ** -(torch.arange(0, width, 2, dtype=torch.float64) / width)
            shape = [1, 1, 1, width]
            shape[axis] = side
            angles.append((places[:, None] * waves).repeat_interleave(2, dim=1).reshape(shape).expand(*sides, width))
        whole = torch.cat(angles, dim=-1).reshape(1, -1, 1, sum(angle.shape[-1] for angle in angles))
        return whole.cos().to(made[0]), whole.sin().to(made[1])

    def moved(self, places: Tensor) -> Tensor:
        """Return places (N, 3 or 4), of pictures to go by too."""
        made = places.clone()
        first = places[:, :3].amin(0)
        scales, shifts = (torch.tensor(told).to(places) for told in (self._scales, self._shifts))
        made[:, :3] = first + scales * (places[:, :3] - first) + shifts
        return made
