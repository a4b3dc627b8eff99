"""Paths of a camera: lines of sight against loops over pixels."""

from __future__ import annotations

import math

import pytest
import torch

from engine.media.camera_paths import MOTIONS, lines_of_sight, poses
from nodes.wan_camera import wan_camera_embedding


@pytest.mark.parametrize("pose", MOTIONS)
@pytest.mark.parametrize(("width", "height"), [(32, 16), (16, 48)])
def test_each_pixel_has_its_line_of_sight_in_each_picture(pose: str, width: int, height: int) -> None:
    path, *sizes = wan_camera_embedding(pose, width, height, 9, 2.0, 0.6, 0.7, 0.5, 0.4)
    assert sizes == [width, height, 9]
    assert path.shape == (1, 24, 3, height, width)
    wide = width / height < 1280 / 720
    across = 0.6 * height * 1280 / 720 if wide else 0.6 * width
    down = 0.7 * height if wide else 0.7 * width / (1280 / 720)
    turn, way = MOTIONS[pose]
    for place, picture in ((0, 0), (3, 0), (4, 1), (11, 8)):  # the first picture stands four times
        share = picture / 9 * 2.0
        angle = share * math.pi / 3 * turn
        back = torch.tensor(
            [[math.cos(angle), math.sin(angle), 0.0], [-math.sin(angle), math.cos(angle), 0.0], [0.0, 0.0, 1.0]]
        )
        origin = -back @ (share * 1.5 * torch.tensor(way))
        for x, y in ((0, 0), (width - 1, 3), (5, height - 1)):
            ray = torch.tensor([(x + 0.5 - 0.5 * width) / across, (y + 0.5 - 0.4 * height) / down, 1.0])
            ray = back @ (ray / ray.norm())
            wanted = torch.cat([torch.linalg.cross(origin, ray), ray])
            numbers = [path[0, number * 4 + place % 4, place // 4, y, x] for number in range(6)]
            assert torch.allclose(torch.stack(numbers), wanted, atol=1e-5)


def test_a_camera_that_stands_sees_the_same_all_the_time() -> None:
    path = lines_of_sight(poses(MOTIONS["Static"], 5, 1.0), 16, 16, (0.5, 0.5), (0.5, 0.5))
    assert not path[:3].any()
    assert (path == path[:, :1]).all()
    assert wan_camera_embedding("Zoom In", 16, 16, 1)[0].shape == (1, 24, 1, 16, 16)


def test_no_focal_length_and_too_much_are_refused() -> None:
    with pytest.raises(ValueError, match=r"a focal length must be more than 0, got 0.0 and 0.5"):
        wan_camera_embedding("Static", 16, 16, 5, 1.0, 0.0)
    with pytest.raises(ValueError, match="use a smaller width"):
        wan_camera_embedding("Static", 16384, 16384, 16384)
