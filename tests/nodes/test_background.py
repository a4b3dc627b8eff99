"""BiRefNet: its deformable convolution tap by tap, a file in its authors' names, masks of pictures; and what is no such file."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.nn import functional

from engine.models.errors import CheckpointError
from engine.models.handles import decode_handle, encode_handle
from engine.models.networks.birefnet_module import BiRefNet, deformed
from nodes.background import load_background_removal_model, remove_background
from tests.tiny_geometry import SIDE, birefnet_as_written, tiny_birefnet, write_birefnet
from tests.tiny_seeing import Seeing, seeing


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> tuple[Seeing, BiRefNet]:
    base = seeing(tmp_path_factory.mktemp("background_removal"))
    write_birefnet(base.base / "models/background_removal/birefnet.safetensors")
    return base, tiny_birefnet()


def by_hand(x: torch.Tensor, offsets: torch.Tensor, weights: torch.Tensor, kernel: torch.Tensor) -> torch.Tensor:
    """A deformable convolution pixel by pixel, by the formula of Zhu et al. 2019."""
    height, width, size = x.shape[2], x.shape[3], kernel.shape[-1]
    made = torch.zeros(1, kernel.shape[0], height, width)
    for row in range(height):
        for column in range(width):
            for tap in range(size * size):
                y = row + tap // size - size // 2 + float(offsets[0, 2 * tap, row, column])
                at = column + tap % size - size // 2 + float(offsets[0, 2 * tap + 1, row, column])
                value = torch.zeros(x.shape[1])
                for near_row in range(height):
                    for near in range(width):
                        share = max(0.0, 1 - abs(y - near_row)) * max(0.0, 1 - abs(at - near))
                        if share:
                            value = value + share * x[0, :, near_row, near]
                share = float(weights[0, tap, row, column])
                made[0, :, row, column] += share * (kernel[:, :, tap // size, tap % size] @ value)
    return made


@pytest.mark.parametrize(("height", "width", "size"), [(4, 5, 3), (3, 1, 1), (3, 3, 5)])
def test_a_deformable_convolution_is_the_formulas(height: int, width: int, size: int) -> None:
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(1, 2, height, width, generator=generator)
    offsets = 1.5 * torch.randn(1, 2 * size * size, height, width, generator=generator)
    weights = torch.rand(1, size * size, height, width, generator=generator)
    kernel = torch.randn(3, 2, size, size, generator=generator)
    assert torch.allclose(deformed(x, offsets, weights, kernel), by_hand(x, offsets, weights, kernel), atol=1e-5)
    plain = deformed(x, torch.zeros_like(offsets), torch.ones_like(weights), kernel)
    assert torch.allclose(plain, functional.conv2d(x, kernel, padding=size // 2), atol=1e-5)


def test_masks_are_those_of_the_network_at_the_pictures_size(there):
    base, module = there
    model = load_background_removal_model(base.context, "birefnet.safetensors")
    assert decode_handle(encode_handle(model)) == model
    pictures = torch.rand(2, 40, 50, 3, generator=torch.Generator().manual_seed(4))
    masks = remove_background(base.context, model, pictures)
    assert masks.shape == (2, 40, 50)
    assert base.context.steps[-2:] == [(1, 2), (2, 2)]
    whole = (pictures.movedim(-1, 1) * 255).round().to(torch.uint8)
    seen = functional.interpolate(whole, (SIDE, SIDE), mode="bilinear", antialias=True).float() / 255
    mean, deviation = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    with torch.no_grad():
        wanted = module((seen - mean[:, None, None]) / deviation[:, None, None]).sigmoid()
    wanted = functional.interpolate(wanted, (40, 50), mode="bilinear", align_corners=True)[:, 0]
    assert wanted.std() > 0.02
    assert torch.allclose(masks, wanted, atol=1e-4)


def test_alpha_and_gray_do_no_harm_and_pictures_stay_as_they_are(there):
    base, _ = there
    model = load_background_removal_model(base.context, "birefnet.safetensors")
    picture = torch.rand(1, 30, 33, 4, generator=torch.Generator().manual_seed(5))
    before = picture.clone()
    masks = remove_background(base.context, model, picture)
    assert torch.equal(picture, before)
    assert torch.equal(masks, remove_background(base.context, model, picture[..., :3]))
    assert remove_background(base.context, model, picture[..., :1]).shape == (1, 30, 33)


def test_other_files_are_told_what_they_are(there, bench):
    base, module = there
    other: Any = {"unet.weight": torch.zeros(2)}
    base.file("background_removal", "other.safetensors", other)
    with pytest.raises(
        CheckpointError, match=r"other\.safetensors: expected BiRefNet.*got a file of 1 tensors: unet\.weight"
    ):
        load_background_removal_model(base.context, "other.safetensors")
    base.file("background_removal", "plain.safetensors", {
        name: value for name, value in birefnet_as_written(module.state_dict()).items() if "dec_att" not in name
    })  # fmt: skip
    with pytest.raises(CheckpointError, match=r"looks like BiRefNet.*lacks tensor .*dec_att"):
        load_background_removal_model(base.context, "plain.safetensors")
    from engine.models.perception import kind_in
    from tests import sam3_shapes

    assert kind_in(sam3_shapes.sam3(), ("background",)) is None
    cut = {
        name: value
        for name, value in birefnet_as_written(module.state_dict()).items()
        if name != "decoder.conv_out1.0.bias"
    }
    base.file("background_removal", "cut.safetensors", cut)
    with pytest.raises(CheckpointError, match=r"cut\.safetensors.*1 tensors missing \(decoder\.conv_out1\.0\.bias\)"):
        remove_background(
            base.context, load_background_removal_model(base.context, "cut.safetensors"), torch.rand(1, 8, 8, 3)
        )
