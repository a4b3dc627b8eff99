"""Small parts of samplers and of their networks, each against its formula."""

from __future__ import annotations

import math

import pytest
import torch

from engine.datatypes.parameterization import Parameterization
from engine.sampling.denoisers import denoised, input_scale
from engine.sampling.noise_schedule import NoiseSchedule
from engine.sampling.samplers.euler import churn
from engine.sampling.samplers.steps import plain_split

SIGMA = 2.0


@pytest.mark.parametrize("prediction", ["eps", "v", "x0", "flow"])
def test_x0_comes_back_from_what_each_kind_of_network_predicts(prediction: str) -> None:
    flow = prediction == "flow"
    schedule = NoiseSchedule(Parameterization(prediction=prediction, schedule="flow" if flow else "scaled_linear"))
    x0, noise = torch.randn(2, 4, 3, 3), torch.randn(2, 4, 3, 3)
    sigma = 0.3 if flow else SIGMA
    x = (1 - sigma) * x0 + sigma * noise if flow else x0 + sigma * noise
    share = 1 / math.sqrt(1 + sigma**2)
    output = {
        "eps": noise,
        "v": share * noise - sigma * share * x0,
        "x0": x0,
        "flow": noise - x0,
    }[prediction]
    assert torch.allclose(denoised(schedule, x, output, sigma), x0, atol=1e-5)
    assert input_scale(schedule, sigma) == pytest.approx(1.0 if flow else share)


def test_churn_raises_the_level_by_its_share_and_adds_the_noise_between() -> None:
    x, drawn = torch.zeros(1, 1, 2, 2), []

    def draw(sigma: float, sigma_next: float) -> torch.Tensor:
        drawn.append((sigma, sigma_next))
        return torch.ones_like(x)

    noisy, raised = churn(x, SIGMA, 10, draw, (1.0, 0.0, math.inf, 0.5))
    assert raised == pytest.approx(SIGMA * 1.1)
    assert noisy.unique().tolist() == pytest.approx([0.5 * math.sqrt(raised**2 - SIGMA**2)])
    assert churn(x, SIGMA, 10, draw, (99.0, 0.0, math.inf, 1.0))[1] == pytest.approx(SIGMA * math.sqrt(2))
    assert drawn == [(SIGMA, pytest.approx(2.2)), (SIGMA, pytest.approx(SIGMA * math.sqrt(2)))]
    for options in ((0.0, 0.0, math.inf, 1.0), (1.0, 3.0, math.inf, 1.0), (1.0, 0.0, 1.0, 1.0)):
        assert churn(x, SIGMA, 10, draw, options)[1] == SIGMA
    assert len(drawn) == 2


@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
def test_the_two_parts_of_an_ancestral_step_add_up_to_its_level(eta: float) -> None:
    down, up = plain_split(3.0, 2.0, eta)
    assert down**2 + up**2 == pytest.approx(4.0)
    assert up == pytest.approx(eta * 2.0 * math.sqrt(1 - (2 / 3) ** 2))
