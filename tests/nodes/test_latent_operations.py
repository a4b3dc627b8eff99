"""Operations on latents: their arithmetic, and where they are put."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy import ndimage

from engine.cache.digests import digest
from engine.sampling.guiders import BasicGuidance, CfgGuidance
from nodes.latent_operations import (
    latent_apply_operation,
    latent_apply_operation_cfg,
    latent_operation_blend,
    latent_operation_sharpen,
    latent_operation_tonemap_reinhard,
)
from tests.guided_runs import EPS, FLOW, by_hand, handle, made, text

POSITIVE, NEGATIVE = text(1), text(2)


def latent(*shape: int, seed: int = 3) -> dict[str, Any]:
    return {"samples": torch.randn(shape, generator=torch.Generator().manual_seed(seed)), "batch_index": [4, 7]}


def reinhard(x: np.ndarray, multiplier: float) -> np.ndarray:
    made_of = []
    for picture in x:
        length = np.sqrt((picture**2).sum(0))
        top = multiplier * (length.mean() + 5 * length.std(ddof=1))
        compressed = (length / top) / (1 + length / top) * top
        made_of.append(picture / length * compressed)
    return np.stack(made_of)


@pytest.mark.parametrize("shape", [(2, 4, 9, 7), (2, 16, 3, 5, 4)], ids=["picture", "frames"])
def test_reinhards_curve_shortens_vectors_and_keeps_their_directions(shape: tuple[int, ...]) -> None:
    samples = latent(*shape)
    found = latent_apply_operation(samples, latent_operation_tonemap_reinhard(0.7))
    expected = reinhard(samples["samples"].double().numpy(), 0.7)
    assert np.abs(found["samples"].numpy() - expected).max() < 1e-5
    assert found["batch_index"] == [4, 7]


def test_tone_mapping_of_nothing_and_to_nothing_is_nothing() -> None:
    empty = {"samples": torch.zeros(1, 4, 3, 3)}
    assert torch.equal(latent_apply_operation(empty, latent_operation_tonemap_reinhard())["samples"], empty["samples"])
    one = latent_apply_operation(latent(1, 4, 1, 1), latent_operation_tonemap_reinhard())["samples"]
    assert torch.allclose(one, latent(1, 4, 1, 1)["samples"] / 2, atol=1e-6)
    assert not latent_apply_operation(latent(1, 4, 3, 3), latent_operation_tonemap_reinhard(0.0))["samples"].any()


@pytest.mark.parametrize(("shape", "radius"), [((2, 4, 9, 7), 2), ((1, 4, 5, 3), 9)], ids=["usual", "beyond the edge"])
def test_sharpening_adds_what_a_blur_of_directions_takes_away(shape: tuple[int, ...], radius: int) -> None:
    samples = latent(*shape)
    found = latent_apply_operation(samples, latent_operation_sharpen(radius, 0.8, 0.3))["samples"]
    x = samples["samples"].double().numpy()
    length = np.sqrt((x**2).sum(1, keepdims=True)) + 1e-6
    at = np.arange(-radius, radius + 1)
    weights = np.exp(-(at**2) / (2 * (0.8 * radius) ** 2))
    weights /= weights.sum()
    blurred = x / length
    for axis in (2, 3):
        blurred = ndimage.correlate1d(blurred, weights, axis=axis, mode="mirror")
    expected = (x / length + 10 * 0.3 * (x / length - blurred)) * length
    assert np.abs(found.numpy() - expected).max() < 1e-4


def test_frames_are_sharpened_each_by_itself() -> None:
    samples, operation = latent(2, 4, 3, 6, 5), latent_operation_sharpen(2)
    found = latent_apply_operation(samples, operation)["samples"]
    for frame in range(3):
        alone = latent_apply_operation({"samples": samples["samples"][:, :, frame]}, operation)["samples"]
        assert torch.allclose(found[:, :, frame], alone, atol=1e-6)


def test_blending_goes_towards_a_reference_brought_to_size_and_repeated() -> None:
    samples, reference = latent(3, 4, 4, 6), latent(2, 4, 2, 3, seed=9)
    found = latent_apply_operation(samples, latent_operation_blend(reference, 0.25))["samples"]
    fitted = reference["samples"].repeat_interleave(2, 2).repeat_interleave(2, 3)[[0, 1, 0]]
    assert torch.allclose(found, 0.75 * samples["samples"] + 0.25 * fitted, atol=1e-6)
    whole = latent_apply_operation(samples, latent_operation_blend(reference, 0.0))["samples"]
    assert torch.equal(whole, samples["samples"])


def test_a_reference_of_another_model_is_refused_in_words() -> None:
    with pytest.raises(
        ValueError, match=r"LatentOperationBlend: the latent to blend is .* 4 channels; the reference is \(1, 16"
    ):
        latent_apply_operation(latent(1, 4, 4, 4), latent_operation_blend(latent(1, 16, 4, 4)))


@pytest.mark.parametrize("process", [EPS, FLOW], ids=["eps", "flow"])
def test_within_guidance_it_is_put_on_the_difference_of_predictions(process: Any) -> None:
    model = handle(process)

    def guided(x: torch.Tensor, sigma: float, found: list[torch.Tensor]) -> torch.Tensor:
        positive, negative = (x - sigma * one for one in found)
        difference = torch.from_numpy(reinhard((positive - negative).numpy(), 0.4))
        return (x - (negative + 6.0 * difference)) / sigma

    steered = latent_apply_operation_cfg(model, latent_operation_tonemap_reinhard(0.4))
    expected = by_hand(model, guided, POSITIVE, NEGATIVE)
    assert torch.allclose(made(steered, CfgGuidance(POSITIVE, NEGATIVE, 6.0)), expected, atol=1e-4)


def test_without_a_negative_it_is_put_on_the_prediction_within_its_range() -> None:
    model = handle(FLOW)
    reference = latent(1, 4, 3, 3)

    def guided(x: torch.Tensor, sigma: float, found: list[torch.Tensor]) -> torch.Tensor:
        clean = x - sigma * found[0]
        if first <= sigma <= last:
            fitted = torch.nn.functional.interpolate(reference["samples"], size=clean.shape[2:], mode="nearest")
            clean = clean + 0.5 * (fitted - clean)
        return (x - clean) / sigma

    shift = 3.0
    last, first = (shift * (1 - p) / (1 + (shift - 1) * (1 - p)) for p in (0.3, 0.8))
    steered = latent_apply_operation_cfg(model, latent_operation_blend(reference, 0.5), 0.3, 0.8)
    expected = by_hand(model, guided, POSITIVE)
    for how in (CfgGuidance(POSITIVE, NEGATIVE, 1.0), BasicGuidance(POSITIVE)):
        assert torch.allclose(made(steered, how), expected, atol=1e-4)


def test_models_are_named_by_the_operation_and_its_reference() -> None:
    model, reference = handle(), latent(1, 4, 3, 3)
    steered = [
        latent_apply_operation_cfg(model, operation)
        for operation in (
            latent_operation_blend(reference, 0.5),
            latent_operation_blend(reference, 0.6),
            latent_operation_blend(latent(1, 4, 3, 3, seed=8), 0.5),
            latent_operation_tonemap_reinhard(0.5),
        )
    ]
    assert len({model.identity(), *(one.identity() for one in steered)}) == 5
    assert digest(latent_operation_blend(reference)) == digest(latent_operation_blend(latent(1, 4, 3, 3)))
    assert digest(latent_operation_sharpen(3)) != digest(latent_operation_sharpen(4))


def test_a_function_of_a_pack_is_put_on_a_latent_and_refused_within_guidance() -> None:
    assert torch.equal(
        latent_apply_operation(latent(1, 4, 3, 3), lambda latent: latent * 2)["samples"],
        latent(1, 4, 3, 3)["samples"] * 2,
    )
    with pytest.raises(
        ValueError, match="LatentApplyOperationCFG: operation: expected an operation of a built-in node"
    ):
        latent_apply_operation_cfg(handle(), lambda latent: latent)
