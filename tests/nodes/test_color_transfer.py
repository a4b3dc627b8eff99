"""Colours of one picture for others, against the papers' definitions and numpy."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nodes.color_transfer import _from_lab, _to_lab, color_transfer

PER_FRAME, UNIFORM = {"source_stats": "per_frame"}, {"source_stats": "uniform"}


def frame(index: int) -> dict:
    return {"source_stats": "target_frame", "target_index": index}


def narrow(seed: int, channels: int = 3, batch: int = 1, low: float = 0.3, high: float = 0.6) -> torch.Tensor:
    """Pictures of colours well within the gamut, so that nothing is cut."""
    noise = torch.rand(batch, 24, 20, channels, generator=torch.Generator().manual_seed(seed))
    noise[..., :3] = low + (high - low) * noise[..., :3].mean(-1, keepdim=True).lerp(noise[..., :3], 0.4)
    return noise


def test_lab_has_the_values_of_cie_15() -> None:
    colours = torch.tensor([[1.0, 1, 1], [1, 0, 0], [0, 0, 1], [0.5, 0.5, 0.5]])
    wanted = [[100, 0, 0], [53.24, 80.09, 67.20], [32.30, 79.19, -107.86], [53.39, 0, 0]]
    assert torch.allclose(_to_lab(colours), torch.tensor(wanted), atol=0.02)
    assert torch.allclose(_from_lab(_to_lab(colours)), colours, atol=1e-4)


@pytest.mark.parametrize("method", ["reinhard_lab", "mkl_lab"])
def test_the_statistics_become_those_of_the_reference(method: str) -> None:
    target, reference = narrow(1, channels=4), narrow(2, low=0.35, high=0.55)
    result = color_transfer(target, reference, method, PER_FRAME)
    assert torch.equal(result[..., 3], target[..., 3])
    found, wanted = (_to_lab(one[..., :3].reshape(-1, 3)).double().numpy() for one in (result, reference))
    assert np.allclose(found.mean(0), wanted.mean(0), atol=0.05)
    assert np.allclose(found.std(0), wanted.std(0), atol=0.05)
    if method == "mkl_lab":
        assert np.allclose(np.cov(found.T), np.cov(wanted.T), atol=0.1)


def test_the_mapping_is_the_symmetric_one_of_least_change() -> None:
    from scipy.linalg import sqrtm

    target, reference = narrow(1), narrow(2, low=0.35, high=0.55)
    before, after = (_to_lab(one.reshape(-1, 3)).double().numpy() for one in (target, reference))
    s, r = (np.cov(one.T, bias=True) for one in (before, after))
    root = np.real(sqrtm(s))
    change = np.linalg.inv(root) @ np.real(sqrtm(root @ r @ root)) @ np.linalg.inv(root)
    wanted = _from_lab(torch.from_numpy((before - before.mean(0)) @ change + after.mean(0)).float())
    assert torch.allclose(color_transfer(target, reference, "mkl_lab", PER_FRAME).view(-1, 3), wanted, atol=1e-4)


def test_histograms_are_matched_as_numpy_does_it() -> None:
    target, reference = narrow(1), narrow(2, low=0.1, high=0.9)[:, :10]
    result = color_transfer(target, reference, "histogram", PER_FRAME)
    for channel in range(3):
        source, wanted = (one[..., channel].numpy().ravel() for one in (target, reference))
        _, places, counts = np.unique(source, return_inverse=True, return_counts=True)
        values, value_counts = np.unique(wanted, return_counts=True)
        matched = np.interp(np.cumsum(counts) / source.size, np.cumsum(value_counts) / wanted.size, values)
        assert np.allclose(result[..., channel].numpy().ravel(), matched[places], atol=1e-5)


def test_frames_are_measured_alone_together_or_one_for_all() -> None:
    target = torch.cat([narrow(1), narrow(2, low=0.4, high=0.5)])
    reference = narrow(3, low=0.35, high=0.55)

    def mean(image: torch.Tensor) -> float:
        return float(_to_lab(image.reshape(-1, 3))[:, 0].mean())

    each = color_transfer(target, reference, "reinhard_lab", PER_FRAME)
    assert mean(each[:1]) == pytest.approx(mean(each[1:]), abs=0.05)
    together = color_transfer(target, reference, "reinhard_lab", UNIFORM)
    assert mean(together) == pytest.approx(mean(reference), abs=0.05)
    first = color_transfer(target, reference, "reinhard_lab", frame(0))
    assert torch.allclose(first[0], each[0], atol=1e-5)
    assert not torch.allclose(first[1], each[1], atol=1e-2)
    last = color_transfer(target, reference, "histogram", frame(99))
    assert torch.allclose(last[1], color_transfer(target[1:], reference, "histogram", PER_FRAME)[0], atol=1e-5)


def test_histograms_of_frames_go_to_the_frame_of_their_number() -> None:
    target, references = narrow(1, batch=3), torch.cat([narrow(2), narrow(3, low=0.1)])
    result = color_transfer(target, references, "histogram", PER_FRAME)
    for index, other in enumerate((0, 1, 1)):
        alone = color_transfer(target[index : index + 1], references[other : other + 1], "histogram", PER_FRAME)
        assert torch.equal(result[index : index + 1], alone)


def test_strength_mixes_and_flat_pictures_have_no_shape_to_match() -> None:
    target, reference = narrow(1), narrow(2)
    assert color_transfer(target, reference, "mkl_lab", PER_FRAME, 0.0) is target
    whole, half = (color_transfer(target, reference, "mkl_lab", PER_FRAME, share) for share in (1.0, 0.5))
    assert torch.allclose(half, (target + whole) / 2, atol=1e-6)
    flat = torch.full((1, 3, 3, 3), 0.4)
    for method in ("reinhard_lab", "mkl_lab", "histogram"):
        assert color_transfer(flat, reference, method, PER_FRAME).isfinite().all()
        assert torch.allclose(color_transfer(target, flat, method, UNIFORM), flat[0, 0, 0].expand_as(target), atol=1e-3)


@pytest.mark.parametrize(("target", "reference"), [(0, 1), (1, 0)])
def test_empty_batches_are_refused(target: int, reference: int) -> None:
    with pytest.raises(ValueError, match="is empty"):
        color_transfer(torch.zeros(target, 4, 4, 3), torch.zeros(reference, 4, 4, 3), "reinhard_lab", frame(0))
