"""Pictures as messages."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image

from engine.plugins.compat.running import running
from engine.plugins.compat.tensors_and_files import ProgressBar
from engine.testing import Cancelled, RecordingContext
from nodes.image_websocket import save_image_websocket


def read(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


def test_each_picture_is_sent_whole_as_a_png_with_nothing_embedded() -> None:
    ctx = RecordingContext(prompt={"1": {}}, workflow={"nodes": []})
    images = torch.zeros(2, 600, 8, 3)
    images[1, ..., 1] = 1.0
    save_image_websocket(ctx, images)
    assert ctx.steps == [(1, 2), (2, 2)]
    found = [read(data) for data in ctx.pictures]
    assert [(one.format, one.size, one.getpixel((0, 0))) for one in found] == [
        ("PNG", (8, 600), (0, 0, 0)),
        ("PNG", (8, 600), (0, 255, 0)),
    ]
    assert all(one.text == {} for one in found)


def test_it_ends_between_pictures_when_the_job_is_cancelled() -> None:
    ctx = RecordingContext(cancel_at=2)
    with pytest.raises(Cancelled):
        save_image_websocket(ctx, torch.zeros(3, 8, 8, 3))
    assert len(ctx.pictures) == 1


@pytest.mark.parametrize(
    ("preview", "is_result"), [(("PNG", None), True), (("PNG", 512), False), (("JPEG", None), False)]
)
def test_a_whole_png_from_a_packs_progress_bar_is_a_result_and_anything_else_a_preview(preview, is_result) -> None:
    ctx = RecordingContext()
    picture = Image.fromarray(np.full((700, 4, 3), 9, np.uint8))
    kind, longest = preview
    with running(ctx):
        ProgressBar(1).update_absolute(1, 1, (kind, picture, longest))
    assert (len(ctx.pictures), len(ctx.previews)) == ((1, 0) if is_result else (0, 1))
    if is_result:
        assert read(ctx.pictures[0]).size == (4, 700)
