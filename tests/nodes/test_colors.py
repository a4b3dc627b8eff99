"""Colours as text."""

from __future__ import annotations

import pytest

from nodes.colors import color_to_rgb_int


def test_a_colour_becomes_a_number_and_an_opacity() -> None:
    assert color_to_rgb_int("#ff5733") == (0xFF5733, "#ff5733", 1.0)
    assert color_to_rgb_int("#0A929980") == (10 * 65536 + 146 * 256 + 153, "#0A9299", 128 / 255)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ff5733",
        "#ff573",
        "#ff57333",
        "#gg5733",
        "#ff5733 ",
        "#ff5733\n",
        "#\u0661\u0661\u0661\u0661\u0661\u0661",
        7,
    ],
)
def test_what_is_no_colour_is_refused_with_what_to_write(text) -> None:
    with pytest.raises(ValueError, match=r"ColorToRGBInt: .* write #RRGGBB or #RRGGBBAA"):
        color_to_rgb_int(text)
