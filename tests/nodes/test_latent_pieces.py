"""Cutting latents to pieces and joining them; numbers that say where they came from."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from nodes.latent_pieces import latent_concat, latent_cut, latent_cut_to_batch


def counted(*shape: int, **more: Any) -> dict[str, Any]:
    """0, 1, 2, … in the order of memory."""
    count = int(torch.tensor(shape).prod())
    return {"samples": torch.arange(count, dtype=torch.float32).reshape(shape), **more}


@pytest.mark.parametrize(
    ("index", "amount", "columns"),
    [
        (1, 2, [1, 2]),
        (2, 9, [2, 3]),
        (9, 2, [3]),
        (-3, 2, [1, 2]),
        (-1, 5, [3]),
        (-9, 2, [0, 1]),
        (0, 16384, [0, 1, 2, 3]),
    ],
)
def test_a_cut_is_kept_within_the_latent(index: int, amount: int, columns: list[int]) -> None:
    samples = counted(1, 2, 3, 4)
    cut = latent_cut(samples, "x", index, amount)["samples"]
    assert torch.equal(cut, samples["samples"][..., columns])


def test_a_cut_goes_down_for_y_and_through_frames_for_t_and_keeps_what_else_there_is() -> None:
    video = counted(1, 2, 3, 4, 5, batch_index=[7])
    assert torch.equal(latent_cut(video, "y", 1, 2)["samples"], video["samples"][:, :, :, 1:3])
    frames = latent_cut(video, "t", 1, 16384)
    assert torch.equal(frames["samples"], video["samples"][:, :, 1:])
    assert frames["batch_index"] == [7]


@pytest.mark.parametrize(("dim", "axis"), [("x", 4), ("y", 3), ("t", 2)])
def test_latents_are_joined_along_each_direction_and_the_other_way_round(dim: str, axis: int) -> None:
    first, second = counted(2, 2, 3, 4, 5), {"samples": counted(2, 2, 3, 4, 5)["samples"] + 1000}
    parts = (first["samples"], second["samples"])
    assert torch.equal(latent_concat(first, second, dim)["samples"], torch.cat(parts, axis))  # type: ignore[arg-type]
    assert torch.equal(latent_concat(first, second, f"-{dim}")["samples"], torch.cat(parts[::-1], axis))  # type: ignore[arg-type]


def test_the_second_latent_is_repeated_to_the_batch_of_the_first_and_may_be_of_another_width() -> None:
    first, second = counted(3, 1, 1, 1), {"samples": torch.tensor([10.0, 11.0, 20.0, 21.0]).reshape(2, 1, 1, 2)}
    joined = latent_concat(first, second, "x")["samples"]
    assert joined.flatten(1).tolist() == [[0, 10, 11], [1, 20, 21], [2, 10, 11]]


def test_latents_that_do_not_fit_are_refused_with_both_shapes() -> None:
    with pytest.raises(ValueError, match=r"\(1, 2, 3, 4\) and \(1, 2, 4, 4\).*along x.*Scale or cut"):
        latent_concat(counted(1, 2, 3, 4), counted(1, 2, 4, 4), "x")
    with pytest.raises(ValueError, match="the same kind of model"):
        latent_concat(counted(1, 2, 3, 4), counted(1, 2, 1, 3, 4), "y")


def test_slices_of_one_latent_follow_one_another_and_the_rest_is_dropped() -> None:
    made = latent_cut_to_batch(counted(2, 1, 1, 5, batch_index=[3, 4]), "x", 2)
    cut = made.pop("samples")
    assert made == {}
    assert cut.shape == (4, 1, 1, 2)
    assert cut.flatten(1).tolist() == [[0, 1], [2, 3], [5, 6], [7, 8]]


def test_frames_become_a_batch_of_one_frame_each() -> None:
    video = counted(1, 2, 3, 2, 2)
    cut = latent_cut_to_batch(video, "t", 1)["samples"]
    assert cut.shape == (3, 2, 1, 2, 2)
    for frame in range(3):
        assert torch.equal(cut[frame, :, 0], video["samples"][0, :, frame])


def test_a_picture_has_no_frames_to_cut_and_a_slice_is_no_longer_than_the_latent() -> None:
    picture = counted(1, 4, 3, 2)
    assert latent_cut_to_batch(picture, "t", 1) is picture
    assert torch.equal(latent_cut_to_batch(picture, "y", 99)["samples"], picture["samples"])
