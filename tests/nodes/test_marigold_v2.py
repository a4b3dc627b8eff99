"""Predictions of Marigold V2 as pictures."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nodes.marigold_v2 import marigold_v2_post_process

RAW = torch.rand(2, 5, 7, 4, generator=torch.Generator().manual_seed(1)) * 1.2 - 0.1


def test_depth_goes_from_near_to_far_in_each_picture() -> None:
    depth = marigold_v2_post_process(RAW, "depth").numpy()
    assert depth.shape == (2, 5, 7, 3)
    for picture, raw in zip(depth, RAW[..., :3].mean(-1).numpy()):
        assert np.allclose(picture, ((raw.max() - raw) / np.ptp(raw))[..., None], atol=1e-6)
    assert not marigold_v2_post_process(torch.full((1, 2, 2, 3), 0.3), "depth").any()


def test_normals_have_the_length_of_one() -> None:
    normals = marigold_v2_post_process(RAW, "normals") * 2 - 1
    raw = RAW[..., :3] * 2 - 1
    assert torch.allclose(normals.norm(dim=-1), torch.ones(2, 5, 7), atol=1e-5)
    assert torch.allclose((normals * raw).sum(-1), raw.norm(dim=-1), atol=1e-5)


def test_albedo_is_encoded_as_srgb() -> None:
    found = marigold_v2_post_process(
        torch.tensor([-1.0, 0.002, 0.5, 2.0]).view(1, 1, 4, 1).expand(1, 1, 4, 3), "albedo"
    )
    assert found[0, 0, :, 0].tolist() == pytest.approx([0, 0.02584, 0.735357, 1], abs=1e-5)


@pytest.mark.parametrize("prediction", ["depth", "normals", "albedo"])
def test_what_is_no_number_does_not_spread(prediction: str) -> None:
    broken = RAW.clone()
    broken[0, 0, 0, 0] = float("nan")
    assert marigold_v2_post_process(broken, prediction).isfinite().all()
