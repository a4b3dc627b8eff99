"""Normalized attention guidance (Chen et al. 2025): a negative prompt within attention, for models without guidance too.

Of Z⁺, what attention to the positive prompt gives the tokens of the picture, and Z⁻ of the negative one, each token gets
α Ẑ + (1 - α) Z⁺, with Z̃ = scale · Z⁺ - (scale - 1) · Z⁻, which is Ẑ where its length (the sum of magnitudes) is at most τ times
that of Z⁺, and shortened to that where it is more.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import torch

from engine.denoising.inside.base import class_of
from engine.models.errors import ModelError
from engine.models.families import family_named

if TYPE_CHECKING:
    from torch import Tensor, nn

    from engine.denoising.inside.base import Given, Inner, Where
    from engine.models.handles import ModelHandle

_NO_LENGTH: Final = 1e-6

_TO_TEXT: Final = re.compile(r"(.*\.)?(transformer_)?blocks\.\d+\.attn2\.to_out\.0")
_JOINT: Final = re.compile(r"transformer_blocks\.\d+\.attn\.to_out\.0")
_SINGLE: Final = re.compile(r"single_transformer_blocks\.\d+\.(proj_out|attn\.to_out)")

_PLACES: Final = {
    "UNet2DConditionModel": (_TO_TEXT,),
    "Anima": (re.compile(r"transformer\.transformer_blocks\.\d+\.attn2\.to_out\.0"),),
    "CosmosTransformer3DModel": (_TO_TEXT,),
    "WanTransformer3DModel": (_TO_TEXT,),
    "WanVACETransformer3DModel": (_TO_TEXT,),
    "WanAnimateTransformer3DModel": (_TO_TEXT,),
    "HunyuanDiT2DModel": (_TO_TEXT,),
    "PixArtTransformer2DModel": (_TO_TEXT,),
    "SanaTransformer2DModel": (_TO_TEXT,),
    "FluxTransformer2DModel": (_JOINT, _SINGLE),
    "ChromaTransformer2DModel": (_JOINT, _SINGLE),
    "OvisImageTransformer2DModel": (_JOINT, _SINGLE),
    "LongCatImageTransformer2DModel": (_JOINT, _SINGLE),
    "Flux2Transformer2DModel": (_JOINT, _SINGLE),
    "SD3Transformer2DModel": (_JOINT,),
    "QwenImageTransformer2DModel": (_JOINT,),
}
"""The library's class → the layers after attention: to the text alone, of the picture's tokens, of text and picture in a row."""


def check_attention(model: ModelHandle, node: str) -> None:
    """Raise ModelError at a node for a model whose attention to the text is not known here."""
    family = family_named(model.family)
    if class_of(model) not in _PLACES:
        raise ModelError(
            f"{node}: model: {model.source.path} is {family.title}, in whose {family.network.title} attention to the text does "
            "not stand by itself as far as is known here. Load one of Stable Diffusion, FLUX, Chroma, Qwen-Image, Ovis-Image, "
            "LongCat-Image, Anima, Cosmos, HunyuanDiT, PixArt, Sana or Wan, or leave this node out."
        )


class _Place(NamedTuple):
    layer: nn.Module
    single: bool


class _Pair(NamedTuple):
    """Rows of a positive condition, and those of the negative one for the same area; None: of an earlier call."""

    positive: slice
    negative: slice | None
    area: Any


class NormalizedAttention:
    """The patch. Negative conditions are predicted with positive ones in a call, or in calls before."""

    backwards: Final = True

    def __init__(self, where: Where, scale: float, alpha: float, tau: float) -> None:
        self._scale, self._alpha, self._tau = scale, alpha, tau
        self._places = list(_places(where.network.module))
        self._kept: dict[tuple[Any, int], Tensor] = {}
        self._sigma: float | None = None

    def __call__(self, given: Given, inner: Inner) -> Tensor:
        """Return the prediction, of positive conditions with guidance."""
        pairs, alone = self._parts(given)
        if not pairs and not alone:
            return inner(given)
        pictured = [0]
        with ExitStack() as hooks:
            for number, place in enumerate(self._places):
                hook = self._before(number, place, pairs, alone, pictured)
                hooks.callback(place.layer.register_forward_pre_hook(hook).remove)
            return inner(given)

    def _parts(self, given: Given) -> tuple[list[_Pair], list[tuple[slice, Any]]]:
        """What of the rows is guided, and what is kept for a later call at this noise level."""
        occasion = given.occasion
        rows = len(given.x) // max(1, len(occasion.numbers))
        places = [slice(n * rows, (n + 1) * rows) for n in range(len(occasion.numbers))]
        areas = [getattr(condition, "area", None) for condition in occasion.conditions]
        if self._sigma != given.sigma:
            self._kept.clear()
            self._sigma = given.sigma
        parts = list(zip(occasion.numbers, areas, places, strict=True))
        negative = {area: place for number, area, place in parts[::-1] if number == 1}
        found = [_Pair(place, negative.get(area), area) for number, area, place in parts if number == 0]
        if not found:
            return [], [(place, area) for area, place in negative.items()]
        return [one for one in found if one.negative is not None or (one.area, 0) in self._kept], []

    def _before(
        self, number: int, place: _Place, pairs: list[_Pair], alone: list[tuple[slice, Any]], pictured: list[int]
    ) -> Any:
        def before(layer: Any, arguments: tuple[Tensor, ...]) -> Any:
            given = arguments[0]
            if not place.single:
                pictured[0] = given.shape[1]
            first = given.shape[1] - pictured[0] if place.single else 0
            width = layer.out_features if place.single else given.shape[-1]
            for rows, area in alone:
                self._kept[area, number] = given[rows, first:, :width].clone()
            if not pairs:
                return None
            made = given.clone()
            for pair in pairs:
                negative = (
                    self._kept[pair.area, number] if pair.negative is None else given[pair.negative, first:, :width]
                )
                positive = given[pair.positive, first:, :width]
                made[pair.positive, first:, :width] = guided(positive, negative, self._scale, self._alpha, self._tau)
            return (made, *arguments[1:])

        return before


def guided(positive: Tensor, negative: Tensor, scale: float, alpha: float, tau: float) -> Tensor:
    """Return what attention gives (…, D) under normalized guidance; see the module."""
    away = positive * scale - negative * (scale - 1.0)
    own, length = (one.float().abs().sum(-1, keepdim=True).clamp(min=_NO_LENGTH) for one in (positive, away))
    share = (tau * own / length).clamp(max=1.0).to(positive.dtype)
    return torch.lerp(positive, away * share, alpha)


def _places(module: nn.Module) -> Iterator[_Place]:
    """The layers after attention, in the order in which they are called."""
    for pattern in _PLACES.get(type(module).__name__, ()):
        for name, layer in module.named_modules():
            if pattern.fullmatch(name):
                yield _Place(layer, pattern is _SINGLE)
