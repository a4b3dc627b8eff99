"""Predictions as pictures, by their formulas."""

from __future__ import annotations

import math

import pytest
import torch

from nodes.marigold import marigold_v2_post_process


def test_depth_is_near_bright_picture_by_picture():
    image = torch.zeros(2, 1, 3, 4)
    image[0, 0, :, :3] = torch.tensor([[0.1, 0.2, 0.3], [0.5, 0.5, 0.5], [0.9, 0.9, 1.2]])
    image[..., 3] = 0.7
    shown = marigold_v2_post_process(image, "depth")
    assert torch.allclose(shown[0, 0, :, 0], torch.tensor([1.0, 0.625, 0.0]))
    assert torch.equal(shown[..., 0], shown[..., 2])
    assert not shown[1].any()


def test_normals_have_length_one():
    image = torch.tensor([1.0, 0.5, 0.5, 0.75, 0.75, 0.5]).reshape(1, 1, 2, 3)
    shown = marigold_v2_post_process(image, "normals")
    half = 0.5 + math.sqrt(0.5) / 2
    assert torch.allclose(shown[0, 0], torch.tensor([[1.0, 0.5, 0.5], [half, half, 0.5]]), atol=1e-6)
    assert torch.isfinite(marigold_v2_post_process(torch.full((1, 1, 1, 3), 0.5), "normals")).all()


def test_albedo_is_srgb():
    image = torch.tensor([0.0, 0.002, 0.5, 1.0, 2.0, -1.0]).reshape(1, 1, 2, 3)
    wanted = [0.0, 12.92 * 0.002, 1.055 * 0.5 ** (1 / 2.4) - 0.055, 1.0, 1.0, 0.0]
    assert marigold_v2_post_process(image, "albedo").flatten().tolist() == pytest.approx(wanted, abs=1e-6)
