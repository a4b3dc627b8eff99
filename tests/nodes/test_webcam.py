"""Pictures that a camera took in the editor."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from engine.authoring.decorator import definition_of
from engine.paths import PathError, Paths
from nodes.webcam import webcam_capture


class Desk:
    def __init__(self, paths: Paths) -> None:
        self.paths = paths


@pytest.fixture
def ctx(tmp_path: Path) -> Any:
    desk = Desk(Paths(tmp_path))
    home = desk.paths.directory("temp") / "webcam"
    home.mkdir(parents=True)
    Image.fromarray(np.arange(8 * 6 * 3, dtype=np.uint8).reshape(6, 8, 3)).save(home / "17.png")
    return desk


TAKEN = "webcam/17.png [temp]"


def test_what_was_taken_is_given_as_it_is(ctx: Any) -> None:
    wanted = torch.arange(8 * 6 * 3).reshape(1, 6, 8, 3) / 255
    assert torch.allclose(webcam_capture(ctx, TAKEN), wanted)
    assert torch.allclose(webcam_capture(ctx, TAKEN, 8, 6), wanted)


@pytest.mark.parametrize(("asked", "shape"), [((4, 0), (3, 4)), ((0, 12), (12, 16)), ((5, 2), (2, 5))])
def test_a_side_of_0_keeps_the_proportions(ctx: Any, asked: tuple[int, int], shape: tuple[int, int]) -> None:
    result = webcam_capture(ctx, TAKEN, *asked)
    assert result.shape == (1, *shape, 3)
    assert 0 <= result.min() <= result.max() <= 1


def test_halves_are_means_of_pixels(ctx: Any) -> None:
    whole = webcam_capture(ctx, TAKEN)[0]
    mean = whole.reshape(3, 2, 4, 2, 3).mean(dim=(1, 3))
    assert torch.allclose(webcam_capture(ctx, TAKEN, 4, 3)[0], mean, atol=1e-6)


def test_nothing_taken_and_files_that_are_gone_are_told(ctx: Any) -> None:
    with pytest.raises(ValueError, match="no picture has been taken"):
        webcam_capture(ctx, " ")
    with pytest.raises(PathError, match=r"18\.png"):
        webcam_capture(ctx, "webcam/18.png [temp]")


def test_the_editor_draws_it() -> None:
    image, width, height, on_queue = definition_of(webcam_capture).spec.inputs
    assert [image.type, image.is_widget, image.required] == ["WEBCAM", True, True]
    assert [width.default, height.default] == [0, 0]
    assert on_queue.default is True
