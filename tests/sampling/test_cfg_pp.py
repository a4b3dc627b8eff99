"""CFG++ samplers on predictions that differ: their first steps by hand, and where guidance is off."""

from __future__ import annotations

import math

import pytest
import torch

from engine.datatypes.parameterization import LatentFormat, Parameterization
from engine.denoising.records import LiveModel, Start
from engine.denoising.run import sample
from engine.sampling.denoisers import Branches
from engine.sampling.guiders import BasicGuidance, CfgGuidance, DualCfgGuidance
from engine.sampling.noise_schedule import NoiseSchedule
from engine.sampling.samplers import SAMPLERS

VE = NoiseSchedule(Parameterization())
FLOW = NoiseSchedule(Parameterization(prediction="flow", schedule="flow"))
PLAIN = {
    "euler_cfg_pp": "euler",
    "euler_ancestral_cfg_pp": "euler_ancestral",
    "dpmpp_2s_ancestral_cfg_pp": "dpmpp_2s_ancestral",
    "dpmpp_2m_cfg_pp": "dpmpp_2m",
    "res_multistep_cfg_pp": "res_multistep",
    "res_multistep_ancestral_cfg_pp": "res_multistep_ancestral",
    "gradient_estimation_cfg_pp": "gradient_estimation",
}


class Guided:
    """x_0 of 0.5 x guided and 0.2 x unconditional, or what `at` says of a level; counts its calls."""

    def __init__(self, at=lambda sigma: (0.5, 0.2)):
        self.at, self.calls = at, 0

    def __call__(self, x, sigma):
        return self.branches(x, sigma).guided

    def branches(self, x, sigma):
        self.calls += 1
        guided, unconditional = self.at(sigma)
        return Branches(guided * x, unconditional * x)


def run(name, sigmas, denoiser=None, *, schedule=VE, noise=0.0, **options):
    x = torch.ones(1, 1, 1, 1, dtype=torch.float64)
    sigmas = torch.tensor(sigmas, dtype=torch.float64)
    draw = lambda sigma, sigma_next: torch.full_like(x, noise)  # noqa: E731
    result = SAMPLERS[name](denoiser or Guided(), x, sigmas, schedule=schedule, noise_sampler=draw, **options)
    return result.item()


@pytest.mark.parametrize(("name", "expected"), [("euler", 0.75), ("euler_cfg_pp", 0.9)])
def test_the_slope_is_the_unconditional_ones(name, expected):
    assert run(name, [2.0, 1.0]) == pytest.approx(expected)


def test_in_a_whole_run_cfg_1_asks_for_the_unconditional_prediction_and_is_no_plain_euler():
    rows = []

    def network(x, t, context, **_):  # predicts x_0: 0.5 under the positive text, 0.2 under the other
        rows.append(len(x))
        return context.mean((1, 2)).reshape(-1, 1, 1, 1).expand_as(x)

    positive, negative = ([[torch.full((1, 2, 3), value), {}]] for value in (0.5, 0.2))
    results = {}
    for name in ("euler", "euler_cfg_pp"):
        rows.clear()
        results[name] = sample(
            live(network),
            Start(torch.zeros(1, 4, 2, 2), torch.full((1, 4, 2, 2), 0.5)),
            CfgGuidance(positive, negative, 1.0),
            torch.tensor([2.0, 1.0]),
            name,
        ).samples
        assert rows == [1 if name == "euler" else 2]
    assert results["euler"].unique().tolist() == pytest.approx([0.75])
    assert results["euler_cfg_pp"].unique().tolist() == pytest.approx([0.9])


def live(network):
    return LiveModel(network, NoiseSchedule(Parameterization(prediction="x0")), LatentFormat(channels=4, scale=1.0))


@pytest.mark.parametrize("guidance", ["basic", "dual", "nested"])
def test_every_guidance_has_a_prediction_to_take_for_the_unconditional_one(guidance):
    texts = [[[torch.full((1, 2, 3), value), {}]] for value in (0.5, 0.3, 0.2)]
    made = {
        "basic": BasicGuidance(texts[0]),
        "dual": DualCfgGuidance(*texts, cfg_conds=1.0, cfg_middle=1.0),
        "nested": DualCfgGuidance(*texts, cfg_conds=1.0, cfg_middle=1.0, nested=True),
    }
    result = sample(
        live(lambda x, t, context, **_: context.mean((1, 2)).reshape(-1, 1, 1, 1).expand_as(x)),
        Start(torch.zeros(1, 4, 2, 2), torch.full((1, 4, 2, 2), 0.5)),
        made[guidance],
        torch.tensor([2.0, 1.0]),
        "euler_cfg_pp",
    ).samples
    unconditional = {"basic": 0.5, "dual": 0.2, "nested": 0.3}[guidance]
    assert result.unique().tolist() == pytest.approx([0.5 + (1.0 - unconditional) / 2.0])


def test_a_flow_is_scaled_by_its_signal_share():
    # alpha 0.2 and 0.6: x = 0.6 * 0.5 + 0.4 * (1 - 0.2 * 0.2) / 0.8
    assert run("euler_cfg_pp", [0.8, 0.4], schedule=FLOW) == pytest.approx(0.3 + 0.4 * 0.96 / 0.8)
    # from pure noise there is no signal to take away
    assert run("euler_cfg_pp", [1.0, 0.4], schedule=FLOW) == pytest.approx(0.3 + 0.4)


def test_fresh_noise_is_added_in_x_over_alpha():
    # levels 4 and 2 / 3 of x / alpha
    up = 2 / 3 * math.sqrt(1 - (2 / 3 / 4) ** 2)
    down = math.sqrt((2 / 3) ** 2 - up**2)
    expected = 0.6 * (0.5 + down * (1 - 0.2 * 0.2) / 0.8) + 0.6 * up * 1.7
    assert run("euler_ancestral_cfg_pp", [0.8, 0.4], schedule=FLOW, noise=1.7) == pytest.approx(expected)


def test_the_multistep_forms_extrapolate_from_the_last_unconditional_prediction():
    at = lambda sigma: (0.5, 0.2) if sigma > 1.5 else (0.7, 0.1)  # noqa: E731
    x = 0.5 + 0.5 * (1.0 - 0.2)  # to level 1
    old, guided, unconditional = 0.2, 0.7 * x, 0.1 * x
    # from 1 to 0.25, h = log 4, the step before half as long
    h, r = math.log(4.0), 0.5
    keep = math.exp(-h)
    second_order = (1.0 - keep) / (2.0 * r) * (guided - old)
    expected = guided - keep * unconditional + second_order + keep * x
    assert run("dpmpp_2m_cfg_pp", [2.0, 1.0, 0.25], Guided(at)) == pytest.approx(expected)

    phi_1 = (1.0 - keep) / h
    phi_2 = (1.0 - phi_1) / h
    # deterministic steps lead to the next level: the old prediction lies r = 1/2 of a step back
    new_weight, old_weight = phi_1 + phi_2 / r, -phi_2 / r
    expected = keep * (x + guided - unconditional) + h * (new_weight * unconditional + old_weight * old)
    assert run("res_multistep_cfg_pp", [2.0, 1.0, 0.25], Guided(at)) == pytest.approx(expected)

    slope, before = (x - unconditional) / 1.0, (1.0 - 0.2) / 2.0
    expected = guided + slope * 0.25 + (2.0 - 1.0) * (slope - before) * (0.25 - 1.0)
    assert run("gradient_estimation_cfg_pp", [2.0, 1.0, 0.25], Guided(at)) == pytest.approx(expected)


def test_the_second_half_of_2s_takes_the_unconditional_prediction_there():
    at = lambda sigma: (0.5, 0.2) if sigma > 1.5 else (0.7, 0.1)  # noqa: E731
    keep = math.sqrt(0.5)  # to the middle of 2 and 1 in log sigma
    middle = keep * (1.0 + 0.5 - 0.2) + (1.0 - keep) * 0.5
    expected = 0.5 * (1.0 + 0.5 - 0.1 * middle) + 0.5 * 0.7 * middle
    assert run("dpmpp_2s_ancestral_cfg_pp", [2.0, 1.0], Guided(at), eta=0.0) == pytest.approx(expected)


@pytest.mark.parametrize("name", [name for name in PLAIN if "2s" not in name])  # that mixes two evaluations
def test_where_both_predictions_are_one_it_is_the_plain_sampler(name):
    denoiser = lambda x, sigma: torch.tanh(x / (1.0 + sigma))  # noqa: E731
    sigmas = [3.0, 1.7, 0.6, 0.2, 0.0]
    assert run(name, sigmas, denoiser, noise=0.3) == pytest.approx(run(PLAIN[name], sigmas, denoiser, noise=0.3))


@pytest.mark.parametrize("name", PLAIN)
def test_what_a_mask_keeps_comes_back_and_the_rest_is_made(name):
    latent = torch.randn(1, 4, 4, 4, generator=torch.Generator().manual_seed(1))
    mask = torch.zeros(1, 1, 4, 4)
    mask[..., 2:] = 1.0
    positive, negative = ([[torch.full((1, 2, 3), value), {}]] for value in (0.5, 0.2))
    result = sample(
        live(lambda x, t, context, **_: torch.tanh(x + context.mean((1, 2)).reshape(-1, 1, 1, 1))),
        Start(latent, torch.randn(1, 4, 4, 4, generator=torch.Generator().manual_seed(2)), mask),
        CfgGuidance(positive, negative, 1.5),
        torch.tensor([5.0, 2.0, 1.0, 0.0]),
        name,
    ).samples
    assert torch.equal(result[..., :2], latent[..., :2])
    assert torch.isfinite(result).all()
    assert (result[..., 2:] - latent[..., 2:]).abs().min() > 1e-3
