"""Noise levels shifted by nodes."""

from __future__ import annotations

import math

import pytest

from engine.sampling.noise_schedule import NoiseSchedule
from nodes.model_sampling import model_sampling_aura_flow, model_sampling_flux, model_sampling_sd3


@pytest.fixture
def model(bench):
    return bench.models.checkpoint(bench.paths.find("checkpoints", "tiny.safetensors"))[0]


def middle(model) -> float:
    return NoiseSchedule(model.parameterization).sigma(500.0)


@pytest.mark.parametrize("shifted", [model_sampling_sd3, model_sampling_aura_flow])
def test_a_model_becomes_a_flow_with_its_levels_shifted(model, shifted) -> None:
    made = shifted(model, 3.0)
    assert (made.parameterization.prediction, made.parameterization.schedule) == ("flow", "flow")
    assert middle(made) == pytest.approx(0.75)  # 3 × 0.5 / (1 + 2 × 0.5)
    assert middle(shifted(made, 1.0)) == pytest.approx(0.5)
    assert NoiseSchedule(made.parameterization).sigma_max == 1.0
    assert model.parameterization.prediction == "eps"


@pytest.mark.parametrize(
    ("size", "logarithm"), [((1024, 1024), 1.15), ((256, 256), 0.5), ((768, 1024), 1.15 - 0.65 * 1024 / 3840)]
)
def test_the_shift_of_flux_grows_with_the_size_of_the_picture(model, size, logarithm) -> None:
    made = model_sampling_flux(model, 1.15, 0.5, *size)
    assert made.parameterization.shift == pytest.approx(math.exp(logarithm))
    assert middle(made) == pytest.approx(math.exp(logarithm) / (math.exp(logarithm) + 1))


def test_a_shift_that_leaves_no_levels_is_refused(model) -> None:
    with pytest.raises(ValueError, match="use one above 0"):
        model_sampling_sd3(model, 0.0)
    with pytest.raises(ValueError, match="Lower max_shift or the size"):
        model_sampling_flux(model, 100.0, 0.5, 2048, 2048)
