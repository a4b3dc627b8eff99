"""Numbers of conditionings, and areas of videos."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from engine.datatypes.parameterization import LatentFormat, Parameterization
from engine.models.encoded import makers, signed
from engine.sampling.conditions import Surroundings, prepare
from engine.sampling.guidance import ConditionedNetwork
from engine.sampling.noise_schedule import NoiseSchedule
from nodes.conditioning_scale import conditioning_multiply, conditioning_set_area_percentage_video

FLOW = NoiseSchedule(Parameterization(prediction="flow", schedule="flow", timesteps=1000))


def test_all_numbers_are_multiplied_and_the_maker_is_still_known():
    tokens, pooled = torch.randn(1, 3, 4), torch.randn(1, 4)
    given = [[tokens, {**signed(tokens, {"pooled_output": pooled, "width": 8}, ["clip"])}]]
    [[made, options]] = conditioning_multiply(given, -2.5)
    assert torch.equal(made, tokens * -2.5)
    assert torch.equal(options["pooled_output"], pooled * -2.5)
    assert options["width"] == 8
    assert makers(made, options) == {"clip"}
    assert torch.equal(given[0][0], tokens)
    assert conditioning_multiply([[tokens, {}]], 0.0)[0][0].abs().max() == 0.0
    assert conditioning_multiply([], 2.0) == []


def shown(conditioning: list[list[Any]], shape: tuple[int, ...]) -> torch.Tensor:
    def network(x: torch.Tensor, t: torch.Tensor, context: torch.Tensor, **rest: Any) -> torch.Tensor:
        return -context[:, :1, :1].reshape(-1, *[1] * (x.ndim - 1)).expand(-1, 1, *x.shape[2:])

    around = Surroundings(FLOW, LatentFormat(channels=1), torch.zeros(shape))
    lists = prepare([conditioning], around)
    return ConditionedNetwork(network, FLOW, lists, None)(torch.zeros(shape), 1.0, (0,))[0]


def test_an_area_of_a_video_is_some_pixels_of_some_frames():
    inside = conditioning_set_area_percentage_video([[torch.ones(1, 2, 3), {}]], 0.5, 0.25, 0.5, 0.5, 0.0, 0.25)
    found = shown(inside, (1, 1, 8, 8, 4))
    expected = torch.zeros(1, 1, 8, 8, 4)
    expected[:, :, 2:6, 0:2, 2:4] = 1.0
    assert torch.equal(found, expected)
    beside = shown([*inside, [torch.full((1, 2, 3), 3.0), {}]], (1, 1, 8, 8, 4))
    assert torch.equal(beside[:, :, 7], torch.full((1, 1, 8, 4), 3.0))
    middle = beside[0, 0, 4, 0, 3]  # both, weighed as they fade
    assert 1.0 < middle < 3.0


def test_a_mask_may_be_cut_to_some_frames():
    mask = torch.zeros(1, 8, 4)
    mask[:, :4] = 1.0
    late = conditioning_set_area_percentage_video([[torch.ones(1, 2, 3), {"mask": mask}]], temporal=0.5, z=0.5)
    found = shown(late, (2, 1, 4, 8, 4))
    assert found[:, :, :2].abs().max() == 0.0
    assert torch.equal(found[:, :, 2:, :4], torch.ones(2, 1, 2, 4, 4))


def test_a_picture_has_no_duration():
    with pytest.raises(ValueError, match="latents have no frames"):
        shown(conditioning_set_area_percentage_video([[torch.ones(1, 2, 3), {}]]), (1, 1, 8, 8))
