"""Curves through a few points, as an editor of curves gives them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

INTERPOLATIONS: Final = ("monotone_cubic", "linear")
MOST_POINTS: Final = 1024


class Curve(NamedTuple):
    """Points in the order of x, and how the curve goes between them."""

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    interpolation: str


def curve_of(value: Any, where: str) -> Curve:
    """A value of the type CURVE: `points` of [x, y] and an `interpolation`, or the points alone.

    Of points with the same x the last one counts. Raises ValueError, naming `where`, for anything else.
    """
    points = value.get("points") if isinstance(value, Mapping) else value
    way = value.get("interpolation", INTERPOLATIONS[0]) if isinstance(value, Mapping) else INTERPOLATIONS[0]
    if way not in INTERPOLATIONS:
        raise ValueError(f"{where} has the interpolation {way!r}; known are {' and '.join(INTERPOLATIONS)}.")
    if not isinstance(points, list | tuple) or not 0 < len(points) <= MOST_POINTS or not all(map(_is_point, points)):
        raise ValueError(
            f"{where} is {str(value)[:80]}; a curve has 1 to {MOST_POINTS} points [x, y] of finite numbers, such as "
            '{"points": [[0, 0], [1, 1]], "interpolation": "monotone_cubic"}.'
        )
    places = {float(x): float(y) for x, y in points}
    xs = sorted(places)
    return Curve(np.array(xs), np.array([places[x] for x in xs]), str(way))


def sampled_curve(curve: Curve, count: int = 256) -> NDArray[np.float32]:
    """The curve at `count` places from 0 to 1, cut to 0..1; the ends go on level.

    monotone_cubic is the interpolant of Fritsch and Carlson, "Monotone Piecewise Cubic Interpolation" (1980): it never
    overshoots, and is level at points where the direction turns.
    """
    at = np.linspace(0.0, 1.0, count)
    straight = curve.interpolation == "linear" or len(curve.x) < 3
    values = np.interp(at, curve.x, curve.y) if straight else _cubic(curve, at.clip(curve.x[0], curve.x[-1]))
    return np.asarray(values.clip(0, 1), dtype=np.float32)


def _cubic(curve: Curve, at: NDArray[np.float64]) -> NDArray[np.float64]:
    x, y = curve.x, curve.y
    slopes, step = _slopes(x, y), np.diff(x)
    left = np.searchsorted(x, at, side="right").clip(1, len(x) - 1) - 1
    t = (at - x[left]) / step[left]
    low = (1 + 2 * t) * (1 - t) ** 2 * y[left] + t * (1 - t) ** 2 * step[left] * slopes[left]
    high = t**2 * (3 - 2 * t) * y[left + 1] + t**2 * (t - 1) * step[left] * slopes[left + 1]
    return np.asarray(low + high)


def _slopes(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    """Slopes at the points: means of the secants, 0 where those turn, and within the circle of radius 3 of the paper."""
    secants = np.diff(y) / np.diff(x)
    slopes = np.concatenate([secants[:1], (secants[:-1] + secants[1:]) / 2, secants[-1:]])
    slopes[1:-1][secants[:-1] * secants[1:] <= 0] = 0
    for at, secant in enumerate(secants):
        if secant == 0:
            slopes[at] = slopes[at + 1] = 0
            continue
        before, after = slopes[at] / secant, slopes[at + 1] / secant
        reach = math.hypot(before, after)
        if reach > 3:
            slopes[at], slopes[at + 1] = 3 * before / reach * secant, 3 * after / reach * secant
    return slopes


def _is_point(one: Any) -> bool:
    return (
        isinstance(one, list | tuple)
        and len(one) == 2
        and all(isinstance(side, int | float) and math.isfinite(side) for side in one)
    )
