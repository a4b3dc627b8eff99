"""Animated files: their frames, how long these are shown, and what the files carry."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch
from PIL import Image

from engine.media.errors import MediaError
from engine.media.load import load_picture
from nodes.image_animation import save_animated_png, save_animated_webp


def frames(count: int = 3) -> torch.Tensor:
    """Every frame another one: equal ones would be joined."""
    return torch.rand(count, 12, 20, 3, generator=torch.Generator().manual_seed(1))


def file_of(bench: Any, made: Any) -> Any:
    [told] = made.ui["images"]
    assert told["type"] == "output"
    return bench.paths.directory("output") / told["subfolder"] / told["filename"]


@pytest.fixture
def told(bench) -> Any:
    bench.prompt, bench.workflow = {"1": {"class_type": "X", "inputs": {}}}, {"nodes": []}
    return bench


@pytest.mark.parametrize("save", [save_animated_webp, save_animated_png])
def test_frames_come_back_as_they_were(told, save):
    prefix = f"films/{save.__name__}"
    made = save(told, frames(), prefix, 8.0)
    path = file_of(told, made)
    assert (path.parent.name, path.stem) == ("films", f"{save.__name__}_00001_")
    assert made.ui["animated"] == [True]
    back = load_picture(path).image
    assert back.shape == (3, 12, 20, 3)
    assert float((back - frames()).abs().max()) <= 1 / 255
    with Image.open(path) as opened:
        assert (opened.n_frames, opened.info.get("loop")) == (3, 0)
        opened.seek(1)
        opened.load()
        assert opened.info["duration"] == 125
    assert file_of(told, save(told, frames(), prefix, 8.0)).stem == f"{save.__name__}_00002_"


def test_the_workflow_is_inside(told):
    with Image.open(file_of(told, save_animated_png(told, frames(), "a", 6.0, 9))) as opened:
        opened.load()
        assert json.loads(opened.text["prompt"]) == told.prompt
        assert json.loads(opened.text["workflow"]) == told.workflow
    with Image.open(file_of(told, save_animated_webp(told, frames(), "a"))) as opened:
        assert set(opened.getexif().values()) >= {f"prompt:{json.dumps(told.prompt)}", 'workflow:{"nodes": []}'}


def test_quality_and_method_are_the_encoders(told):
    large, small = (
        file_of(told, save_animated_webp(told, frames(), "q", 6.0, False, quality, "slowest")).stat().st_size
        for quality in (100, 5)
    )
    assert small < large / 2


def test_one_picture_is_no_animation_and_none_is_an_error(told):
    assert save_animated_webp(told, frames(1), "one").ui["animated"] == [False]
    with pytest.raises(MediaError):
        save_animated_webp(told, frames(0), "none")


def test_pictures_with_alpha_keep_it(told):
    pictures = torch.rand(2, 8, 8, 4)
    with Image.open(file_of(told, save_animated_png(told, pictures, "alpha"))) as opened:
        assert opened.mode == "RGBA"
