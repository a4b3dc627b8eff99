"""Previews as files, and which of them are left out."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from engine.execute.events import NodePreview
from engine.worker import pictures
from engine.worker.pictures import Previews, encode
from tests.harness import until


@pytest.mark.parametrize(
    ("shape", "kind", "mode", "size"),
    [
        ((64, 48, 3), "jpeg", "RGB", (48, 64)),
        ((64, 48, 4), "png", "RGBA", (48, 64)),
        ((64, 48, 1), "jpeg", "RGB", (48, 64)),
        ((64, 48), "jpeg", "RGB", (48, 64)),
        ((1024, 2048, 3), "jpeg", "RGB", (512, 256)),
        ((64, 1024, 3), "jpeg", "RGB", (512, 32)),
        ((512, 512, 3), "jpeg", "RGB", (512, 512)),
    ],
)
def test_arrays_become_small_files(shape: tuple[int, ...], kind: str, mode: str, size: tuple[int, int]) -> None:
    found, data = encode(np.full(shape, 128, np.uint8))
    picture = Image.open(io.BytesIO(data))
    assert (found, picture.mode, picture.size) == (kind, mode, size)
    assert abs(int(np.asarray(picture)[0, 0, 0]) - 128) <= 2


def test_pil_images_are_taken_as_they_are() -> None:
    found, data = encode(Image.new("P", (10, 20)))
    assert found == "jpeg"
    assert Image.open(io.BytesIO(data)).size == (10, 20)


class Told:
    def __init__(self) -> None:
        self.previews: list[Any] = []

    def wait(self, count: int) -> list[Any]:
        until(lambda: len(self.previews) >= count, f"{count} previews")
        assert len(self.previews) == count
        return self.previews


def event(node: str, image: Any = None) -> NodePreview:
    return NodePreview(node=node, display_node=node, image=np.zeros((8, 8, 3), np.uint8) if image is None else image)


def test_each_node_has_its_own_turn_and_what_comes_too_soon_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "MIN_SECONDS", 1000.0)
    told = Told()
    previews = Previews(told.previews.append)
    for _ in range(5):
        previews.offer("job", event("1"))
        previews.offer("job", event("2"))
    assert sorted(one.node for one in told.wait(2)) == ["1", "2"]
    previews.end("job")
    previews.offer("job", event("1"))
    told.wait(3)


def test_what_is_no_picture_is_left_out_and_harms_no_later_one() -> None:
    told = Told()
    previews = Previews(told.previews.append)
    previews.offer("job", event("1", "no picture"))
    previews.offer("job", event("2"))
    assert [one.node for one in told.wait(1)] == ["2"]


def test_the_end_of_a_job_is_that_of_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "MIN_SECONDS", 1000.0)
    told = Told()
    previews = Previews(told.previews.append)
    previews.offer("a", event("1"))
    previews.offer("b", event("1"))
    told.wait(2)
    previews.end("a")
    assert list(previews._taken) == [("b", "1")]
