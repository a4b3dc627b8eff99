"""Pictures in files of more than eight bits, read back by other programs' decoders."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
from PIL import Image

from engine.media.color_spaces import hlg_to_scene, linear_to_pq, srgb_to_linear
from engine.media.containers.exr import texts
from engine.media.embedded import read_embedded
from engine.media.errors import MediaError
from engine.paths import Paths
from nodes.image_save_advanced import save_image_advanced


class Desk:
    """What these nodes see of the engine."""

    def __init__(self, paths: Paths) -> None:
        self.paths = paths
        self.prompt = {"1": {"class_type": "Some", "inputs": {"text": "é"}}}
        self.workflow = {"nodes": [1]}
        self.embedded = {"prompt": self.prompt, "workflow": self.workflow}
        self.seal = None

    def check_cancelled(self) -> None:
        pass


@pytest.fixture
def ctx(tmp_path: Path) -> Any:
    return Desk(Paths(tmp_path))


def picture(height: int = 37, width: int = 21, channels: int = 3, batch: int = 1) -> torch.Tensor:
    return torch.rand(batch, height, width, channels, generator=torch.Generator().manual_seed(1))


def saved(ctx: Any, images: torch.Tensor, **choice: Any) -> list[Path]:
    result = save_image_advanced(ctx, images, "deep/one", format=choice)
    assert result.values == (images,)
    return [ctx.paths.directory("output") / one["subfolder"] / one["filename"] for one in result.ui["images"]]


def decoded(path: Path, kind: str) -> np.ndarray:
    with av.open(str(path)) as file:
        return next(file.decode(video=0)).to_ndarray(format=kind)


def light(path: Path) -> np.ndarray:
    """The numbers (H, W, C) of an EXR file as FFmpeg decodes them, which its conversions between formats would cut to 0..1."""
    with av.open(str(path)) as file:
        frame = next(file.decode(video=0))
    dtype = np.dtype("<f2" if "f16" in frame.format.name else "<f4")
    planes = [
        np.frombuffer(plane, dtype).reshape(plane.height, -1)[:, : plane.width].astype(np.float32)
        for plane in frame.planes
    ]
    return np.stack(planes if len(planes) == 1 else [planes[2], planes[0], planes[1], *planes[3:]], axis=-1)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_a_png_of_sixteen_bits_has_all_of_them_and_the_workflow(ctx: Any, channels: int) -> None:
    image = picture(channels=channels, batch=2)
    paths = saved(ctx, image, format="png", bit_depth="16-bit", input_color_space="sRGB")
    assert [path.name for path in paths] == ["one_00001_.png", "one_00002_.png"]
    for path, wanted in zip(paths, image):
        kind = {1: "gray16le", 3: "rgb48le", 4: "rgba64le"}[channels]
        found = decoded(path, kind).reshape(37, 21, channels).astype(np.float64) / 65535
        assert np.abs(found - wanted.numpy()).max() <= 0.5 / 65535 + 1e-7
        data = path.read_bytes()
        assert data[24] == 16
        assert read_embedded(data).prompt == ctx.prompt
        Image.open(path).verify()


@pytest.mark.parametrize("depth", ["16-bit float", "32-bit float"])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_an_exr_is_what_ffmpeg_reads(ctx: Any, depth: str, channels: int) -> None:
    image = picture(channels=channels) * 4 - 1
    image[0, 0, 0] = 70000.0 if depth == "32-bit float" else 65504.0
    [path] = saved(ctx, image, format="exr", bit_depth=depth, input_color_space="linear")
    found = light(path)
    allowed = {"rtol": 5e-4, "atol": 1e-7} if depth == "16-bit float" else {"rtol": 0, "atol": 0}
    assert np.allclose(found, image[0].numpy(), **allowed)


def test_an_exr_holds_light_and_names_its_primaries(ctx: Any) -> None:
    image = picture()
    for space, wanted, red in (
        ("sRGB", srgb_to_linear(image), (0.64, 0.33)),
        ("HDR", hlg_to_scene(image), (0.708, 0.292)),
        ("linear", image, (0.64, 0.33)),
        ("linear ACEScg", image, (0.713, 0.293)),
    ):
        [path] = saved(ctx, image, format="exr", bit_depth="32-bit float", input_color_space=space)
        assert np.allclose(light(path), wanted[0].numpy(), atol=1e-6), space
        data = path.read_bytes()
        at = data.index(b"chromaticities\0chromaticities\0") + 30
        assert struct.unpack_from("<i2f", data, at) == pytest.approx((32, *red))
        embedded = read_embedded(data)
        assert (embedded.prompt, embedded.workflow) == (ctx.prompt, ctx.workflow)


def test_a_header_that_is_cut_off_or_lies_says_nothing(ctx: Any) -> None:
    [path] = saved(ctx, picture(), format="exr", bit_depth="16-bit float", input_color_space="linear")
    data = path.read_bytes()
    for end in range(4, 700, 7):
        list(texts(data[:end]))
    assert dict(texts(data[:8] + b"a\0string\0" + struct.pack("<i", 3) + b"xyz")) == {"a": "xyz"}
    assert not list(texts(data[:8] + b"a\0string\0" + struct.pack("<i", -3) + b"xyz"))
    assert not list(texts(data[:8] + b"a" * 1000))


def test_values_past_half_floats_are_cut(ctx: Any) -> None:
    [path] = saved(ctx, picture() * 1e9, format="exr", bit_depth="16-bit float", input_color_space="linear")
    assert light(path).max() == 65504


STILL = {"format": "avif", "bit_depth": "auto", "crf": 1, "save_mode": {"save_mode": "still images"}}


def smooth(batch: int = 1, channels: int = 3, width: int = 65) -> torch.Tensor:
    across, down = torch.linspace(0.1, 0.9, width), torch.linspace(0.2, 0.8, 48)
    planes = [across.expand(48, width), down[:, None].expand(48, width), (across + down[:, None]) / 2]
    return torch.stack(planes[:channels], -1)[None].repeat(batch, 1, 1, 1)


@pytest.mark.parametrize("channels", [1, 3])
def test_an_avif_is_what_pillow_reads_and_carries_the_workflow(ctx: Any, channels: int) -> None:
    image = smooth(2, channels)
    paths = saved(ctx, image, **STILL, input_color_space="sRGB")
    assert [path.name for path in paths] == ["one_00001_.avif", "one_00002_.avif"]
    found = np.asarray(Image.open(paths[0]).convert("RGB")) / 255
    assert np.abs(found - image[0].expand(-1, -1, 3).numpy()).max() < 0.04
    embedded = read_embedded(paths[0].read_bytes())
    assert (embedded.prompt, embedded.workflow) == (ctx.prompt, ctx.workflow)


@pytest.mark.parametrize(("space", "curve"), [("HDR", 18), ("HDR PQ", 16), ("sRGB", 13)])
def test_an_avif_of_ten_bits_names_its_curve(ctx: Any, space: str, curve: int) -> None:
    image = linear_to_pq(smooth(width=64))
    depth = "10-bit YUV420" if space == "sRGB" else "auto"
    [path] = saved(ctx, image, **{**STILL, "bit_depth": depth}, input_color_space=space)
    data = path.read_bytes()
    assert struct.unpack(">HHH", data[data.index(b"nclx") + 4 :][:6])[1] == curve
    with av.open(str(path)) as file:
        frame = next(file.decode(video=0))
    assert frame.format.name == "yuv420p10le"
    found = np.asarray(Image.open(path).convert("RGB")) / 255
    assert np.abs(found - image[0].numpy()).max() < 0.05


def test_pictures_move_in_one_avif(ctx: Any) -> None:
    image = smooth(3) * torch.tensor([1.0, 0.8, 0.6]).view(3, 1, 1, 1)
    mode = {"save_mode": "animated", "fps": 4.0, "loop_count": 0}
    result = save_image_advanced(ctx, image, "moves", format={**STILL, "save_mode": mode, "input_color_space": "sRGB"})
    assert result.ui["animated"] == [True]
    path = ctx.paths.directory("output") / result.ui["images"][0]["filename"]
    with Image.open(path) as file:
        assert file.n_frames == 3
        for index in range(3):
            file.seek(index)
            file.load()
            assert file.info["duration"] == pytest.approx(250, abs=1)
            assert np.abs(np.asarray(file.convert("RGB")) / 255 - image[index].numpy()).max() < 0.06
    assert read_embedded(path.read_bytes()).prompt == ctx.prompt


@pytest.mark.parametrize(
    ("channels", "choice", "told"),
    [
        (2, {"format": "png", "bit_depth": "16-bit"}, r"C = 1 or 3 or 4 .* got \(1, 37, 21, 2\)"),
        (2, {"format": "exr", "bit_depth": "32-bit float"}, "C = 1 or 3 or 4"),
        (4, STILL, "without alpha .* C = 1 or 3"),
    ],
)
def test_channels_that_a_format_has_not_are_told(ctx: Any, channels: int, choice: dict, told: str) -> None:
    with pytest.raises(MediaError, match=told):
        save_image_advanced(ctx, picture(channels=channels), format={**choice, "input_color_space": "sRGB"})
    with pytest.raises(MediaError, match="4 × 4"):
        save_image_advanced(ctx, picture(3, 5), format={**STILL, "input_color_space": "sRGB"})
