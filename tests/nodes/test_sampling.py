"""KSampler and KSamplerAdvanced on a tiny real model."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from engine.authoring.decorator import definition_of
from engine.datatypes.parameterization import Parameterization
from engine.graph.schema import Catalogue
from engine.graph.values import Values, WrongValueError
from nodes.conditioning import text_encode
from nodes.loaders import checkpoint_loader
from nodes.model_sampling import model_sampling_discrete, rescale_cfg
from nodes.sampling import ksampler, ksampler_advanced
from nodes.sigmas import basic_scheduler


@pytest.fixture
def model(bench):
    return checkpoint_loader(bench, "tiny.safetensors").MODEL


@pytest.fixture
def prompts(bench):
    clip = checkpoint_loader(bench, "tiny.safetensors").CLIP
    texts = {name: text_encode(bench, text, clip) for name, text in {"positive": "red apple", "negative": ""}.items()}
    return {**texts, "sampler_name": "euler", "scheduler": "normal"}


def empty(batch: int = 1, channels: int = 4, side: int = 8) -> dict[str, Any]:
    return {"samples": torch.zeros(batch, channels, side, side)}


def test_the_same_seed_gives_the_same_latent_and_another_seed_another(bench, model, prompts):
    def run(seed: int) -> torch.Tensor:
        return ksampler(bench, model, latent_image=empty(), seed=seed, steps=3, cfg=3.0, **prompts)["samples"]

    assert torch.equal(run(1), run(1))
    assert not torch.allclose(run(1), run(2))


def test_an_empty_latent_of_other_channels_takes_those_of_the_model(bench, model, prompts):
    wide, own = (ksampler(bench, model, latent_image=empty(channels=c), steps=2, **prompts) for c in (16, 4))
    assert torch.equal(wide["samples"], own["samples"])


def test_a_latent_of_another_model_is_refused_with_both_shapes(bench, model, prompts):
    full = {"samples": torch.ones(1, 16, 8, 8)}
    with pytest.raises(ValueError, match=r"4 channels.*\(1, 16, 8, 8\)"):
        ksampler(bench, model, latent_image=full, steps=2, **prompts)


def test_a_latent_of_no_numbers_is_told_of(bench, model, prompts):
    broken = {"samples": torch.full((1, 4, 8, 8), float("nan"))}
    ksampler(bench, model, latent_image=broken, steps=1, **prompts)
    (told,) = bench.warned
    assert told.startswith("The latent came out of sampling with NaN")


def test_every_step_is_told_and_shown(bench, model, prompts):
    ksampler(bench, model, latent_image=empty(), steps=4, **prompts)
    assert bench.told == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert [picture.shape for picture in bench.previews] == [(256, 256, 3)] * 4


def test_a_cancelled_job_stops_at_the_next_step(bench, model, prompts):
    class Stopped(BaseException):
        pass

    def stop_at_two(value: float, total: float) -> None:
        if value == 2:
            raise Stopped

    bench.progress = stop_at_two
    with pytest.raises(Stopped):
        ksampler(bench, model, latent_image=empty(), steps=50, **prompts)
    assert len(bench.previews) == 1
    bench.progress = lambda value, total: None
    assert ksampler(bench, model, latent_image=empty(), steps=1, **prompts)["samples"].isfinite().all()


def test_denoise_zero_returns_the_latent_and_a_little_denoise_stays_near_it(bench, model, prompts):
    given = {"samples": torch.randn(1, 4, 8, 8) * 5}
    kept = ksampler(bench, model, latent_image=given, steps=4, denoise=0.0, **prompts)["samples"]
    assert torch.allclose(kept, given["samples"], atol=1e-5)
    near, far = (
        (ksampler(bench, model, latent_image=given, steps=4, denoise=d, **prompts)["samples"] - given["samples"]).norm()
        for d in (0.1, 0.9)
    )
    assert near < far


def test_a_batch_index_redraws_single_pictures_of_a_batch(bench, model, prompts):
    whole = {**empty(3), "batch_index": [0, 1, 2]}
    one = {**empty(1), "batch_index": [2]}
    batch, single = (ksampler(bench, model, latent_image=x, steps=2, **prompts) for x in (whole, one))
    assert torch.allclose(batch["samples"][2:], single["samples"], atol=1e-2)  # values reach 100
    assert single["batch_index"] == [2]


def test_the_unmasked_part_is_kept_exactly(bench, model, prompts):
    mask = torch.zeros(1, 1, 64, 64)
    mask[..., :32] = 1.0
    given = {"samples": torch.randn(1, 4, 8, 8), "noise_mask": mask}
    result = ksampler(bench, model, latent_image=given, steps=3, **prompts)
    assert torch.allclose(result["samples"][..., 4:], given["samples"][..., 4:], atol=1e-5)
    assert not torch.allclose(result["samples"][..., :4], given["samples"][..., :4], atol=0.1)
    assert torch.equal(result["noise_mask"], mask)


def test_two_advanced_samplers_share_one_run(bench, model, prompts):
    arguments = {"noise_seed": 5, "steps": 6, "cfg": 3.0, **prompts}
    whole = ksampler_advanced(bench, model, latent_image=empty(), **arguments)
    first = ksampler_advanced(
        bench, model, latent_image=empty(), end_at_step=2, return_with_leftover_noise="enable", **arguments
    )
    second = ksampler_advanced(bench, model, latent_image=first, add_noise="disable", start_at_step=2, **arguments)
    plain = ksampler(bench, model, latent_image=empty(), seed=5, steps=6, cfg=3.0, **prompts)
    assert torch.allclose(second["samples"], whole["samples"], atol=1e-4)
    assert torch.allclose(plain["samples"], whole["samples"], atol=1e-5)
    assert not torch.allclose(first["samples"], whole["samples"], atol=0.1)


def test_guidance_one_ignores_the_negative(bench, model, prompts):
    other = {**prompts, "negative": prompts["positive"]}
    one, same = (ksampler(bench, model, latent_image=empty(), steps=2, cfg=1.0, **p) for p in (prompts, other))
    assert torch.equal(one["samples"], same["samples"])


def test_prediction_type_and_guidance_rescale_are_the_models(bench, model, prompts):
    def run(changed: Any) -> torch.Tensor:
        return ksampler(bench, changed, latent_image=empty(), steps=3, cfg=6.0, **prompts)["samples"]

    plain = run(model)
    assert not torch.allclose(run(model_sampling_discrete(model, "v_prediction")), plain, atol=1e-2)
    assert not torch.allclose(run(rescale_cfg(model, 0.7)), plain, atol=1e-3)
    assert torch.allclose(run(rescale_cfg(model, 0.0)), plain, atol=1e-6)
    assert torch.equal(run(model), plain)


def test_zero_terminal_snr_starts_from_more_noise(model):
    zero = model_sampling_discrete(model, "v_prediction", zsnr=True).parameterization
    assert (zero.prediction, zero.zero_terminal_snr) == ("v", True)
    assert model.parameterization.zero_terminal_snr is False


def test_a_model_may_be_read_as_one_for_few_steps_or_from_picture_to_picture(bench, model, prompts):
    def run(sampling: str, sampler_name: str) -> torch.Tensor:
        changed = model_sampling_discrete(model, sampling)
        arguments = {"steps": 4, "cfg": 1.0, "sampler_name": sampler_name, "scheduler": "sgm_uniform", **prompts}
        return ksampler(bench, changed, latent_image=empty(), **arguments)["samples"]

    assert not torch.allclose(run("lcm", "lcm"), run("eps", "lcm"), atol=1e-2)
    assert not torch.allclose(run("img_to_img", "euler"), run("x0", "euler"), atol=1e-2)
    levels = basic_scheduler(model_sampling_discrete(model, "lcm"), "sgm_uniform", 4)
    assert levels.tolist() == pytest.approx([14.615, 4.171, 1.668, 0.733, 0.0], abs=5e-4)


def test_a_flow_read_as_another_prediction_is_no_flow_any_more(model):
    flow = model.with_parameterization(Parameterization(prediction="flow", schedule="flow"))
    assert model_sampling_discrete(flow, "eps").parameterization == Parameterization()


def test_no_sampler_writes_into_the_latent_it_is_given(bench, model, prompts):
    given = {"samples": torch.randn(1, 4, 8, 8)}
    kept = given["samples"].clone()
    ksampler(bench, model, latent_image=given, steps=2, denoise=0.5, **prompts)
    assert torch.equal(given["samples"], kept)


def test_a_schedule_that_is_offered_no_more_is_still_taken(bench, model, prompts):
    inputs = {one.name: one for one in definition_of(ksampler).spec.inputs}
    menu = inputs["scheduler"]
    assert "polyexponential" not in menu.choices
    values = Values(Catalogue([definition_of(ksampler).spec]), lambda files: ())
    assert values.convert(menu, "polyexponential") == "polyexponential"
    with pytest.raises(WrongValueError):
        values.convert(menu, "polynomial")
    given = {**prompts, "scheduler": "polyexponential"}
    result = ksampler(bench, model, latent_image=empty(), steps=2, **given)
    assert result["samples"].isfinite().all()
