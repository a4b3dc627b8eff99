"""Curves and histograms."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.interpolate import CubicHermiteSpline

from engine.media.curves import _slopes, curve_of, sampled_curve
from nodes.curves import STRAIGHT, curve_editor, image_histogram

DRAWN = {
    "points": [[0, 0], [0.3890328631875253, 0.5266163706133749], [0.7358435323017858, 0.4499509575506062], [1, 1]],
    "interpolation": "monotone_cubic",
}


def table(value: object, count: int = 256) -> np.ndarray:
    return sampled_curve(curve_of(value, "here"), count)


def test_the_straight_curve_changes_nothing() -> None:
    assert np.allclose(table(STRAIGHT), np.linspace(0, 1, 256), atol=1e-6)
    assert np.allclose(table({**DRAWN, "points": [[0, 0], [0.5, 0.5], [1, 1]]}), np.linspace(0, 1, 256), atol=1e-6)


def test_a_drawn_curve_meets_its_points_and_never_overshoots() -> None:
    x, y = np.array(DRAWN["points"]).T
    fine = table(DRAWN, 100_001)
    assert np.allclose(np.interp(x, np.linspace(0, 1, 100_001), fine), y, atol=1e-4)
    for low, high, rises in ((0.0, x[1], True), (x[1], x[2], False), (x[2], 1.0, True)):
        piece = fine[int(low * 100_000) + 1 : int(high * 100_000)]
        assert ((np.diff(piece) >= -1e-6) if rises else (np.diff(piece) <= 1e-6)).all()


def test_between_points_it_is_scipys_hermite_spline_of_fritsch_and_carlsons_slopes() -> None:
    x, y = np.array([0, 0.1, 0.4, 0.8, 1.0]), np.array([0, 0.5, 0.55, 0.9, 1.0])
    secants = np.diff(y) / np.diff(x)
    slopes = np.array([secants[0], *((secants[:-1] + secants[1:]) / 2), secants[-1]])
    for at in range(4):  # the paper's step 2: vectors (alpha, beta) longer than 3 are shortened
        alpha, beta = slopes[at] / secants[at], slopes[at + 1] / secants[at]
        tau = 3 / np.hypot(alpha, beta)
        if tau < 1:
            slopes[at : at + 2] = tau * alpha * secants[at], tau * beta * secants[at]
    assert np.allclose(_slopes(x, y), slopes)
    wanted = CubicHermiteSpline(x, y, slopes)(np.linspace(0, 1, 256))
    assert np.allclose(table([list(one) for one in zip(x, y)]), wanted, atol=1e-6)


def test_lines_ends_and_doubles() -> None:
    line = {"points": [[0.75, 1.0], [0.25, 0.0], [0.25, 0.5]], "interpolation": "linear"}
    assert np.allclose(table(line, 5), [0.5, 0.5, 0.75, 1.0, 1.0])
    assert np.allclose(table([[0.3, 0.7]], 3), [0.7] * 3)
    assert table([[0, -3], [1, 3]]).min() == 0


@pytest.mark.parametrize(
    "bad",
    [
        None,
        3,
        {},
        [],
        [[1]],
        [["a", 1]],
        [[0, float("nan")]],
        {"points": [[0, 0]] * 2000},
        {**STRAIGHT, "interpolation": "wavy"},
    ],
)
def test_what_is_no_curve_is_refused_at_the_node(bad: object) -> None:
    with pytest.raises(ValueError, match=r"CurveEditor: curve .*(points|known are)"):
        curve_editor(bad)


def test_the_editor_gives_its_curve_and_shows_the_histogram() -> None:
    result = curve_editor({**DRAWN, "points": DRAWN["points"][::-1]}, [1] * 256)
    assert result.values == (DRAWN,)
    assert result.ui == {"histogram": [1] * 256}


def test_histograms_are_pillows() -> None:
    noise = torch.rand(2, 30, 40, 4, generator=torch.Generator().manual_seed(1))
    rgb, luminance, *channels = image_histogram(noise)
    pixels = (noise[0, ..., :3] * 255).byte().numpy()
    wanted = Image.fromarray(pixels).histogram()
    assert [*channels[0], *channels[1], *channels[2]] == wanted
    assert rgb == [sum(channel[at] for channel in channels) // 3 for at in range(256)]
    luma = pixels.astype(float) @ [0.2126, 0.7152, 0.0722]
    assert np.abs(np.cumsum(luminance) - [(luma < at + 1).sum() for at in range(256)]).max() <= 1
    assert sum(image_histogram(torch.ones(1, 2, 3, 1)).luminance[255:]) == 6
