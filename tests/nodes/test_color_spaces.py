"""Colour spaces against the numbers of their standards."""

from __future__ import annotations

import pytest
import torch
from PIL import Image

from engine.media.color_spaces import (
    SPACES,
    acescct_to_linear,
    hlg_to_linear,
    linear_to_acescct,
    linear_to_hlg,
    linear_to_logc3,
    linear_to_pq,
    matrix_between,
    pq_to_linear,
    srgb_to_linear,
)
from nodes.color_spaces import (
    _widened,
    image_color_space,
    image_rgb_to_yuv,
    image_sdr_to_hdr,
    image_yuv_to_rgb,
)


def picture(height: int = 5, width: int = 7, channels: int = 3, batch: int = 2) -> torch.Tensor:
    return torch.rand(batch, height, width, channels, generator=torch.Generator().manual_seed(1))


def grey(value: float) -> torch.Tensor:
    return torch.full((1, 1, 1, 3), value)


def test_curves_have_the_values_of_their_standards() -> None:
    assert float(srgb_to_linear(grey(0.5)).mean()) == pytest.approx(0.214041, abs=1e-6)
    assert float(linear_to_pq(grey(100 / 203)).mean()) == pytest.approx(0.508078, abs=1e-5)  # 100 cd/m²
    assert float(linear_to_pq(grey(1.0)).mean()) == pytest.approx(0.5807, abs=1e-3)  # BT.2408: 58 %
    assert float(linear_to_hlg(grey(1.0)).mean()) == pytest.approx(0.75, abs=1e-3)  # BT.2408: 75 %
    assert float(hlg_to_linear(grey(1.0)).mean()) == pytest.approx(1000 / 203, rel=1e-4)
    assert float(linear_to_logc3(grey(0.18)).mean()) == pytest.approx(0.391, abs=5e-4)  # ARRI: 18 % grey is 400 / 1023
    assert float(linear_to_acescct(grey(0.18)).mean()) == pytest.approx(0.413588, abs=1e-5)
    assert float(linear_to_acescct(grey(0.0)).mean()) == pytest.approx(0.0729055, abs=1e-6)
    assert float(acescct_to_linear(grey(0.554795)).mean()) == pytest.approx(1.0, abs=1e-4)


def test_matrices_are_the_published_ones() -> None:
    to_rec2020 = [[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]]  # BT.2087
    assert torch.allclose(matrix_between("rec709", "rec2020").float(), torch.tensor(to_rec2020), atol=1e-4)
    to_ap1 = [[0.613097, 0.339523, 0.047379], [0.070194, 0.916354, 0.013452], [0.020616, 0.109570, 0.869815]]
    assert torch.allclose(matrix_between("rec709", "ap1").float(), torch.tensor(to_ap1), atol=5e-5)


@pytest.mark.parametrize("name", [one for one in SPACES if one != "sRGB"])
def test_there_and_back_is_the_picture_with_its_alpha(name: str) -> None:
    image = picture(channels=4)
    there = image_color_space(image, "sRGB", name)
    assert torch.equal(there[..., 3], image[..., 3])
    back = image_color_space(there, name, "sRGB")
    kept = (srgb_to_linear(image[..., :3]) @ torch.tensor([0.2126, 0.7152, 0.0722])) <= 1
    assert (back - image)[kept].abs().max() < 2e-3
    assert image_color_space(image, name, name) is image


def test_extended_values_are_kept_but_not_in_sdr() -> None:
    bright = torch.tensor([0.05, 0.5, 1.0, 4.0]).view(1, 1, 4, 1).expand(1, 1, 4, 3)
    assert float(image_color_space(bright, "linear", "linear ACEScg").max()) == pytest.approx(4.0, rel=1e-4)
    assert float(pq_to_linear(image_color_space(bright, "linear", "HDR PQ")).max()) == pytest.approx(4.0, rel=1e-3)
    assert float(hlg_to_linear(image_color_space(bright, "linear", "HDR")).max()) == pytest.approx(4.0, rel=1e-3)
    shown = srgb_to_linear(image_color_space(bright, "linear", "sRGB"))[0, 0, :, 0]
    assert shown[:2].tolist() == pytest.approx([0.05, 0.5], abs=1e-5)  # below the knee nothing changes
    assert 0.8 < shown[2] < shown[3]
    assert float(shown[3]) == pytest.approx(1.0, abs=1e-5)


def test_one_curve_serves_the_batch() -> None:
    dim, bright = grey(0.95), grey(8.0)
    together = image_color_space(torch.cat([dim, bright]), "linear", "sRGB")
    alone = image_color_space(dim, "linear", "sRGB")
    assert together[0].max() < alone[0].max()


def test_a_colour_out_of_gamut_keeps_its_luminance() -> None:
    green = torch.tensor([0.0, 0.3, 0.0]).view(1, 1, 1, 3)
    shown = srgb_to_linear(image_color_space(linear_to_pq(green), "HDR PQ", "sRGB"))[0, 0, 0]
    assert shown.min() >= -1e-6
    assert float(shown @ torch.tensor([0.212639, 0.715169, 0.072192])) == pytest.approx(0.3 * 0.6780, abs=1e-3)


def test_yuv_is_pillows_ycbcr_and_comes_back() -> None:
    image = picture(channels=4, batch=1)
    planes = image_rgb_to_yuv(image)
    assert all(plane.shape == (1, 5, 7, 3) for plane in planes)
    pixels = Image.fromarray((image[0, ..., :3] * 255).round().byte().numpy()).convert("YCbCr")
    wanted = torch.tensor(list(pixels.tobytes())).view(5, 7, 3) / 255
    assert (torch.stack([plane[0, ..., 0] for plane in planes], -1) - wanted).abs().max() < 0.006
    assert (image_yuv_to_rgb(*planes) - image[..., :3]).abs().max() < 2e-3
    with pytest.raises(ValueError, match=r"ImageYUVToRGB: .*V is \(1, 5, 6\)"):
        image_yuv_to_rgb(planes.Y, planes.U, planes.V[:, :, :6])


@pytest.mark.parametrize("peak", [1.0, 650 / 203, 10000 / 203])
def test_widening_keeps_order_black_and_sends_white_to_the_peak(peak: float) -> None:
    levels = torch.linspace(0, 1, 999)
    wide = _widened(levels, peak)
    assert (wide.diff() > 0).all()
    assert wide[0] == 0
    assert float(wide[-1]) == pytest.approx(peak, rel=1e-4)
    assert float(_widened(torch.tensor(0.18), peak)) == pytest.approx(0.18, rel=1e-4)
    if peak == 1.0:
        assert torch.allclose(wide, levels, atol=1e-6)


def test_sdr_becomes_hlg_of_the_target() -> None:
    white = torch.ones(1, 2, 2, 4) * torch.tensor([1.0, 1.0, 1.0, 0.25])
    wide = image_sdr_to_hdr(white, {"algorithm": "lottes", "target_luminance": 650.0})
    assert float(hlg_to_linear(wide[..., :3]).mean()) * 203 == pytest.approx(650, rel=1e-3)
    assert (wide[..., 3] == 0.25).all()
    usual = image_sdr_to_hdr(white[..., :1], {"algorithm": "lottes", "target_luminance": 0.0})
    assert usual.shape == (1, 2, 2, 3)
    assert float(usual.mean()) == pytest.approx(1.0, abs=1e-3)
    dark = image_sdr_to_hdr(torch.full((1, 2, 2, 3), 0.1), {"algorithm": "lottes", "target_luminance": 4000.0})
    assert dark.max() < 0.5
