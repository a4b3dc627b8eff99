"""How conditionings are resolved for a run: weights, areas and their counterparts, moments, controls, masks."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from engine.datatypes.parameterization import LatentFormat, Parameterization
from engine.sampling.conditions import Condition, Surroundings, prepare
from engine.sampling.guidance import GuidedDenoiser
from engine.sampling.guiders import BasicGuidance
from engine.sampling.masks import mask_bounds, repeat_to
from engine.sampling.noise_schedule import NoiseSchedule

X0 = NoiseSchedule(Parameterization(prediction="x0"))
FORMAT = LatentFormat(channels=4, scale=1.0)


def text(value: float, **options: Any) -> list[list[Any]]:
    return [[torch.full((1, 2, 3), float(value)), options]]


def says_its_text(x, t, context, **_):
    return context.mean(dim=(1, 2)).reshape(-1, 1, 1, 1).expand_as(x)


def around(**facts: Any) -> Surroundings:
    return Surroundings(X0, FORMAT, torch.zeros(1, 4, 16, 16), **facts)


def predicted(conditioning: Any, sigma: float = 1.0) -> torch.Tensor:
    denoiser = GuidedDenoiser(says_its_text, BasicGuidance(conditioning), around())
    return denoiser(torch.ones(1, 4, 16, 16), sigma)


def told(conditions: list[Condition]) -> list[tuple[Any, float]]:
    """(area, text) of each."""
    return [(one.area, float(one.context.mean())) for one in conditions]


def test_a_text_of_no_strength_predicts_nothing():
    assert predicted(text(3, strength=0.0)).unique().tolist() == [0.0]


def test_a_masks_strength_and_the_texts_own_are_multiplied():
    found = predicted(text(2, mask=torch.ones(1, 16, 16), mask_strength=0.5, strength=3.0) + text(4))
    assert found.unique().tolist() == pytest.approx([(1.5 * 2 + 4) / 2.5])


def test_a_text_holds_at_both_ends_of_its_range():
    conditioning = text(5, start_percent=0.25, end_percent=0.5)
    start, end = X0.percent_to_sigma(0.25), X0.percent_to_sigma(0.5)
    found = [predicted(conditioning, sigma).unique().tolist() for sigma in (start * 1.001, start, end, end * 0.999)]
    assert found == [[0.0], [5.0], [5.0], [0.0]]


def test_an_areas_counterpart_is_the_smallest_that_covers_it():
    positive = text(9, area=(8, 8, 0, 0))
    negative = text(2, area=(16, 16, 0, 0)) + text(4, area=(12, 12, 0, 0))
    _, found = prepare((positive, negative), around())
    assert told(found) == [((16, 16, 0, 0), 2.0), ((12, 12, 0, 0), 4.0), ((8, 8, 0, 0), 4.0)]


@pytest.mark.parametrize("area", [(4, 8, 0, 0), (8, 4, 0, 0), (8, 8, 1, 0), (8, 8, 0, 1)])
def test_an_area_that_covers_a_part_is_no_counterpart(area):
    _, found = prepare((text(9, area=(8, 8, 0, 0)), text(2, area=area) + text(1)), around())
    assert ((8, 8, 0, 0), 1.0) in told(found)


class Control:
    def __init__(self, value: float) -> None:
        self.value, self.previous, self.start_percent, self.end_percent = value, None, 0.0, 1.0


def test_a_negative_with_a_control_of_its_own_is_lent_none():
    own, lent = Control(1.0), Control(2.0)
    positive = text(3, control=lent, control_apply_to_uncond=True)
    facts = around(controls=lambda control, pictures: control)
    _, (with_own,) = prepare((positive, text(1, control=own)), facts)
    _, (without,) = prepare((positive, text(1)), facts)
    assert [link.function for link in with_own.control] == [own]
    assert [link.function for link in without.control] == [lent]


def test_an_inpainting_networks_mask_is_one_or_zero():
    mask = torch.zeros(1, 16, 16)
    mask[..., 4:8], mask[..., 8:] = 0.4, 0.6
    ((found,),) = prepare(
        (text(1, concat_mask=mask, concat_latent_image=torch.ones(1, 4, 16, 16)),), around(inpaint_model=True)
    )
    assert found.concat[0, 0, 0].tolist() == [0.0] * 8 + [1.0] * 8


def test_the_bounds_of_a_mask_hold_its_first_and_last_pixel():
    mask = torch.zeros(1, 1, 32, 32)
    mask[..., 3:20, 5:31] = 0.5
    assert mask_bounds(mask) == (17, 26, 3, 5)
    assert mask_bounds(mask * 0) == (8, 8, 0, 0)


def test_a_batch_that_is_repeated_goes_round():
    value = torch.arange(2.0)[:, None]
    assert repeat_to(value, 5).flatten().tolist() == [0.0, 1.0, 0.0, 1.0, 0.0]
    assert repeat_to(value, 1).flatten().tolist() == [0.0]


def test_no_share_of_the_sampling_is_above_every_level():
    assert X0.percent_to_sigma(0.0) > 1e6
    assert X0.percent_to_sigma(1.0) == 0.0
    assert NoiseSchedule(Parameterization(prediction="flow", schedule="flow")).percent_to_sigma(0.0) == 1.0
    assert predicted(text(5, start_percent=0.0, end_percent=0.5), 80.0).unique().tolist() == [
        5.0
    ]  # above the model's own
