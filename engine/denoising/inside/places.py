"""Places of the picture's tokens, as rotary embeddings have them, spread and shifted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import torch

from engine.models.errors import ModelError
from engine.models.families import family_named
from engine.models.networks.turns import Turns

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from engine.denoising.inside.base import Given, Inner, Where
    from engine.models.handles import ModelHandle

_PLACED: Final = frozenset(
    f"{name}Transformer2DModel" for name in ("Flux", "Chroma", "Flux2", "Flux3", "OvisImage", "LongCatImage")
)
"""The library's classes that are told where each token stands: sheet or frame, row, column, and some a fourth number."""


def check_places(model: ModelHandle, node: str) -> None:
    """Raise ModelError at a node for a model that is not told where tokens stand."""
    family = family_named(model.family)
    if family.network.module.rpartition(":")[2] not in _PLACED:
        raise ModelError(
            f"{node}: model: {model.source.path} is {family.title}, whose {family.network.title} is not told places of tokens "
            "that could be changed. Load one of FLUX.1, FLUX.2, FLUX.3, Chroma, Ovis-Image or LongCat-Image, or leave it out."
        )


class MovedPlaces:
    """The patch: along each axis (t, y, x) a place p is first + scale · (p - first) + shift, with `first` the least there is."""

    def __init__(self, where: Where, scales: Sequence[float], shifts: Sequence[float]) -> None:
        self._network, self._scales, self._shifts = where.network, scales, shifts

    def __call__(self, given: Given, inner: Inner) -> Tensor:
        """Return the prediction with tokens in other places."""
        with Turns.of(self._network.module).moving(self.moved):
            return inner(given)

    def moved(self, places: Tensor) -> Tensor:
        """Return places (N, 3 or 4), of pictures to go by too."""
        made = places.clone()
        first = places[:, :3].amin(0)
        scales, shifts = (torch.tensor(told).to(places) for told in (self._scales, self._shifts))
        made[:, :3] = first + scales * (places[:, :3] - first) + shifts
        return made
