"""What was painted by hand, over pictures and canvases."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from engine.authoring.decorator import definition_of
from engine.paths import PathError, Paths
from nodes.painter import painter


class Desk:
    def __init__(self, paths: Paths) -> None:
        self.paths = paths


@pytest.fixture
def ctx(tmp_path: Path) -> Any:
    desk = Desk(Paths(tmp_path))
    pixels = np.zeros((64, 64, 4), np.uint8)
    pixels[:32] = (255, 0, 0, 255)
    pixels[32:48] = (0, 255, 0, 51)
    for folder in ("input", "temp"):
        (desk.paths.directory(folder) / "painter").mkdir(parents=True)
        Image.fromarray(pixels).save(desk.paths.directory(folder) / "painter" / f"{folder}-1.png")
    return desk


def test_strokes_lie_over_the_canvas_by_their_opacity(ctx: Any) -> None:
    image, mask = painter(ctx, "painter/input-1.png [input]", 64, 64, "#0000ff")
    assert image.shape == (1, 64, 64, 3)
    assert image[0, 0, 0].tolist() == [1, 0, 0]
    assert image[0, 40, 0].tolist() == pytest.approx([0, 0.2, 0.8])
    assert image[0, 63, 0].tolist() == [0, 0, 1]
    assert mask[0, [0, 40, 63], 0].tolist() == pytest.approx([1, 0.2, 0])


def test_pictures_are_painted_on_at_their_own_size(ctx: Any) -> None:
    below = torch.rand(2, 128, 32, 4)
    image, mask = painter(ctx, "painter/temp-1.png [temp]", image=below)
    assert image.shape == (2, 128, 32, 3)
    assert mask.shape == (2, 128, 32)
    assert torch.equal(image[:, 100:], below[:, 100:, :, :3])
    assert (image[:, :60] == torch.tensor([1.0, 0, 0])).all()


def test_nothing_painted_is_the_picture_or_the_colour(ctx: Any) -> None:
    image, mask = painter(ctx, "", 128, 64, "#ff8000")
    assert image.shape == (1, 64, 128, 3)
    assert image[0, 5, 5].tolist() == pytest.approx([1, 128 / 255, 0])
    assert not mask.any()
    with pytest.raises(ValueError, match="Painter: bg_color is 'red'"):
        painter(ctx, "", bg_color="red")
    with pytest.raises(PathError):
        painter(ctx, "painter/gone.png")


def test_a_picture_without_transparency_covers_all(ctx: Any) -> None:
    Image.new("RGB", (8, 8), (0, 255, 0)).save(ctx.paths.directory("input") / "plain.png")
    image, mask = painter(ctx, "plain.png")
    assert (image == torch.tensor([0.0, 1, 0])).all()
    assert mask.all()


def test_what_is_in_the_file_belongs_to_the_key() -> None:
    definition = definition_of(painter)
    assert definition is not None
    mentions = definition.spec.inputs[0].mentions
    assert mentions is not None
    assert (mentions.prefix, mentions.folder, mentions.suffixes) == ("", "input", (" [temp]", " [output]"))
