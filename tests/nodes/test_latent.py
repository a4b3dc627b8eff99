from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nodes.latent import (
    empty_latent,
    empty_latent_of_16_channels,
    empty_latent_of_128_channels,
    latent_add,
    latent_batch,
    latent_batch_seed_behavior,
    latent_blend,
    latent_composite,
    latent_composite_masked,
    latent_crop,
    latent_flip,
    latent_from_batch,
    latent_interpolate,
    latent_multiply,
    latent_rotate,
    latent_subtract,
    latent_upscale,
    latent_upscale_by,
    rebatch_latents,
    repeat_latent_batch,
    set_latent_noise_mask,
)

FAST = settings(max_examples=25)


def latent(height: int = 4, width: int = 6, batch: int = 1, seed: int = 0, **more: Any) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(seed)
    return {"samples": torch.randn(batch, 4, height, width, generator=generator), **more}


def flat(value: float, height: int = 4, width: int = 4, batch: int = 1) -> dict[str, Any]:
    return {"samples": torch.full((batch, 4, height, width), value)}


def test_an_empty_latent_is_zeros_an_eighth_of_the_picture() -> None:
    samples = empty_latent(100, 64, 3)["samples"]
    assert samples.shape == (3, 4, 8, 12)
    assert samples.dtype == torch.float32
    assert (samples == 0).all()
    assert empty_latent_of_16_channels(100, 64, 3)["samples"].shape == (3, 16, 8, 12)


def test_upscaling_goes_by_pixels_of_the_picture_and_keeps_the_rest() -> None:
    mask = torch.ones(1, 1, 32, 48)
    result = latent_upscale(latent(noise_mask=mask, batch_index=[5]), "bilinear", 96, 64)
    assert result["samples"].shape == (1, 4, 8, 12)
    assert result["noise_mask"] is mask
    assert result["batch_index"] == [5]


@pytest.mark.parametrize(("width", "height", "size"), [(0, 128, (16, 24)), (192, 0, (16, 24)), (0, 0, (4, 6))])
def test_a_size_of_zero_keeps_proportions(width: int, height: int, size: tuple[int, int]) -> None:
    assert latent_upscale(latent(4, 6), "bislerp", width, height)["samples"].shape[2:] == size


@pytest.mark.parametrize(
    ("width", "height", "size"),
    [(16, 128, (16, 8)), (128, 8, (8, 16)), (0, 16, (8, 12)), (16, 0, (8, 8)), (8, 8, (8, 8))],
)
def test_an_upscaled_latent_is_at_least_eight_each_way(width: int, height: int, size: tuple[int, int]) -> None:
    assert latent_upscale(latent(4, 6), "area", width, height)["samples"].shape[2:] == size


def test_upscaling_by_a_factor_rounds() -> None:
    assert latent_upscale_by(latent(5, 7), "area", 1.5)["samples"].shape == (1, 4, 8, 10)


@pytest.mark.parametrize("method", ["nearest-exact", "bilinear", "area", "bicubic", "bislerp"])
def test_every_method_scales_latents_of_videos_frame_by_frame(method: str) -> None:
    video = torch.randn(2, 4, 3, 5, 6)
    result = latent_upscale({"samples": video}, method, 72, 64, "center")["samples"]
    assert result.shape == (2, 4, 3, 8, 9)
    frame = latent_upscale({"samples": video[:, :, 1]}, method, 72, 64, "center")["samples"]
    assert torch.allclose(result[:, :, 1], frame, atol=1e-6)


def bislerp(columns: list[list[float]], width: int) -> torch.Tensor:
    """A row of channel vectors (n, C) as a latent one pixel high, scaled to `width` pixels: (width, C)."""
    samples = torch.tensor(columns).T[None, :, None]
    return latent_upscale_by({"samples": samples}, "bislerp", width / len(columns))["samples"][0, :, 0].T


def test_bislerp_to_the_same_size_changes_nothing() -> None:
    samples = latent(8, 9)["samples"]
    assert torch.allclose(latent_upscale({"samples": samples}, "bislerp", 72, 64)["samples"], samples)


def test_bislerp_turns_directions_and_mixes_lengths() -> None:
    result = bislerp([[1.0, 0.0], [0.0, 3.0]], 4)
    quarter = torch.tensor(torch.pi / 8)
    assert torch.allclose(result[0], torch.tensor([1.0, 0.0]))
    assert torch.allclose(result[1], 1.5 * torch.stack([quarter.cos(), quarter.sin()]), atol=1e-6)
    assert torch.allclose(result[2], 2.5 * torch.stack([quarter.sin(), quarter.cos()]), atol=1e-6)
    assert torch.allclose(result[3], torch.tensor([0.0, 3.0]))


def test_bislerp_of_parallel_vectors_repeats_the_left_one() -> None:
    result = bislerp([[1.0, 2.0], [3.0, 6.0]], 4)
    assert result.tolist() == [[1, 2], [1, 2], [1, 2], [3, 6]]


def test_bislerp_of_opposite_vectors_mixes_them_linearly() -> None:
    result = bislerp([[1.0, 2.0], [-3.0, -6.0]], 4)
    assert torch.allclose(result, torch.tensor([[1.0, 2], [0, 0], [-2, -4], [-3, -6]]), atol=1e-6)


def test_bislerp_towards_nothing_fades_like_a_quarter_turn() -> None:
    result = bislerp([[2.0, 0.0], [0.0, 0.0]], 4)[:, 0]
    quarter = torch.tensor(torch.pi / 8)
    expected = [2.0, (2 * 0.75 * quarter.cos()).item(), (2 * 0.25 * quarter.sin()).item(), 0.0]
    assert result.tolist() == pytest.approx(expected, abs=1e-6)


def test_bislerp_keeps_the_strength_that_bilinear_loses() -> None:
    noise = torch.randn(1, 16, 16, 16, generator=torch.Generator().manual_seed(1))
    smooth = latent_upscale({"samples": noise}, "bilinear", 256, 256)["samples"]
    turned = latent_upscale({"samples": noise}, "bislerp", 256, 256)["samples"]
    assert smooth.std() < 0.75
    assert turned.std() > 0.95


def test_bislerp_of_zeros_and_opposites_stays_finite() -> None:
    samples = torch.tensor([[1.0, -1.0, 0.0, 0.0]]).view(1, 1, 1, 4)
    assert latent_upscale({"samples": samples}, "bislerp", 80, 16)["samples"].isfinite().all()


def test_a_composite_goes_by_pixels_and_is_cut_off_at_the_edges() -> None:
    result = latent_composite(flat(0.0, 3, 4), flat(1.0, 2, 2), 24, 16)["samples"]
    assert result[0, 0].tolist() == [[0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 1]]


def test_a_feathered_composite_fades_only_at_inner_edges() -> None:
    result = latent_composite(flat(0.0, 2, 6), flat(1.0, 2, 4), 16, 0, 16)["samples"]
    assert result[0, 0].tolist() == [[0, 0, 0.5, 1, 1, 1]] * 2
    result = latent_composite(flat(0.0, 2, 6), flat(1.0, 2, 4), 0, 0, 16)["samples"]
    assert result[0, 0].tolist() == [[1, 1, 1, 0.5, 0, 0]] * 2


def test_a_composite_that_is_cut_off_fades_within_what_is_left_of_it() -> None:
    result = latent_composite(flat(0.0, 3, 6), flat(1.0, 2, 9), 24, 0, 16)["samples"]
    assert result[0, 0].tolist() == [[0, 0, 0, 0.5, 1, 1], [0, 0, 0, 0.25, 0.5, 0.5], [0] * 6]


def test_a_fade_longer_than_the_source_comes_back_at_its_far_end() -> None:
    result = latent_composite(flat(0.0, 8, 8), flat(1.0, 8, 2), 0, 0, 40)["samples"][0, 0, 0, :2]
    assert result.tolist() == pytest.approx([2 / 5 * 4 / 5, 1 / 5])  # steps 2 and 1 of 5, and step 4 once more


def test_a_composite_under_a_mask_of_zeros_is_the_destination() -> None:
    below = latent(batch=2)
    result = latent_composite_masked(below, latent(3, 3, seed=1), 8, 8, mask=torch.zeros(1, 24, 24))
    assert torch.equal(result["samples"], below["samples"])


def test_a_mask_for_a_composite_is_scaled_from_pixels_to_the_latent() -> None:
    mask = torch.zeros(1, 16, 16)
    mask[:, :, 8:] = 1
    result = latent_composite_masked(flat(0.0), flat(1.0, 2, 2), 8, 8, mask=mask)["samples"]
    assert result[0, 0, 1:3].tolist() == [[0, 0, 1, 0]] * 2


def test_a_masked_composite_of_videos_covers_every_frame() -> None:
    below, above = torch.zeros(1, 4, 3, 2, 2), torch.ones(1, 4, 3, 2, 2)
    mask = torch.tensor([[[1.0, 0.0], [0.5, 0.0]]])
    result = latent_composite_masked({"samples": below}, {"samples": above}, mask=mask)["samples"]
    assert result[0, 2, 1].tolist() == [[1, 0], [0.5, 0]]


@pytest.mark.parametrize("combine", [latent_composite, latent_composite_masked, latent_batch, latent_blend, latent_add])
def test_latents_of_different_kinds_of_model_are_refused_with_their_shapes(combine: Any) -> None:
    with pytest.raises(ValueError, match=r"\(1, 16, 4, 4\)"):
        combine(flat(0.0), {"samples": torch.zeros(1, 16, 4, 4)})


def test_calculating_with_latents() -> None:
    one, two = flat(1.0), flat(2.0)
    assert (latent_add(one, two)["samples"] == 3).all()
    assert (latent_subtract(one, two)["samples"] == -1).all()
    assert (latent_multiply(two, -1.5)["samples"] == -3).all()
    assert torch.allclose(latent_blend(one, two, 0.25)["samples"], torch.tensor(1.75))


def test_blending_repeats_the_shorter_batch() -> None:
    assert latent_blend(flat(1.0), flat(2.0, batch=3), 0.5)["samples"].shape[0] == 3
    assert latent_blend(flat(1.0, batch=3), flat(2.0), 0.5)["samples"].shape[0] == 3


@pytest.mark.parametrize(
    ("combine", "expected"),
    [
        (latent_add, [8, 9, 8]),
        (latent_subtract, [6, 5, 6]),
        (lambda one, two: latent_interpolate(one, two, 1.0), [7] * 3),
    ],
)
def test_calculating_fits_the_second_latent_to_the_first_and_repeats_it_or_cuts_it(
    combine: Any, expected: list[float]
) -> None:
    second = {"samples": torch.tensor([1.0, 2.0]).view(2, 1, 1, 1).expand(2, 4, 8, 8)}
    result = combine({**flat(7.0, 4, 6, batch=3), "batch_index": [7, 8, 9]}, second)
    assert result["samples"].shape == (3, 4, 4, 6)
    assert result["samples"][:, 0, 1, 1].tolist() == pytest.approx(expected)
    assert result["batch_index"] == [7, 8, 9]
    cut = combine(flat(7.0), second)["samples"]
    assert cut[:, 0, 0, 0].tolist() == pytest.approx(expected[:1])


@FAST
@given(st.floats(0, 1))
def test_interpolating_mixes_directions_and_lengths_apart(ratio: float) -> None:
    first = torch.tensor([4.0, 0.0]).view(1, 2, 1, 1)
    second = torch.tensor([0.0, 2.0]).view(1, 2, 1, 1)
    mixed = latent_interpolate({"samples": first}, {"samples": second}, ratio)["samples"].flatten()
    assert mixed.norm().item() == pytest.approx(4 * ratio + 2 * (1 - ratio), rel=1e-5)
    assert mixed[0].item() * (1 - ratio) == pytest.approx(mixed[1].item() * ratio, abs=1e-5)


def test_interpolating_with_an_empty_latent_has_no_holes() -> None:
    mixed = latent_interpolate(latent(), {"samples": torch.zeros(1, 4, 4, 6)}, 0.5)["samples"]
    assert torch.allclose(mixed, latent()["samples"] / 2, atol=1e-6)


def test_batching_keeps_track_of_the_noise_of_each() -> None:
    result = latent_batch(latent(batch=2), latent(5, 5, batch=2, seed=1, batch_index=[4, 9]))
    assert result["samples"].shape == (4, 4, 4, 6)
    assert result["batch_index"] == [0, 1, 4, 9]
    assert "noise_mask" not in result


def test_batching_keeps_the_noise_mask_of_the_first_only() -> None:
    mask = torch.zeros(1, 1, 32, 48)
    assert latent_batch(latent(batch=2, noise_mask=mask), latent(batch=3))["noise_mask"] is mask
    assert "noise_mask" not in latent_batch(latent(batch=2), latent(batch=3, noise_mask=mask))


def test_repeating_gives_every_copy_new_noise() -> None:
    masks = torch.arange(2.0).view(2, 1, 1, 1).expand(2, 1, 8, 8)
    result = repeat_latent_batch(latent(batch=2, batch_index=[3, 5], noise_mask=masks), 3)
    assert result["samples"].shape[0] == 6
    assert result["batch_index"] == [3, 5, 6, 8, 9, 11]
    assert result["noise_mask"][:, 0, 0, 0].tolist() == [0, 1, 0, 1, 0, 1]


def test_repeating_a_latent_with_one_mask_keeps_the_one() -> None:
    result = repeat_latent_batch(latent(noise_mask=torch.ones(1, 1, 8, 8)), 3)
    assert result["noise_mask"].shape[0] == 1
    assert "batch_index" not in result


def test_repeating_repeats_the_noise_masks_as_many_as_there_are() -> None:
    masks = torch.arange(2.0).view(2, 1, 1, 1).expand(2, 1, 8, 8)
    result = repeat_latent_batch(latent(batch=3, noise_mask=masks), 2)
    assert result["noise_mask"][:, 0, 0, 0].tolist() == [0, 1, 0, 1]


def test_latents_taken_from_a_batch_keep_their_noise_and_mask() -> None:
    masks = torch.arange(4.0).view(4, 1, 1, 1).expand(4, 1, 8, 8)
    result = latent_from_batch(latent(batch=4, noise_mask=masks), 2, 9)
    assert torch.equal(result["samples"], latent(batch=4)["samples"][2:])
    assert result["batch_index"] == [2, 3]
    assert result["noise_mask"][:, 0, 0, 0].tolist() == [2, 3]
    assert latent_from_batch(latent(batch=4), 99, 1)["batch_index"] == [3]


def test_taking_twice_from_a_batch_still_names_the_first_noise() -> None:
    once = latent_from_batch(latent(batch=4), 1, 3)
    assert latent_from_batch(once, 1, 1)["batch_index"] == [2]


def test_a_latent_taken_from_a_batch_shares_a_single_mask() -> None:
    result = latent_from_batch(latent(batch=4, noise_mask=torch.ones(1, 1, 8, 8)), 2, 1)
    assert result["noise_mask"].shape[0] == 1


def test_the_noise_of_a_batch_is_made_the_same_or_different() -> None:
    given_latent = latent(batch=3, batch_index=[4, 5, 6])
    assert latent_batch_seed_behavior(given_latent, "fixed")["batch_index"] == [4, 4, 4]
    assert latent_batch_seed_behavior(latent(batch=2), "fixed")["batch_index"] == [0, 0]
    assert "batch_index" not in latent_batch_seed_behavior(given_latent, "random")


def test_rebatching_deals_latents_out_again_with_noise_counted_through_the_list() -> None:
    batches = rebatch_latents(
        [latent(batch=3), latent(batch=2), latent(batch=2, batch_index=[8, 9]), latent(5, 5)], [2]
    )
    assert [batch["batch_index"] for batch in batches] == [[0, 1], [2, 3], [4, 8], [9], [7]]
    assert [tuple(batch["samples"].shape) for batch in batches] == [(2, 4, 4, 6)] * 3 + [(1, 4, 4, 6), (1, 4, 5, 5)]


def test_rebatching_gives_each_its_noise_mask_and_drops_those_of_ones() -> None:
    mask = torch.zeros(1, 1, 32, 48)
    batches = rebatch_latents([latent(batch=2), latent(batch=3, noise_mask=mask)], [3])
    assert batches[0]["noise_mask"].mean((1, 2, 3)).tolist() == [1, 1, 0]
    assert batches[1]["noise_mask"].mean() == 0
    assert "noise_mask" not in rebatch_latents([latent(batch=2), latent(batch=3, noise_mask=mask)], [2])[0]


def test_a_noise_mask_gets_a_channel_dimension() -> None:
    result = set_latent_noise_mask(latent(), torch.rand(2, 32, 48))
    assert result["noise_mask"].shape == (2, 1, 32, 48)
    assert set_latent_noise_mask(latent(), torch.rand(32, 48))["noise_mask"].shape == (1, 1, 32, 48)


@pytest.mark.parametrize(("method", "axis"), [("x-axis: vertically", 2), ("y-axis: horizontally", 3)])
def test_flipping_leaves_the_noise_mask_as_it_is(method: str, axis: int) -> None:
    given_latent = latent(noise_mask=torch.rand(1, 1, 32, 48))
    flipped = latent_flip(given_latent, method)
    assert torch.equal(flipped["samples"], given_latent["samples"].flip(axis))
    assert flipped["noise_mask"] is given_latent["noise_mask"]


def test_a_quarter_turn_is_clockwise_and_leaves_the_noise_mask_as_it_is() -> None:
    given_latent = latent(2, 3, noise_mask=torch.rand(1, 1, 16, 24))
    turned = latent_rotate(given_latent, "90 degrees")
    assert turned["samples"].shape[2:] == (3, 2)
    assert torch.equal(turned["samples"][..., 0, 1], given_latent["samples"][..., 0, 0])
    assert turned["noise_mask"] is given_latent["noise_mask"]


def test_a_crop_goes_by_pixels_and_leaves_the_noise_mask_as_it_is() -> None:
    mask = torch.rand(1, 1, 160, 128)
    result = latent_crop(latent(20, 16, noise_mask=mask), 64, 512, 8, 16)
    assert torch.equal(result["samples"], latent(20, 16)["samples"][..., 2:, 1:9])
    assert result["noise_mask"] is mask


@pytest.mark.parametrize(("x", "y"), [(96, 128), (72, 104), (4096, 16384)])
def test_a_crop_that_begins_near_the_edge_or_outside_moves_back_to_eight_before_it(x: int, y: int) -> None:
    samples = latent(20, 16)["samples"]
    assert torch.equal(latent_crop({"samples": samples}, 64, 64, x, y)["samples"], samples[..., 12:, 8:])


def test_a_latent_smaller_than_eight_is_cut_from_its_beginning() -> None:
    samples = latent(4, 6)["samples"]
    assert torch.equal(latent_crop({"samples": samples}, 64, 64, 16, 0)["samples"], samples)


def test_the_latents_of_flux_2_have_128_channels_and_stand_for_16_pixels() -> None:
    made = empty_latent_of_128_channels(64, 32, 2)["samples"]
    assert made.shape == (2, 128, 2, 4)
    assert not made.any()
