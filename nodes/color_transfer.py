"""The colours of one picture given to others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Final, Literal

import torch
from torch import Tensor

from engine.api import Choosing, Image, In, node
from engine.media.resizing import match_channels
from nodes.dimensions import ONE_CHOICE

STATISTICS: Final[list[dict[str, Any]]] = [
    {"key": "per_frame", "inputs": {"required": {}}},
    {"key": "uniform", "inputs": {"required": {}}},
    {
        "key": "target_frame",
        "inputs": {
            "required": {
                "target_index": [
                    "INT",
                    {"default": 0, "min": 0, "max": 10000, "tooltip": "The frame, from 0, that is measured for all."},
                ]
            }
        },
    },
]
"""Which pictures are measured, each with the inputs that it brings, as editors read them."""

_FLAT: Final = 1e-5
"""A spread of colours below this has no shape that could be matched."""

Change = Callable[[Tensor], Tensor]
"""Of colours (N, 3), 0..1, the new ones."""


@node("ColorTransfer", category="image/color", display_name="Transfer Color")
def color_transfer(
    image_target: Annotated[Image, In(tip="Pictures whose colours change.")],
    image_ref: Annotated[Image, In(tip="Pictures whose colours are taken.")],
    method: Annotated[
        Literal["reinhard_lab", "mkl_lab", "histogram"],
        In(
            tip="Mean and spread, all of the covariance, or the whole distribution of each channel.", options=ONE_CHOICE
        ),
    ],
    source_stats: Annotated[Choosing, In(tip="Which pictures are measured.", options={"options": STATISTICS})],
    strength: Annotated[float, In(ge=0.0, le=10.0, step=0.01, tip="How much of the change is made.")] = 1.0,
) -> Image:
    """Give pictures (B, H, W, C) the colours of others; cut to 0..1, alpha stays.

    reinhard_lab matches mean and standard deviation (Reinhard and others, "Color Transfer between Images", 2001), here in
    CIELAB under D65; mkl_lab maps the covariance with the least change (Pitié and Kokaram, "The Linear Monge-Kantorovitch
    Linear Colour Mapping", 2007); histogram matches the distribution of red, green and blue. per_frame measures each
    picture, uniform all together, target_frame one of them. The reference is all of `image_ref` together, but for histogram
    per frame the picture of the same number, the last one going on (inferred).
    """
    for name, pictures in (("image_target", image_target), ("image_ref", image_ref)):
        if not len(pictures):
            raise ValueError(f"ColorTransfer: the batch of pictures {name} is empty; see what is linked to it.")
    if strength == 0.0:
        return image_target
    colours = match_channels(image_target, 3).float()
    references = match_channels(image_ref, 3).to(colours)
    match = _METHODS[method]
    way = source_stats["source_stats"]
    if way == "per_frame":
        changed = []
        for index, frame in enumerate(colours):
            one = references[min(index, len(references) - 1)][None] if method == "histogram" else references
            changed.append(_apply(match(_flat(frame), _flat(one)), frame))
        result = torch.stack(changed)
    else:
        measured = colours if way == "uniform" else colours[min(source_stats["target_index"], len(colours) - 1)]
        change = match(_flat(measured), _flat(references))
        result = torch.stack([_apply(change, frame) for frame in colours])
    mixed = colours + (result - colours) * strength
    return torch.cat([mixed.clamp(0, 1), image_target[..., 3:].float()], dim=-1)


def _flat(colours: Tensor) -> Tensor:
    return colours.reshape(-1, 3)


def _apply(change: Change, frame: Tensor) -> Tensor:
    return change(_flat(frame)).view_as(frame)


def _reinhard(source: Tensor, reference: Tensor) -> Change:
    (mean, spread), (wanted_mean, wanted_spread) = (_mean_and_spread(_to_lab(one)) for one in (source, reference))
    scale = torch.where(spread > _FLAT, wanted_spread / spread.clamp(min=_FLAT), torch.ones_like(spread))
    return lambda colours: _from_lab((_to_lab(colours) - mean) * scale + wanted_mean)


def _mean_and_spread(values: Tensor) -> tuple[Tensor, Tensor]:
    return values.mean(0), values.std(0, correction=0)


def _monge_kantorovitch(source: Tensor, reference: Tensor) -> Change:
    """x → (x - mean) T + mean of the reference, T = S^-½ (S^½ R S^½)^½ S^-½ of the covariances S and R."""
    before, after = _to_lab(source), _to_lab(reference)
    root, inverse = _roots(_covariance(before))
    middle, _ = _roots(root @ _covariance(after) @ root)
    change = (inverse @ middle @ inverse).to(before)
    mean, wanted_mean = before.mean(0), after.mean(0)
    return lambda colours: _from_lab((_to_lab(colours) - mean) @ change + wanted_mean)


def _covariance(values: Tensor) -> Tensor:
    centred = (values - values.mean(0)).double()
    return centred.T @ centred / len(values)


def _roots(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """The square root of a symmetric matrix, and its inverse, in which directions without spread do nothing."""
    values, vectors = torch.linalg.eigh(matrix)
    sizes = values.clamp(min=0).sqrt()
    inverse = torch.where(sizes > _FLAT, 1 / sizes.clamp(min=_FLAT), torch.zeros_like(sizes))
    return vectors * sizes @ vectors.T, vectors * inverse @ vectors.T


def _histogram(source: Tensor, reference: Tensor) -> Change:
    """Each channel's values go to those of the same share of smaller ones, interpolated, as scikit-image matches them."""
    tables = [_table(source[:, channel], reference[:, channel]) for channel in range(3)]

    def change(colours: Tensor) -> Tensor:
        return torch.stack([_interpolated(colours[:, at], *table) for at, table in enumerate(tables)], dim=-1)

    return change


def _table(source: Tensor, reference: Tensor) -> tuple[Tensor, Tensor]:
    """Values of a channel in order, and what each becomes."""
    values, counts = torch.unique(source, return_counts=True)
    wanted, wanted_counts = torch.unique(reference, return_counts=True)
    shares, wanted_shares = (one.cumsum(0).double() / one.sum() for one in (counts, wanted_counts))
    return values, _interpolated(shares, wanted_shares, wanted.double()).to(values)


def _interpolated(at: Tensor, places: Tensor, values: Tensor) -> Tensor:
    """Linear interpolation between `places` in rising order; the end values go on."""
    if len(places) == 1:
        return values.expand_as(at)
    above = torch.searchsorted(places, at.contiguous()).clamp(1, len(places) - 1)
    low, high = places[above - 1], places[above]
    return torch.lerp(values[above - 1], values[above], ((at - low) / (high - low)).clamp(0, 1).to(values))


_METHODS: Final[dict[str, Callable[[Tensor, Tensor], Change]]] = {
    "reinhard_lab": _reinhard,
    "mkl_lab": _monge_kantorovitch,
    "histogram": _histogram,
}

_TO_XYZ: Final = (
    (0.4124564, 0.3575761, 0.1804375),
    (0.2126729, 0.7151522, 0.0721750),
    (0.0193339, 0.1191920, 0.9503041),
)
_CUT: Final = 6 / 29


def _to_xyz(like: Tensor) -> Tensor:
    """From linear sRGB to XYZ in units of the white point D65."""
    matrix = torch.tensor(_TO_XYZ, dtype=torch.float64)
    return (matrix / matrix.sum(1, keepdim=True)).to(like)


def _to_lab(colours: Tensor) -> Tensor:
    """sRGB (N, 3), 0..1, as CIELAB: lightness 0..100 and two differences."""
    from engine.media.color_spaces import srgb_to_linear

    xyz = srgb_to_linear(colours) @ _to_xyz(colours).T
    bent = torch.where(xyz > _CUT**3, xyz.clamp(min=1e-9) ** (1 / 3), xyz / (3 * _CUT**2) + 4 / 29)
    x, y, z = bent.unbind(-1)
    return torch.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], dim=-1)


def _from_lab(lab: Tensor) -> Tensor:
    from engine.media.color_spaces import linear_to_srgb

    y = (lab[:, 0] + 16) / 116
    bent = torch.stack([y + lab[:, 1] / 500, y, y - lab[:, 2] / 200], dim=-1)
    xyz = torch.where(bent > _CUT, bent**3, 3 * _CUT**2 * (bent - 4 / 29))
    return linear_to_srgb(xyz @ torch.linalg.inv(_to_xyz(lab)).T)
