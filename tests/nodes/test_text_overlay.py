"""Text over pictures."""

from __future__ import annotations

import pytest
import torch
from PIL import ImageFont

from nodes.text_overlay import _lines, text_overlay

GREY = torch.full((2, 200, 300, 3), 0.5)


def touched(image: torch.Tensor, before: torch.Tensor = GREY) -> tuple[int, int, int, int]:
    """Top, bottom, left and right of what changed."""
    rows, columns = (image != before).any(-1)[0].nonzero().unbind(-1)
    return int(rows.min()), int(rows.max()), int(columns.min()), int(columns.max())


def test_text_stands_where_it_is_told_and_is_the_same_on_every_picture() -> None:
    for position, align in (("top", "left"), ("bottom", "right"), ("top", "center")):
        image = text_overlay(GREY, "Hello", 10.0, position=position, align=align)
        assert torch.equal(image[0], image[1])
        top, bottom, left, right = touched(image)
        assert (bottom < 60) if position == "top" else (top > 140)
        assert {"left": left < 12, "right": right > 288, "center": abs(left + right - 299) <= 3}[align]


def test_letters_have_the_colour_and_a_black_edge_or_none() -> None:
    plain = text_overlay(GREY, "H", 40.0, "#ff0000", outline=False)
    changed = (plain != GREY).any(-1)
    assert (plain[changed][:, 0] >= 0.5).all()
    assert (plain == torch.tensor([1.0, 0, 0])).all(-1).any()
    assert (text_overlay(GREY, "H", 40.0, "#ff0000") == 0).all(-1).any()


def test_the_height_of_letters_is_a_share_of_the_picture() -> None:
    font = ImageFont.load_default(40)
    _, top, _, bottom = font.getbbox("H")
    first, last, _, _ = touched(text_overlay(GREY, "H", 20.0, outline=False))
    assert abs((last - first + 1) - (bottom - top)) <= 1


def test_escapes_make_lines_and_long_lines_are_broken() -> None:
    one, two = (touched(text_overlay(GREY, text, 10.0))[1] for text in ("ab", r"ab\nab"))
    assert two - one == pytest.approx(20 * 1.25 + 2, abs=2)
    wrapped = touched(text_overlay(GREY, "several words that do not fit", 15.0))
    assert wrapped[3] < 300
    assert wrapped[1] > 60

    def fits(words: str) -> bool:
        return len(words) <= 5

    assert _lines("aa bb ccc\n\ndddddddd e", fits, 9) == ["aa bb", "ccc", "", "ddddd", "ddd e"]
    assert _lines("aaaaa bb", fits, 9) == ["aaaaa", "bb"]
    assert _lines("x" * 100, fits, 3) == ["xxxxx"] * 3


def test_too_much_text_becomes_smaller_and_ends_at_the_edge() -> None:
    text = "word " * 60
    shrunk = text_overlay(GREY, text, 20.0)
    assert touched(shrunk)[1] < 200
    assert text_overlay(GREY, "y" * 300_000, 50.0).shape == GREY.shape
    assert text_overlay(torch.zeros(1, 1, 1, 3), "x").shape == (1, 1, 1, 3)


def test_alpha_becomes_opaque_under_letters() -> None:
    clear = torch.zeros(1, 200, 300, 4)
    image = text_overlay(clear, "H", 40.0)
    assert image[..., 3].max() == 1
    assert image[0, 199, 299, 3] == 0
    assert text_overlay(clear[..., :1], "H").shape == (1, 200, 300, 1)


def test_nothing_to_write_gives_the_pictures_themselves_and_no_colour_is_told() -> None:
    assert text_overlay(GREY, r" \n ") is GREY
    with pytest.raises(ValueError, match="TextOverlay: color is 'white'"):
        text_overlay(GREY, "a", color="white")
