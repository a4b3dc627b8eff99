from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from engine.media.errors import MediaError
from engine.media.load import MAX_PIXELS, load_channel, load_picture


def gradient(width: int = 5, height: int = 3, channels: int = 3) -> np.ndarray:
    return (np.arange(width * height * channels, dtype=np.uint8) * 3).reshape(height, width, channels)


def test_a_png_comes_back_as_the_bytes_over_255(tmp_path):
    pixels = gradient()
    Image.fromarray(pixels).save(tmp_path / "a.png")
    image, mask = load_picture(tmp_path / "a.png")
    assert image.dtype == torch.float32
    assert torch.equal(image, torch.from_numpy(pixels.astype(np.float32) / 255)[None])
    assert mask.shape == (1, 64, 64)
    assert not mask.any()


def test_alpha_becomes_a_mask_of_what_is_transparent_and_colours_stay(tmp_path):
    pixels = gradient(channels=4)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    image, mask = load_picture(tmp_path / "a.png")
    assert torch.equal(image, torch.from_numpy(pixels[..., :3].astype(np.float32) / 255)[None])
    assert torch.allclose(mask, 1 - torch.from_numpy(pixels[..., 3].astype(np.float32) / 255)[None])


def test_a_palette_picture_with_a_transparent_colour_has_a_mask(tmp_path):
    picture = Image.new("P", (2, 1))
    picture.putpalette([255, 0, 0, 0, 0, 255])
    picture.putdata([0, 1])
    picture.save(tmp_path / "a.png", transparency=1)
    image, mask = load_picture(tmp_path / "a.png")
    assert image[0, 0].tolist() == [[1, 0, 0], [0, 0, 1]]
    assert mask[0, 0].tolist() == [0, 1]


def test_a_grey_picture_of_16_bits_keeps_its_precision(tmp_path):
    grey = np.array([[0, 1, 257], [32768, 65534, 65535]], dtype=np.uint16)
    Image.fromarray(grey).save(tmp_path / "a.png")
    image, _ = load_picture(tmp_path / "a.png")
    assert torch.allclose(image[0, ..., 1], torch.from_numpy(grey.astype(np.float32) / 65535), atol=0, rtol=1e-7)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "CMYK", "YCbCr", "F"])
def test_every_mode_gives_three_colours_in_range(tmp_path, mode):
    suffix = "png" if mode in ("1", "L", "LA") else "tiff"
    Image.fromarray(gradient()).convert(mode).save(tmp_path / f"a.{suffix}")
    image, _ = load_picture(tmp_path / f"a.{suffix}")
    assert image.shape == (1, 3, 5, 3)
    assert 0 <= image.min() <= image.max() <= 1


def test_the_exif_orientation_is_applied(tmp_path):
    picture = Image.fromarray(gradient(width=6, height=4))
    exif = picture.getexif()
    exif[0x0112] = 6
    picture.save(tmp_path / "a.jpg", exif=exif, quality=100, subsampling=0)
    image, _ = load_picture(tmp_path / "a.jpg")
    assert image.shape == (1, 6, 4, 3)


def test_an_animation_is_a_batch_of_its_frames(tmp_path):
    frames = [Image.new("RGB", (4, 3), colour) for colour in ("red", "lime", "blue")]
    frames[0].save(tmp_path / "a.webp", save_all=True, append_images=frames[1:], lossless=True)
    image, mask = load_picture(tmp_path / "a.webp")
    assert image[:, 0, 0].tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 1]]
    assert mask.shape == (3, 64, 64)


def test_frames_of_another_size_than_the_first_are_left_out(tmp_path):
    first = Image.new("RGB", (4, 3), "red")
    first.save(tmp_path / "a.tiff", save_all=True, append_images=[Image.new("RGB", (2, 2)), first])
    image, _ = load_picture(tmp_path / "a.tiff")
    assert image.shape == (2, 3, 4, 3)


def test_an_animation_with_one_transparent_frame_has_a_mask_for_each(tmp_path):
    frames = [Image.new("RGBA", (4, 3), (255, 0, 0, 255)), Image.new("RGBA", (4, 3), (0, 255, 0, 0))]
    frames[0].save(tmp_path / "a.png", save_all=True, append_images=frames[1:])
    _, mask = load_picture(tmp_path / "a.png")
    assert mask.shape == (2, 3, 4)
    assert mask.mean(dim=(1, 2)).tolist() == [0, 1]


def test_channels_are_read_by_name(tmp_path):
    pixels = gradient(channels=4)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    for index, name in enumerate(("red", "green", "blue")):
        expected = torch.from_numpy(pixels[..., index].astype(np.float32) / 255)[None]
        assert torch.equal(load_channel(tmp_path / "a.png", name), expected)
    assert torch.allclose(
        load_channel(tmp_path / "a.png", "alpha"), 1 - torch.from_numpy(pixels[..., 3].astype(np.float32) / 255)[None]
    )


def test_a_channel_of_an_animation_is_that_of_its_first_frame(tmp_path):
    frames = [Image.new("RGBA", (4, 3), (51, 0, 0, 255)), Image.new("RGBA", (4, 3), (255, 0, 0, 0))]
    frames[0].save(tmp_path / "a.png", save_all=True, append_images=frames[1:])
    assert torch.allclose(load_channel(tmp_path / "a.png", "red"), torch.full((1, 3, 4), 0.2))
    assert not load_channel(tmp_path / "a.png", "alpha").any()


def test_the_alpha_channel_of_an_opaque_picture_is_a_mask_of_its_size_that_hides_nothing(tmp_path):
    Image.fromarray(gradient()).save(tmp_path / "a.png")
    mask = load_channel(tmp_path / "a.png", "alpha")
    assert mask.shape == (1, 3, 5)
    assert not mask.any()


def test_text_named_png_is_refused_as_no_picture(tmp_path):
    (tmp_path / "a.png").write_text("dear diary")
    with pytest.raises(MediaError, match=r"a\.png is not a picture"):
        load_picture(tmp_path / "a.png")


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "gif"])
def test_a_truncated_picture_is_refused_as_damaged(tmp_path, suffix):
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / f"a.{suffix}")
    whole = (tmp_path / f"a.{suffix}").read_bytes()
    (tmp_path / f"a.{suffix}").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(MediaError, match=rf"a\.{suffix}"):
        load_picture(tmp_path / f"a.{suffix}")


@pytest.mark.parametrize("side", [40_000, 12_000, 9_500])
def test_a_huge_picture_is_refused_by_its_header_with_the_limit_stated(png_header, side):
    assert side * side > MAX_PIXELS
    with pytest.raises(MediaError, match=f"at most {MAX_PIXELS:,} pixels"):
        load_picture(png_header(side, side))


def test_a_missing_picture_and_a_folder_are_named(tmp_path):
    with pytest.raises(MediaError, match="no picture at"):
        load_picture(tmp_path / "none.png")
    with pytest.raises(MediaError, match="Cannot read"):
        load_picture(tmp_path)
