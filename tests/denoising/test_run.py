from __future__ import annotations

import numpy as np
import pytest
import torch

from engine.datatypes.parameterization import LatentFormat, Parameterization
from engine.denoising.previews import latent_to_rgb, preview
from engine.denoising.records import LiveModel, Start, StepPlan
from engine.denoising.run import ksampler, sample
from engine.sampling.guiders import BasicGuidance, CfgGuidance
from engine.sampling.names import SAMPLER_NAMES
from engine.sampling.noise import initial_noise
from engine.sampling.noise_schedule import NoiseSchedule, fit_empty_latent
from engine.sampling.schedules import compute_sigmas

EPS, FLOW = Parameterization(), Parameterization(prediction="flow", schedule="flow", shift=2.0)
FORMAT = LatentFormat(channels=4, scale=0.18215)
TEXT = [[torch.linspace(0, 1, 12).reshape(1, 2, 6), {}]]
NO_TEXT = [[torch.zeros(1, 2, 6), {}]]


def network(x, t, context, *, concat=None, control=None, options=None):
    shape = (-1, 1, 1, 1)
    return torch.tanh(x + torch.roll(x, 1, 3)) * 0.8 + context.mean((1, 2)).reshape(shape) + t.reshape(shape) / 3000


def ks(latent, parameterization=EPS, **changes):
    run = {name: changes.pop(name) for name in ("callback", "add_noise") if name in changes}
    guidance = CfgGuidance(TEXT, NO_TEXT, changes.pop("cfg", 4.0))
    plan = StepPlan(**{"steps": 8, "sampler_name": "euler", "scheduler": "karras", **changes})
    return ksampler(live(network, parameterization), latent, guidance, plan, seed=5, **run)


def live(network, parameterization=EPS, latent_format=FORMAT):
    return LiveModel(network, NoiseSchedule(parameterization), latent_format)


def empty(batch=1):
    return {"samples": torch.zeros(batch, 4, 8, 8)}


def picture(seed=1):
    return torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(seed)) * 3


def test_a_latent_comes_back_in_the_vaes_space_with_its_other_entries():
    latent = {**empty(2), "batch_index": [4, 5], "downscale": 8}
    result = ks(latent)
    assert result["samples"].shape == (2, 4, 8, 8)
    assert result["batch_index"] == [4, 5]
    assert result["downscale"] == 8
    assert latent["samples"].count_nonzero() == 0


def test_results_have_the_version_counter_that_the_cache_reads():
    assert ks(empty())["samples"]._version >= 0


@pytest.mark.parametrize("parameterization", [EPS, FLOW], ids=["discrete", "flow"])
def test_from_an_empty_latent_euler_starts_at_pure_noise(parameterization):
    first = []
    ks(empty(), parameterization, callback=first.append)
    sigma = first[0].sigma
    noise = initial_noise(empty()["samples"], 5)
    expected = noise * (1 + sigma**2) ** 0.5 if parameterization is EPS else noise * sigma
    assert torch.allclose(first[0].x, expected, rtol=1e-5)


@pytest.mark.parametrize("parameterization", [EPS, FLOW], ids=["discrete", "flow"])
def test_with_denoise_below_one_it_starts_at_the_noised_picture(parameterization):
    first = []
    ks({"samples": picture()}, parameterization, denoise=0.5, callback=first.append)
    sigma, noise = first[0].sigma, initial_noise(picture(), 5)
    scaled = picture() * FORMAT.scale
    expected = scaled + sigma * noise if parameterization is EPS else (1 - sigma) * scaled + sigma * noise
    assert torch.allclose(first[0].x, expected, atol=1e-5)


def test_no_denoising_returns_the_latent_as_it_is():
    assert torch.equal(ks({"samples": picture()}, denoise=0.0)["samples"], picture())
    assert torch.equal(ks({"samples": picture()}, start_step=8)["samples"], picture())


@pytest.mark.parametrize("parameterization", [EPS, FLOW], ids=["discrete", "flow"])
def test_a_run_in_two_parts_is_the_whole_run(parameterization):
    whole = ks(empty(), parameterization)["samples"]
    first = ks(empty(), parameterization, last_step=3)
    second = ks(first, parameterization, start_step=3, add_noise=False)["samples"]
    assert torch.allclose(second, whole, atol=1e-3)


def test_a_part_that_is_told_to_leaves_no_noise():
    steps = []
    ks(empty(), last_step=3, force_full_denoise=True, callback=steps.append)
    assert len(steps) == 3
    left = ks(empty(), last_step=3)["samples"].std()
    assert ks(empty(), last_step=3, force_full_denoise=True)["samples"].std() < left


@pytest.mark.parametrize("name", SAMPLER_NAMES)
@pytest.mark.parametrize("parameterization", [EPS, FLOW], ids=["discrete", "flow"])
def test_inpainting_keeps_the_unmasked_part_bit_for_bit_and_changes_the_rest(name, parameterization):
    mask = torch.zeros(1, 1, 8, 8)
    mask[..., 4:] = 1.0
    result = ks({"samples": picture(), "noise_mask": mask}, parameterization, sampler_name=name)["samples"]
    assert torch.equal(result[..., :4], picture()[..., :4])
    assert (result[..., 4:] - picture()[..., 4:]).abs().mean() > 0.1


@pytest.mark.parametrize(("name", "seed"), [("euler", 5), ("ddim", 6)])
def test_under_a_mask_the_kept_part_is_at_the_level_of_each_step(name, seed):
    """Under the noise of the run; under that of the next seed for DDIM."""
    seen, mask = [], torch.zeros(1, 8, 8)

    def spy(x, t, context, **_):
        seen.append(x)
        return network(x, t, context)

    noise, kept_noise = initial_noise(picture(), 5), initial_noise(picture(), seed)
    sigmas = compute_sigmas(EPS, "karras", 4)
    sample(live(spy), Start(picture(), noise, mask, seed=5), BasicGuidance(TEXT), sigmas, name)
    assert len(seen) == 4
    for x, sigma in zip(seen, sigmas.tolist(), strict=False):
        expected = (picture() * FORMAT.scale + sigma * kept_noise) / (1 + sigma**2) ** 0.5
        assert torch.allclose(x, expected, atol=1e-5)


def test_a_noise_mask_of_the_pictures_size_is_fitted_to_the_latent():
    mask = torch.zeros(1, 64, 64)
    mask[:, :, 32:] = 1.0
    result = ks({"samples": picture(), "noise_mask": mask})["samples"]
    assert torch.equal(result[..., :3], picture()[..., :3])
    assert (result[..., 5:] - picture()[..., 5:]).abs().mean() > 0.1


def test_both_ends_of_a_run_are_returned():
    result = sample(
        live(network),
        Start(torch.zeros(1, 4, 8, 8), initial_noise(picture(), 0)),
        BasicGuidance(TEXT),
        compute_sigmas(EPS, "karras", 6)[:4],
    )
    assert result.samples.std() > result.denoised.std()


def test_a_latent_of_another_model_is_refused():
    with pytest.raises(ValueError, match=r"expected \(B, 4, h, w\) for this model, got \(1, 16, 8, 8\)"):
        ks({"samples": torch.ones(1, 16, 8, 8)})


def test_an_empty_latent_takes_the_models_channels():
    wide = LatentFormat(channels=16, scale=1.0)
    assert fit_empty_latent(torch.zeros(2, 4, 8, 8), wide).shape == (2, 16, 8, 8)
    assert fit_empty_latent(picture(), wide).shape == (1, 4, 8, 8)
    coarse = LatentFormat(channels=64, downscale=16, scale=1.0)
    assert fit_empty_latent(torch.zeros(2, 4, 8, 12), coarse).shape == (2, 64, 4, 6)
    assert fit_empty_latent(torch.zeros(2, 16, 8, 12), coarse).shape == (2, 64, 4, 6)
    assert fit_empty_latent(torch.zeros(2, 64, 8, 12), coarse).shape == (2, 64, 8, 12)
    of_frames = LatentFormat(channels=16, scale=1.0, axes=3)
    assert fit_empty_latent(torch.zeros(2, 4, 8, 12), of_frames).shape == (2, 16, 1, 8, 12)
    assert fit_empty_latent(torch.zeros(2, 16, 3, 8, 12), of_frames).shape == (2, 16, 3, 8, 12)
    assert fit_empty_latent(torch.ones(2, 16, 8, 12), of_frames).shape == (2, 16, 1, 8, 12)
    result = ksampler(
        live(network, EPS, wide),
        empty(2),
        CfgGuidance(TEXT, NO_TEXT, 2.0),
        StepPlan(steps=2, sampler_name="euler", scheduler="normal"),
        seed=1,
    )
    assert result["samples"].shape == (2, 16, 8, 8)


def test_guidance_scale_changes_the_result():
    low, high = ks(empty(), cfg=1.0)["samples"], ks(empty(), cfg=8.0)["samples"]
    assert not torch.allclose(low, high, atol=0.1)


def test_a_preview_is_the_formats_linear_map_of_the_prediction():
    latent_format = LatentFormat(
        channels=4, scale=0.5, rgb_factors=((0.1, 0, 0), (0, 0.1, 0), (0, 0, 0.1), (0, 0, 0)), rgb_bias=(0.5, 0.5, 0.5)
    )
    latent = torch.zeros(1, 4, 3, 2)
    latent[0, 0], latent[0, 1], latent[0, 2] = 5.0, -5.0, 1.0
    pixels = latent_to_rgb(latent, latent_format)
    assert pixels.shape == (3, 2, 3)
    assert pixels.dtype == np.uint8
    assert pixels[0, 0].tolist() == [255, 0, 153]
    steps = []
    ksampler(
        live(lambda x, t, context, **_: torch.zeros_like(x), EPS, latent_format),
        empty(),
        CfgGuidance(TEXT, NO_TEXT, 1.0),
        StepPlan(steps=3, sampler_name="euler", scheduler="karras"),
        seed=1,
        callback=lambda step: steps.append(preview(step, latent_format)),
    )
    assert [step.shape for step in steps] == [(256, 256, 3)] * 3


def test_a_preview_without_factors_stretches_three_channels_and_fits_a_size():
    latent_format = LatentFormat(channels=4, scale=1.0)
    pixels = latent_to_rgb(torch.randn(4, 40, 20), latent_format, max_side=10)
    assert pixels.shape == (10, 5, 3)
    assert pixels.max() == 255
    assert pixels.min() == 0
