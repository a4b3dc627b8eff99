"""Sampling in parts gives what the KSampler gives."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from nodes import custom_sampling as c
from nodes import sigmas as s
from nodes.conditioning import text_encode
from nodes.loaders import checkpoint_loader
from nodes.model_sampling import rescale_cfg
from nodes.sampling import ksampler


@pytest.fixture
def model(bench):
    return checkpoint_loader(bench, "tiny.safetensors").MODEL


@pytest.fixture
def positive(bench):
    return text_encode(bench, "red apple", checkpoint_loader(bench, "tiny.safetensors").CLIP)


@pytest.fixture
def negative(bench):
    return text_encode(bench, "", checkpoint_loader(bench, "tiny.safetensors").CLIP)


def empty(channels: int = 4) -> dict[str, Any]:
    return {"samples": torch.zeros(1, channels, 8, 8)}


@pytest.mark.parametrize("sampler_name", ["euler", "euler_ancestral", "dpmpp_2m"])
def test_sampler_custom_equals_ksampler(bench, model, positive, negative, sampler_name):
    shared = {"positive": positive, "negative": negative, "cfg": 5.0}
    settings = {"seed": 3, "steps": 4, "sampler_name": sampler_name, "scheduler": "karras"}
    whole = ksampler(bench, model, latent_image=empty(), **settings, **shared)
    sampler, sigmas = c.ksampler_select(sampler_name), s.basic_scheduler(model, "karras", 4)
    parts = c.sampler_custom(
        bench, model, sampler=sampler, sigmas=sigmas, latent_image=empty(16), noise_seed=3, **shared
    )
    assert torch.allclose(parts.output["samples"], whole["samples"], atol=1e-5)


def test_sampler_custom_advanced_equals_sampler_custom(bench, model, positive, negative):
    sampler, sigmas = c.sampler_euler_ancestral(0.5, 1.0), s.basic_scheduler(model, "normal", 4)
    guided = rescale_cfg(model, 0.5)
    shared = {"sampler": sampler, "sigmas": sigmas, "latent_image": empty()}
    one = c.sampler_custom(bench, guided, positive=positive, negative=negative, noise_seed=3, cfg=5.0, **shared)
    guider = c.cfg_guider(guided, positive, negative, 5.0)
    two = c.sampler_custom_advanced(bench, c.random_noise(3), guider, **shared)
    assert torch.equal(one.output["samples"], two.output["samples"])


def test_the_denoised_output_is_the_clean_estimate_of_a_run_cut_short(bench, model, positive):
    sigmas = s.basic_scheduler(model, "normal", 6)
    high, _ = s.split_sigmas(sigmas, 2)
    guider, sampler = c.basic_guider(model, positive), c.ksampler_select("euler")
    cut = c.sampler_custom_advanced(bench, c.random_noise(3), guider, sampler, high, empty())
    full = c.sampler_custom_advanced(bench, c.random_noise(3), guider, sampler, sigmas, empty())
    assert not torch.allclose(cut.output["samples"], cut.denoised_output["samples"], atol=0.1)
    assert torch.allclose(full.output["samples"], full.denoised_output["samples"], atol=1e-4)


def test_split_runs_with_noise_disabled_in_the_second_equal_one_run(bench, model, positive):
    sigmas = s.basic_scheduler(model, "normal", 6)
    high, low = s.split_sigmas(sigmas, 2)
    guider, sampler = c.basic_guider(model, positive), c.ksampler_select("euler")
    first = c.sampler_custom_advanced(bench, c.random_noise(3), guider, sampler, high, empty())
    second = c.sampler_custom_advanced(bench, c.disable_noise(), guider, sampler, low, first.output)
    whole = c.sampler_custom_advanced(bench, c.random_noise(3), guider, sampler, sigmas, empty())
    assert torch.allclose(second.output["samples"], whole.output["samples"], atol=1e-4)


def test_a_dual_guider_with_equal_conditionings_is_plain_guidance(bench, model, positive, negative):
    sampler, sigmas = c.ksampler_select("euler"), s.basic_scheduler(model, "normal", 3)

    def run(guider: Any) -> torch.Tensor:
        return c.sampler_custom_advanced(bench, c.random_noise(1), guider, sampler, sigmas, empty()).output["samples"]

    plain = run(c.cfg_guider(model, positive, negative, 4.0))
    assert torch.allclose(run(c.dual_cfg_guider(model, positive, positive, negative, 9.0, 4.0)), plain, atol=1e-4)
    assert not torch.allclose(run(c.dual_cfg_guider(model, positive, negative, negative, 9.0, 4.0)), plain, atol=1e-2)


def test_noise_is_named_by_its_seed_and_none_is_all_zero():
    latent = {"samples": torch.zeros(2, 4, 4, 4)}
    assert c.random_noise(1).identity() == c.random_noise(1).identity() != c.random_noise(2).identity()
    assert not c.disable_noise().generate_noise(latent).any()
    drawn = c.random_noise(1).generate_noise(latent)
    assert drawn.shape == (2, 4, 4, 4)
    single = c.random_noise(1).generate_noise({"samples": latent["samples"][:1], "batch_index": [0]})
    assert torch.equal(single, drawn[:1])


def test_add_noise_adds_the_level_of_the_schedule(model):
    latent, sigmas = {"samples": torch.full((1, 4, 8, 8), 2.0)}, torch.tensor([5.0, 3.0, 1.0])
    noisy = c.add_noise(model, c.random_noise(4), sigmas, latent)["samples"]
    drawn = c.random_noise(4).generate_noise(latent)
    assert torch.allclose((noisy - 2.0) * model.latent.scale, drawn * 4.0, atol=1e-4)
    assert torch.equal(c.add_noise(model, c.random_noise(4), torch.zeros(0), latent)["samples"], latent["samples"])


def test_every_sampler_node_runs_with_its_options(bench, model, positive):
    sigmas, guider = s.basic_scheduler(model, "karras", 3), c.basic_guider(model, positive)
    made = [
        c.sampler_euler_ancestral(0.0, 1.0),
        c.sampler_lms(2),
        c.sampler_dpmpp_2s_ancestral(0.5, 1.0),
        c.sampler_dpmpp_sde(0.5, 1.0, 0.4),
        c.sampler_dpmpp_2m_sde("heun", 0.5, 1.0),
        c.sampler_dpmpp_3m_sde(0.5, 1.0),
        c.sampler_dpm_adaptive(order=2, rtol=1.0, atol=1.0, h_init=1.0),
        c.sampler_er_sde("Reverse-time SDE", 2, 0.5),
        c.sampler_lcm(1.02, 1.0, 2.0),
    ]
    for sampler in made:
        result = c.sampler_custom_advanced(bench, c.random_noise(1), guider, sampler, sigmas, empty())
        assert result.output["samples"].isfinite().all(), sampler.name


def test_an_option_changes_what_its_sampler_does(bench, model, positive):
    sigmas, guider = s.basic_scheduler(model, "karras", 4), c.basic_guider(model, positive)

    def run(sampler: Any) -> torch.Tensor:
        return c.sampler_custom_advanced(bench, c.random_noise(1), guider, sampler, sigmas, empty()).output["samples"]

    euler = run(c.ksampler_select("euler"))
    assert torch.allclose(run(c.sampler_euler_ancestral(0.0, 1.0)), euler, atol=1e-3)
    assert torch.allclose(run(c.sampler_lms(1)), euler, atol=1e-3)
    assert not torch.allclose(run(c.sampler_euler_ancestral(1.0, 1.0)), euler, atol=1e-1)


@pytest.mark.parametrize("told", [{"solver_type": "ODE"}, {"eta": 0.0}])
def test_er_sde_without_randomness_takes_no_noise_whatever_is_asked_for(told):
    assert c.sampler_er_sde(s_noise=1.5, **told).options["s_noise"] == 0.0
    assert c.sampler_er_sde(s_noise=1.5).options["s_noise"] == 1.5


def test_the_noise_device_is_in_the_samplers_name():
    nodes = (c.sampler_dpmpp_sde, c.sampler_dpmpp_2m_sde, c.sampler_dpmpp_3m_sde)
    assert [node(noise_device="cpu").name for node in nodes] == ["dpmpp_sde", "dpmpp_2m_sde", "dpmpp_3m_sde"]
    assert [node().name for node in nodes] == ["dpmpp_sde_gpu", "dpmpp_2m_sde_gpu", "dpmpp_3m_sde_gpu"]
