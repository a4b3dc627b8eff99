"""Curves of brightness, and the histograms that are shown behind them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from engine.api import Image, In, Out, Socket, WithUi, node
from engine.media.resizing import match_channels
from engine.media.tensors import to_bytes

if TYPE_CHECKING:
    Curve: TypeAlias = dict[str, Any]
    Histogram: TypeAlias = list[int]
else:

    class Curve(Socket, io_type="CURVE"):
        """A curve: a dict of `points` [x, y], usually 0..1, and the `interpolation` between them."""

    class Histogram(Socket, io_type="HISTOGRAM"):
        """How many pixels have each of 256 values: a list of whole numbers."""


STRAIGHT = {"points": [[0, 0], [1, 1]], "interpolation": "monotone_cubic"}
"""The curve that changes nothing."""

_REC709 = np.array([0.2126, 0.7152, 0.0722])


class Histograms(NamedTuple):
    """Histograms of one picture."""

    rgb: Annotated[Histogram, Out(tip="The mean of those of red, green and blue.")]
    luminance: Annotated[Histogram, Out(tip="Of the luma of Rec. 709.")]
    red: Histogram
    green: Histogram
    blue: Histogram


@node("ImageHistogram", category="image/color", display_name="Image Histogram")
def image_histogram(image: Image) -> Histograms:
    """Count the values, 0 to 255, of the first picture of a batch (B, H, W, C); alpha is left out.

    Values are truncated to 8 bits as saving does. Inferred: rgb is the mean of the three channels' counts, rounded down.
    """
    pixels = (
        to_bytes(match_channels(image[:1], 3)) if image.shape[-1] >= 3 else to_bytes(image[:1].expand(-1, -1, -1, 3))
    )
    pixels = pixels.reshape(-1, 3)
    red, green, blue = (np.bincount(pixels[:, channel], minlength=256) for channel in range(3))
    luma = np.bincount((pixels @ _REC709 + 1e-6).astype(np.uint8), minlength=256)
    return Histograms(*map(_listed, ((red + green + blue) // 3, luma, red, green, blue)))


def _listed(counts: NDArray[Any]) -> list[int]:
    return [int(one) for one in counts]


@node("CurveEditor", category="image/color", display_name="Curve Editor")
def curve_editor(
    curve: Annotated[Curve, In(tip="Points between which the curve goes.")] = STRAIGHT,
    histogram: Annotated[Histogram | None, In(tip="Shown behind the curve.")] = None,
) -> WithUi[Annotated[Curve, Out(name="curve")]]:
    """Give a curve drawn in the editor: points [x, y] and monotone_cubic or linear interpolation between them.

    Raises ValueError for what is no curve.
    """
    from engine.media.curves import curve_of

    known = curve_of(curve, "CurveEditor: curve")
    points = [[x, y] for x, y in zip(known.x.tolist(), known.y.tolist())]
    shown = {} if histogram is None else {"histogram": list(histogram)}
    return WithUi({"points": points, "interpolation": known.interpolation}, ui=shown)
