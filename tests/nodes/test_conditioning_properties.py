"""Properties set on conditionings at once, and conditionings that fill what others leave."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from engine.datatypes.parameterization import LatentFormat, Parameterization
from engine.models.hooks import Hooks, WeightHook
from engine.sampling.conditions import Surroundings, prepare
from engine.sampling.guidance import ConditionedNetwork
from engine.sampling.noise_schedule import NoiseSchedule
from nodes import conditioning_properties as p

FLOW = NoiseSchedule(Parameterization(prediction="flow", schedule="flow", timesteps=1000))


def entry(value: float, **options: Any) -> list[list[Any]]:
    return [[torch.full((1, 2, 3), value), options]]


def predicted(conditioning: list[list[Any]], calls: list[int] | None = None) -> torch.Tensor:
    """The blend (1, 1, 4, 8) of a network that predicts the number in the text."""

    def network(x: torch.Tensor, t: torch.Tensor, context: torch.Tensor, **rest: Any) -> torch.Tensor:
        if calls is not None:
            calls.append(len(x))
        return -context[:, :1, :1, None].expand(-1, 1, *x.shape[2:])  # of a flow at sigma 1, x - output

    around = Surroundings(FLOW, LatentFormat(channels=1), torch.zeros(1, 1, 4, 8))
    lists = prepare([conditioning], around)
    return ConditionedNetwork(network, FLOW, lists, None)(torch.zeros(1, 1, 4, 8), 1.0, (0,))[0]


def test_properties_are_the_options_that_other_nodes_set():
    mask = torch.rand(1, 4, 8)
    [[_, options]] = p.conditioning_set_properties(entry(1.0, a=1), 0.5, "mask bounds", mask, None, (0.2, 0.7))
    assert options.pop("mask") is mask
    assert options == {
        "a": 1,
        "mask_strength": 0.5,
        "set_area_to_bounds": True,
        "start_percent": 0.2,
        "end_percent": 0.7,
    }
    assert p.conditioning_set_properties(entry(1.0), 0.5)[0][1] == {"strength": 0.5}
    assert p.conditioning_set_properties(entry(1.0))[0][1] == {}


def test_hooks_come_beside_those_that_are_there_and_inputs_stay():
    first, second = Hooks((WeightHook(strength=0.1),)), Hooks((WeightHook(strength=0.2),))
    given = entry(1.0, hooks=first)
    made = p.conditioning_set_properties(given, hooks=second)
    assert made[0][1]["hooks"].hooks == first.hooks + second.hooks
    assert given[0][1] == {"hooks": first}


def test_pairs_and_combinations():
    a, b, c, d = (entry(number) for number in (1.0, 2.0, 3.0, 4.0))
    assert p.pair_conditioning_combine(a, b, c, d) == ([*a, *c], [*b, *d])
    positive, negative = p.pair_conditioning_set_properties_and_combine(a, b, c, d, 0.5)
    assert positive[0] is a[0]
    assert positive[1][1] == {"strength": 0.5}
    assert negative[1][0] is d[0][0]
    positive, negative = p.pair_conditioning_set_properties(c, d, timesteps=(0.0, 0.5))
    assert positive[0][1] == negative[0][1] == {"start_percent": 0.0, "end_percent": 0.5}
    positive, negative = p.pair_conditioning_set_default_combine(a, b, c, d)
    assert [one[1] for one in (*positive, *negative)] == [{}, {"default": True}] * 2


def test_ranges():
    assert p.conditioning_timesteps_range(0.25, 0.75) == ((0.25, 0.75), (0.0, 0.25), (0.75, 1.0))
    with pytest.raises(ValueError, match="ends after its start"):
        p.conditioning_timesteps_range(0.75, 0.25)


def test_a_default_holds_where_the_others_do_not():
    half = torch.zeros(1, 4, 8)
    half[..., :4] = 1.0
    masked = p.conditioning_set_properties(entry(1.0), mask=half)
    found = predicted(p.conditioning_set_default_combine(masked, entry(5.0)))
    assert torch.equal(found[..., :4], torch.ones(1, 1, 4, 4))
    assert torch.equal(found[..., 4:], torch.full((1, 1, 4, 4), 5.0))


def test_a_default_weighs_what_the_others_leave():
    quarter = torch.full((1, 4, 8), 0.25)
    found = predicted(
        p.conditioning_set_default_combine(p.conditioning_set_properties(entry(1.0), mask=quarter), entry(5.0))
    )
    torch.testing.assert_close(found, torch.full((1, 1, 4, 8), 0.25 * 1.0 + 0.75 * 5.0))
    area = entry(1.0, area=("percentage", 1.0, 0.5, 0.0, 0.0))
    found = predicted(p.conditioning_set_default_combine(area, entry(5.0)))
    assert found[0, 0, 0, 0] == 1.0
    assert found[0, 0, 0, 7] == 5.0


def test_a_default_that_nothing_is_left_for_is_not_computed():
    calls: list[int] = []
    found = predicted(p.conditioning_set_default_combine(entry(1.0), entry(5.0)), calls)
    assert torch.equal(found, torch.ones(1, 1, 4, 8))
    assert calls == [1]
    late = p.conditioning_set_properties(entry(1.0), timesteps=(0.5, 1.0))
    assert predicted(p.conditioning_set_default_combine(late, entry(5.0))).unique().tolist() == [5.0]


def test_hooks_without_a_model_to_change_are_told():
    with pytest.raises(ValueError, match="has hooks, but this run"):
        predicted(p.conditioning_set_properties(entry(1.0), hooks=Hooks((WeightHook(),))))
