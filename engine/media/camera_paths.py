"""Paths of a camera for videos: its pose at each picture, and the line of sight of each pixel.

Motions, intrinsics and their proportions are those of github.com/aigc-apps/VideoX-Fun (Apache 2.0), with which Wan Fun was
trained.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import torch
from torch import Tensor

from engine.media.bounds import bounded

_WAY: Final = 1.5
"""How far a camera goes in a video at speed 1."""
_TURN: Final = math.pi / 3
"""How far it turns."""
_PROPORTIONS: Final = 1280 / 720
"""Of the pictures that focal lengths are told of."""


class Motion(NamedTuple):
    """Where the world goes, seen from a camera: a turn about the line of sight, and a way (x, y, z)."""

    turn: float = 0.0
    way: tuple[float, float, float] = (0.0, 0.0, 0.0)


MOTIONS: Final = {
    "Static": Motion(),
    "Pan Up": Motion(way=(0.0, 1.0, 0.0)),
    "Pan Down": Motion(way=(0.0, -1.0, 0.0)),
    "Pan Left": Motion(way=(1.0, 0.0, 0.0)),
    "Pan Right": Motion(way=(-1.0, 0.0, 0.0)),
    "Zoom In": Motion(way=(0.0, 0.0, -2.0)),
    "Zoom Out": Motion(way=(0.0, 0.0, 2.0)),
    "Anti Clockwise (ACW)": Motion(turn=1.0),
    "ClockWise (CW)": Motion(turn=-1.0),
}


def poses(motion: Motion, length: int, speed: float) -> Tensor:
    """Return the matrices (length, 3, 4) that lead from the world to the camera, evenly from none of the motion on."""
    share = torch.arange(length, dtype=torch.float64) / length * speed
    angle = share * _TURN * motion.turn
    zero, one = torch.zeros_like(angle), torch.ones_like(angle)
    rows = [angle.cos(), -angle.sin(), zero, angle.sin(), angle.cos(), zero, zero, zero, one]
    turns = torch.stack(rows, dim=-1).reshape(length, 3, 3)
    ways = share[:, None] * _WAY * torch.tensor(motion.way, dtype=torch.float64)
    return torch.cat([turns, ways[..., None]], dim=-1)


def lines_of_sight(
    cameras: Tensor, width: int, height: int, focal: tuple[float, float], centre: tuple[float, float]
) -> Tensor:
    """Return Plücker coordinates (6, F, height, width): origin × direction, and direction, of each pixel's line of sight.

    `cameras` (F, 3, 4) lead from the world to the camera, the first one's place being the world's; `focal` and `centre` are
    shares of a picture's width and height. Raises ValueError for a focal length of 0.
    """
    bounded(6, len(cameras), height, width)
    if min(focal) <= 0.0:
        raise ValueError(f"fx and fy: a focal length must be more than 0, got {focal[0]} and {focal[1]}; 0.5 is usual.")
    across, down = focal[0] * width, focal[1] * height
    if width / height < _PROPORTIONS:  # focal lengths are told of a wider picture, of which this one is cut
        across = focal[0] * height * _PROPORTIONS
    else:
        down = focal[1] * width / _PROPORTIONS
    y, x = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    rays = torch.stack([(x - centre[0] * width) / across, (y - centre[1] * height) / down, torch.ones_like(x)])
    rays = rays / rays.norm(dim=0)
    back = cameras[:, :, :3].mT  # from the camera to the world
    origins = -(back @ cameras[:, :, 3:])[..., 0].float()
    directions = torch.einsum("fij,jhw->ifhw", back.float(), rays)
    moments = torch.linalg.cross(origins.T[:, :, None, None].expand_as(directions), directions, dim=0)
    return torch.cat([moments, directions])


def by_latent_frames(path: Tensor, frames: int) -> Tensor:
    """Return a path (6, F, H, W) as (1, 24, T, H, W), four pictures for each latent frame: the first is alone, four times."""
    whole = torch.cat([path[:, :1].expand(-1, frames - 1, -1, -1), path], dim=1)
    count = whole.shape[1] // frames
    pieces = torch.unflatten(whole[:, : count * frames], 1, (count, frames))
    return pieces.movedim(1, 2).flatten(0, 1)[None].contiguous()
