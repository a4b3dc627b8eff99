"""The running average of weights."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from engine.training.ema import WeightAverage


def parameters(value: float) -> list[tuple[str, nn.Parameter]]:
    return [("weight", nn.Parameter(torch.full((2,), value)))]


def test_the_first_updates_follow_closely_and_the_decay_warms_up_to_its_limit():
    average = WeightAverage(parameters(0.0), decay=0.5)
    average.update(parameters(1.0))  # decay 1/10
    assert average.state_dict()["weight"].tolist() == pytest.approx([0.9, 0.9])
    average.update(parameters(1.0))  # decay 2/11
    assert average.state_dict()["weight"].tolist() == pytest.approx([1 - 0.1 * 2 / 11] * 2)
    average.updates = 1_000_000
    before = average.state_dict()["weight"][0].item()
    average.update(parameters(0.0))
    assert average.state_dict()["weight"][0].item() == pytest.approx(before / 2)


def test_the_average_is_a_copy_that_later_training_does_not_touch():
    source = parameters(3.0)
    average = WeightAverage(source, decay=0.9)
    with torch.no_grad():
        source[0][1].fill_(7.0)
    assert average.state_dict()["weight"].tolist() == [3.0, 3.0]


def test_a_loaded_average_goes_on_as_the_saved_one():
    first = WeightAverage(parameters(0.0), decay=0.99)
    for value in (1.0, 2.0, 3.0):
        first.update(parameters(value))
    second = WeightAverage(parameters(9.0), decay=0.99)
    second.load(first.state_dict(), first.updates)
    first.update(parameters(4.0))
    second.update(parameters(4.0))
    assert torch.equal(first.state_dict()["weight"], second.state_dict()["weight"])
