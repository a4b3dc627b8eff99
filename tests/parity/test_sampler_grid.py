"""42 samplers × 9 schedules × 1, 2, 8 and 20 steps through KSampler, against formulas and values from outside the engine.

`field_levels` and `field_samplers` say in double precision what the field computes; `sampler_grid.json` holds what
k-diffusion 0.1.1.post1 made of the same runs, for the samplers that it has (`record_sampler_grid.py`). The network is a
smooth function whose answer depends on x, the timestep and the conditioning.
"""

from __future__ import annotations

import functools
import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
import torchsde

from engine.datatypes.parameterization import LatentFormat, Parameterization
from engine.denoising.records import LiveModel, StepPlan
from engine.denoising.run import ksampler
from engine.sampling.guiders import CfgGuidance
from engine.sampling.names import SAMPLER_NAMES
from engine.sampling.noise_schedule import NoiseSchedule
from engine.sampling.schedules import compute_sigmas
from tests.parity import field_levels, field_samplers

pytestmark = pytest.mark.filterwarnings("ignore:Should have t[ab]:UserWarning")  # the reference's path rounds its ends

SHAPE = (1, 4, 2, 2)
SEED, CFG = 1234, 2.5
STEPS = (1, 2, 8, 20)
TOLERANCE = 2e-4
"""Of the largest value. The engine computes x in single precision, the reference in double."""
OF_THE_PATH = 2e-3
"""k-diffusion asks the Brownian path at exp(log(sigma)), the field at sigma: a last bit apart, where the path is rough."""
RECORDED = Path(__file__).with_name("sampler_grid.json")


def network(x, t, c):
    """The noise that a made-up network sees in x, for timestep t 0..999 and conditioning c; works on either library."""
    tanh, roll = (torch.tanh, torch.roll) if isinstance(x, torch.Tensor) else (np.tanh, np.roll)
    return tanh(1.1 * x + 0.3 * c * roll(x, 1)) * (0.9 + 0.1 * math.cos(t / 500)) + 0.1 * c


def engine_network(x, t, context, **_):
    c = context.float().mean(dim=(1, 2))
    return torch.stack([network(one, float(time), float(given)) for one, time, given in zip(x, t, c)])


def engine_run(sampler, scheduler, steps):
    def conditioning(c):
        return [[torch.full((1, 2, 3), c), {}]]

    result = ksampler(
        LiveModel(engine_network, NoiseSchedule(Parameterization()), LatentFormat(scale=1.0)),
        {"samples": torch.zeros(SHAPE)},
        CfgGuidance(conditioning(1.0), conditioning(-0.5), CFG),
        StepPlan(steps=steps, sampler_name=sampler, scheduler=scheduler),
        seed=SEED,
    )
    return result["samples"].double().numpy().ravel()


def model(x, sigma):
    """(guided, unconditional) prediction of x_0."""
    seen, t = x / math.sqrt(sigma * sigma + 1), field_levels.timestep_of(sigma)
    given, plain = (x - sigma * network(seen, t, c) for c in (1.0, -0.5))
    return plain + CFG * (given - plain), plain


def first_x(levels):
    drawn = torch.randn(SHAPE, generator=torch.Generator().manual_seed(SEED)).double().numpy()[0]
    largest = math.isclose(levels[0], field_levels.LARGEST, rel_tol=1e-5)
    return drawn * (math.sqrt(1 + levels[0] ** 2) if largest else levels[0])


def fresh_noise():
    generator = torch.Generator().manual_seed(SEED)
    return lambda: torch.randn(SHAPE, generator=generator).double().numpy()[0]


def brownian(levels):
    """torchsde's Brownian motion over sigma, from the smallest level above zero to the largest: one path, one seed."""
    ends = [torch.tensor(end, dtype=torch.float32) for end in (min(one for one in levels if one), levels[0])]
    if ends[0] == ends[1]:
        return None
    path = torchsde.BrownianTree(ends[0], torch.zeros(SHAPE), ends[1], entropy=SEED)

    def increment(a, b):
        low, high = (torch.tensor(end, dtype=torch.float32) for end in (b, a))
        return -(path(low, high) / (high - low).sqrt()).double().numpy()[0]

    return increment


@functools.cache
def expected(sampler, scheduler, steps):
    s = field_levels.levels(scheduler, steps, sampler)
    if len(s) == 2 and sampler in ("dpm_fast", "dpm_adaptive"):
        return model(first_x(s), s[0])[0].ravel()  # the field returns x there, without asking the network
    return field_samplers.SAMPLERS[sampler](model, first_x(s), s, fresh_noise(), brownian(s)).ravel()


def differences(sampler, results, tolerance=TOLERANCE):
    """The runs that differ from what is expected, by how much."""
    found = {}
    for (scheduler, steps), result in results.items():
        right = expected(sampler, scheduler, steps)
        error = np.abs(result - right).max() / max(np.abs(right).max(), 1.0)
        if not error <= tolerance:
            found[f"{sampler} {scheduler} {steps}"] = f"{error:.2e}"
    return found


def test_the_menu_has_the_fields_names_in_its_order():
    assert [*SAMPLER_NAMES] == field_samplers.NAMES


@pytest.mark.parametrize("scheduler", field_levels.SCHEDULES)
def test_levels(scheduler):
    for steps in (*range(1, 31), 36, 50, 100, 1000):
        right = field_levels.levels(scheduler, steps)
        ours = compute_sigmas(Parameterization(), scheduler, steps).tolist()
        assert ours == right, f"{scheduler} {steps}"


@pytest.mark.parametrize("sampler", field_samplers.NAMES)
def test_sampler_on_every_schedule(sampler):
    results = {
        (scheduler, steps): engine_run(sampler, scheduler, steps)
        for scheduler in field_levels.SCHEDULES
        for steps in STEPS
    }
    assert differences(sampler, results) == {}


def test_the_formulas_are_k_diffusions():
    recorded = json.loads(RECORDED.read_text())
    for sampler, runs in recorded["runs"].items():
        results = {
            (scheduler, int(steps)): np.array(values)
            for scheduler, by_steps in runs.items()
            for steps, values in by_steps.items()
        }
        assert differences(sampler, results, OF_THE_PATH if sampler == "dpmpp_sde" else TOLERANCE) == {}, sampler
