"""What nodes compute, in the smallest cases that tell one formula from its neighbour."""

from __future__ import annotations

import pytest
import torch

from nodes import text
from nodes.expressions import evaluate
from nodes.mask import grow_mask
from nodes.sigmas import split_sigmas_denoise


def dot() -> torch.Tensor:
    mask = torch.zeros(1, 7, 7)
    mask[0, 3, 3] = 1.0
    return mask


def drawn(mask: torch.Tensor) -> list[str]:
    return ["".join("#" if value else "." for value in row) for row in mask[0].tolist()]


@pytest.mark.parametrize(
    ("reach", "tapered", "picture"),
    [
        (0, True, [".......", ".......", ".......", "...#...", ".......", ".......", "......."]),
        (1, True, [".......", ".......", "...#...", "..###..", "...#...", ".......", "......."]),
        (1, False, [".......", ".......", "..###..", "..###..", "..###..", ".......", "......."]),
        (2, True, [".......", "...#...", "..###..", ".#####.", "..###..", "...#...", "......."]),
        (2, False, [".......", ".#####.", ".#####.", ".#####.", ".#####.", ".#####.", "......."]),
    ],
)
def test_a_mask_grows_by_as_many_pixels_as_asked_round_or_square(reach: int, tapered: bool, picture: list[str]) -> None:
    assert drawn(grow_mask(dot(), reach, tapered)) == picture


@pytest.mark.parametrize("tapered", [True, False])
def test_a_mask_shrinks_to_what_growing_what_is_not_in_it_leaves(tapered: bool) -> None:
    square = torch.zeros(1, 7, 7)
    square[0, 1:6, 1:6] = 1.0
    assert drawn(grow_mask(square, -1, tapered)) == [
        ".......",
        ".......",
        "..###..",
        "..###..",
        "..###..",
        ".......",
        ".......",
    ]


@pytest.mark.parametrize(("denoise", "high", "low"), [(0.5, 2, 3), (0.1, 0, 1), (1.0, 1, 4), (0.84, 1, 4)])
def test_a_share_of_the_steps_is_rounded(denoise: float, high: int, low: int) -> None:
    found = split_sigmas_denoise(torch.arange(4.0).flip(0), denoise)
    assert (len(found.high_sigmas), len(found.low_sigmas)) == (high, low)


@pytest.mark.parametrize(
    ("expression", "value"),
    [("1 < 3 < 2", False), ("1 < 2 < 3", True), ("3 > 2 > 2", False), ("1 < 3 > 2", True), ("1 == 1 != 2", True)],
)
def test_a_chain_of_comparisons_compares_neighbours(expression: str, value: bool) -> None:
    assert evaluate(expression, {}) is value


def test_a_replacement_that_shortens_a_long_text_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text, "MAX_TEXT", 10)
    assert text.string_replace("a" * 10, "a", "") == ""
    assert text.string_replace("a" * 5, "a", "bb") == "b" * 10
    with pytest.raises(ValueError, match="11 characters"):
        text.string_replace("a" * 5 + "c", "a", "bb")
