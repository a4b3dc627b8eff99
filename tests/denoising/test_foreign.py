"""What may take the place of our own parts of a run: the run, the guidance, the steps, the noise levels, the names."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from engine.datatypes.parameterization import LatentFormat, Parameterization
from engine.denoising.records import LiveModel, Run, Sampled, Start
from engine.denoising.run import sample
from engine.sampling import names
from engine.sampling.guidance import GuidedDenoiser
from engine.sampling.guiders import CfgGuidance
from engine.sampling.names import Sampler, known_sampler, known_scheduler
from engine.sampling.noise_schedule import NoiseSchedule
from engine.sampling.samplers import SAMPLERS
from engine.sampling.schedules import compute_sigmas

TEXT = [[torch.linspace(0, 1, 12).reshape(1, 2, 6), {}]]
NO_TEXT = [[torch.zeros(1, 2, 6), {}]]
FORMAT = LatentFormat(channels=4)


def network(x, t, context, *, concat=None, control=None, options=None):
    return torch.tanh(x) * 0.5 + context.mean((1, 2)).reshape(-1, 1, 1, 1)


def run(**changes):
    noise = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(1))
    model = LiveModel(network, NoiseSchedule(Parameterization()), FORMAT, hooks=changes.pop("hooks", None))
    start = Start(torch.ones(1, 4, 8, 8), noise, changes.pop("noise_mask", None), changes.pop("seed", 0))
    guidance = changes.pop("guidance", CfgGuidance(TEXT, NO_TEXT, 3.0))
    return sample(model, start, guidance, compute_sigmas(Parameterization(), "karras", 3), **changes)


class Twice:
    """Takes over, runs as asked, and doubles."""

    def __init__(self, **changes):
        self.changes = changes
        self.seen = None

    def take_over(self, run: Run) -> Sampled:
        self.seen = run
        done = sample(**vars(replace(run, **self.changes)))
        return Sampled(done.samples * 2, done.denoised)


def test_hooks_take_a_run_over_with_all_its_arguments():
    hooks = Twice()
    assert torch.equal(run(hooks=hooks, seed=7).samples, run(seed=7).samples * 2)
    assert hooks.seen.start.seed == 7
    assert hooks.seen.model.hooks is None
    assert hooks.seen.sampler == "euler"


def test_a_sampler_that_takes_over_is_asked_when_there_are_no_hooks():
    sampler, hooks = Twice(sampler="heun"), Twice(sampler="euler")
    assert torch.equal(run(sampler=sampler).samples, run(sampler="heun").samples * 2)
    assert torch.equal(run(sampler=sampler, hooks=hooks).samples, run().samples * 2)


def test_steps_may_be_a_function():
    assert torch.equal(run(sampler=SAMPLERS["heun"]).samples, run(sampler="heun").samples)


def test_a_guidance_may_predict_by_itself_and_change_the_mask_at_each_level():
    class Own:
        levels: list[float] = []  # noqa: RUF012 - one test

        def denoiser(self, network, around, max_rows):
            return GuidedDenoiser(network, CfgGuidance(TEXT, NO_TEXT, 3.0), around, max_rows)

        def mask_at(self, sigma, mask):
            self.levels.append(sigma)
            return torch.ones_like(mask)

    assert torch.equal(run(guidance=Own()).samples, run().samples)
    masked = run(guidance=Own(), noise_mask=torch.full((8, 8), 0.5))
    assert torch.equal(masked.samples, run().samples)
    assert len(Own.levels) == 3


def test_noise_levels_may_be_given_as_a_schedule():
    known = Parameterization(prediction="v")
    given = [compute_sigmas(one, "normal", 2, sampler_name="euler") for one in (known, NoiseSchedule(known))]
    assert torch.equal(*given)


def test_names_that_packs_bring_are_known_and_run(monkeypatch):
    with pytest.raises(ValueError, match="no sampler is called 'mine'"):
        known_sampler("mine")
    monkeypatch.setitem(names.BROUGHT_SAMPLERS, "mine", Twice(sampler="heun"))
    monkeypatch.setitem(names.BROUGHT_SCHEDULES, "falling", lambda schedule, steps: torch.linspace(5, 0, steps + 1))
    assert known_sampler("mine") == "mine"
    assert known_scheduler("falling") == "falling"
    assert compute_sigmas(Parameterization(), "falling", 2).tolist() == [5.0, 2.5, 0.0]
    for one in ("mine", Sampler("mine")):
        assert torch.equal(run(sampler=one).samples, run(sampler="heun").samples * 2)
