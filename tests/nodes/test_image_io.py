from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image as PillowImage

from engine.api import WithUi
from engine.media.errors import MediaError
from engine.media.saver import PictureSaver
from engine.paths import PathError, Paths
from nodes.image_compare import image_compare
from nodes.image_io import load_image, load_image_mask, mask_preview, preview_image, save_image
from nodes.image_save_advanced import save_image_advanced


@dataclass
class FileContext:
    """The part of a Context that touches files, on the real folders of a base directory."""

    paths: Paths

    def save_images(self, images: torch.Tensor, prefix: str, folder: str = "output") -> list[dict[str, str]]:
        return PictureSaver(self.paths.directory)(
            images, prefix, folder, prompt={"1": {"class_type": "X", "inputs": {}}}
        )


@pytest.fixture
def ctx(tmp_path: Path) -> Any:
    return FileContext(Paths(tmp_path))


def put(ctx: Any, name: str, pixels: np.ndarray) -> None:
    PillowImage.fromarray(pixels).save(ctx.paths.directory("input") / name)


def test_a_picture_is_loaded_with_its_transparency_as_mask(ctx: Any) -> None:
    pixels = np.zeros((2, 3, 4), np.uint8)
    pixels[..., 0], pixels[..., 3] = 255, 51
    put(ctx, "red.png", pixels)
    image, mask = load_image(ctx, "red.png")
    assert image.shape == (1, 2, 3, 3)
    assert image[0, 0, 0].tolist() == [1, 0, 0]
    assert torch.allclose(mask, torch.full((1, 2, 3), 0.8))


def test_a_picture_without_alpha_gives_an_empty_mask(ctx: Any) -> None:
    put(ctx, "plain.png", np.zeros((2, 3, 3), np.uint8))
    mask = load_image(ctx, "plain.png").MASK
    assert mask.shape == (1, 64, 64)
    assert (mask == 0).all()


def test_one_channel_is_loaded_as_a_mask(ctx: Any) -> None:
    pixels = np.full((2, 3, 4), 255, np.uint8)
    pixels[..., 1] = 51
    put(ctx, "channels.png", pixels)
    assert torch.allclose(load_image_mask(ctx, "channels.png", "green"), torch.full((1, 2, 3), 0.2))
    assert (load_image_mask(ctx, "channels.png", "alpha") == 0).all()


def test_a_saved_picture_loads_back_the_same_to_eight_bits(ctx: Any) -> None:
    image = torch.rand(2, 5, 4, 3)
    result = save_image(ctx, image, "folder/name")
    assert isinstance(result, WithUi)
    (passed_on,) = result.values
    assert passed_on is image
    entries = result.ui["images"]
    assert [entry["type"] for entry in entries] == ["output", "output"]
    for one, entry in zip(image, entries):
        assert entry["subfolder"] == "folder"
        loaded = load_image(ctx, f"folder/{entry['filename']} [output]").IMAGE
        assert torch.equal(loaded[0], (one * 255).floor() / 255)


def test_previews_go_to_the_temporary_folder(ctx: Any) -> None:
    for result in (preview_image(ctx, torch.rand(1, 4, 4, 4)), mask_preview(ctx, torch.rand(1, 4, 4))):
        (entry,) = result.ui["images"]
        assert entry["type"] == "temp"
        assert (ctx.paths.temp / entry["filename"]).is_file()
    assert not ctx.paths.output.exists() or not list(ctx.paths.output.iterdir())


def test_a_missing_picture_names_the_nearest(ctx: Any) -> None:
    put(ctx, "apple.png", np.zeros((1, 1, 3), np.uint8))
    with pytest.raises(PathError, match=r"apple\.png"):
        load_image(ctx, "aple.png")


@pytest.mark.parametrize("name", ["../secret.png", "/etc/passwd"])
def test_a_name_that_leads_out_of_the_folder_is_refused(ctx: Any, name: str) -> None:
    with pytest.raises(PathError):
        load_image(ctx, name)


def test_a_file_that_is_no_picture_says_so(ctx: Any) -> None:
    (ctx.paths.directory("input") / "text.png").write_text("not a picture")
    with pytest.raises(MediaError, match=r"text\.png is not a picture"):
        load_image(ctx, "text.png")


def test_each_side_is_kept_for_a_while_under_a_name_of_its_own(ctx: Any) -> None:
    shown = image_compare(ctx, ["", ""], torch.zeros(2, 4, 4, 3), torch.ones(1, 5, 5, 3)).ui
    names = {side: [one["filename"] for one in found] for side, found in shown.items()}
    assert {side: len(found) for side, found in names.items()} == {"a_images": 2, "b_images": 1}
    assert all(name.startswith("comfy.compare.a") for name in names["a_images"])
    assert names["b_images"][0].startswith("comfy.compare.b")
    assert {one["type"] for found in shown.values() for one in found} == {"temp"}


def test_a_side_that_is_not_linked_is_empty(ctx: Any) -> None:
    shown = image_compare(ctx, ["", ""], None, torch.ones(1, 5, 5, 3)).ui
    assert shown["a_images"] == []
    assert len(shown["b_images"]) == 1


def test_pictures_saved_in_a_chosen_format_are_passed_on(ctx: Any) -> None:
    picture = torch.rand(2, 3, 4, 3)
    chosen = {"format": "png", "bit_depth": "8-bit", "input_color_space": "sRGB"}
    saved = save_image_advanced(ctx, picture, "layers/one", format=chosen)
    assert saved.values == (picture,)
    assert [one["subfolder"] for one in saved.ui["images"]] == ["layers"] * 2
    for one, expected in zip(saved.ui["images"], picture):
        pixels = np.asarray(PillowImage.open(ctx.paths.directory("output") / one["subfolder"] / one["filename"]))
        assert np.abs(pixels / 255 - expected.numpy()).max() <= 1 / 255
