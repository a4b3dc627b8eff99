"""Which steps are not computed, against the paper's rule written out; what they give; and what is told."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from engine.datatypes.parameterization import Parameterization
from engine.denoising.inside.base import Where
from engine.denoising.inside.easy_cache import EasyCache
from engine.denoising.inside.network import PatchedNetwork
from engine.sampling.denoisers import Branches, Occasion
from engine.sampling.noise_schedule import NoiseSchedule
from engine.sampling.reuse import Expected, LazyDenoiser
from nodes.conditioning import text_encode
from nodes.loaders import checkpoint_loader
from nodes.sampling import ksampler
from nodes.step_caches import easy_cache, lazy_cache

FLOW = NoiseSchedule.of(Parameterization(prediction="flow", schedule="flow", shift=1.0))
TAU = 0.15


def steps(count: int = 20) -> list[tuple[float, torch.Tensor]]:
    generator = torch.Generator().manual_seed(1)
    start, end = torch.randn(2, 1, 3, 4, 4, generator=generator)
    return [(1.0 - n / count, torch.lerp(start, end, n / count)) for n in range(count)]


def network(x: torch.Tensor) -> torch.Tensor:
    return torch.tanh(1.5 * x) - 0.3 * x


def rule(tau: float, start: float, end: float) -> tuple[list[bool], list[torch.Tensor]]:
    """The paper's, step by step: which steps are computed, and all outputs."""
    computed, outputs, xs = [], [], []
    rate, total = None, 0.0
    for sigma, x in steps():
        wanted = True
        if rate is not None and end <= sigma <= start:
            total += rate * (x - xs[-1]).abs().mean().item() / outputs[-1].abs().mean().item()
            wanted = total >= tau
        if wanted:
            total = 0.0
            v = network(x)
            earlier = [n for n, was in enumerate(computed) if was]
            if earlier:
                m = earlier[-1]
                rate = (v - outputs[m]).abs().mean().item() / (x - xs[m]).abs().mean().item()
        else:
            m = [n for n, was in enumerate(computed) if was][-1]
            v = x + (outputs[m] - xs[m])
        computed.append(wanted)
        outputs.append(v)
        xs.append(x)
    return computed, outputs


def test_steps_are_left_out_by_the_papers_rule():
    computed, outputs = rule(TAU, 0.85, 0.05)
    assert 4 < sum(computed) < 16
    calls: list[float] = []

    def inner(x: torch.Tensor, sigma: float) -> torch.Tensor:
        calls.append(sigma)
        return network(x)

    expected = Expected(TAU, 0.85, 0.05)
    lazy = LazyDenoiser(inner, expected)
    got = [lazy(x, sigma) for sigma, x in steps()]
    assert calls == [sigma for (sigma, _), was in zip(steps(), computed) if was]
    assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(got, outputs, strict=True))
    assert (expected.steps, expected.reused) == (20, 20 - sum(computed))
    assert expected.summary("LazyCache").startswith(f"LazyCache: {20 - sum(computed)} of 20 steps were not computed")
    assert len(expected.told) == 20


@pytest.mark.parametrize("together", [True, False])
def test_each_conditioning_has_its_own_and_the_first_decides(together):
    """A second one that is a multiple: its outputs tell whether it was given its own."""
    computed, outputs = rule(TAU, FLOW.percent_to_sigma(0.15), FLOW.percent_to_sigma(0.95))
    positive, negative = object(), object()
    rows: list[int] = []

    class Net:
        def __call__(self, x, t, context, **_):
            rows.append(len(x))
            return torch.cat([network(row[None]) * factor for row, factor in zip(x, context.flatten(), strict=True)])

    facts = {"threshold": TAU, "start_percent": 0.15, "end_percent": 0.95, "verbose": False}
    made = PatchedNetwork(Net(), FLOW, [["easy_cache", facts]])
    one, two = torch.ones(1), torch.full((1,), 3.0)
    second = []
    for n, (sigma, x) in enumerate(steps()):
        t = torch.full((1,), sigma)
        if together:
            both = made.on(Occasion(sigma, (0, 1), (positive, negative)))
            first, other = both(torch.cat([x, x]), t, torch.cat([one, two])).chunk(2)
        else:
            first = made.on(Occasion(sigma, (0,), (positive,)))(x, t, one)
            other = made.on(Occasion(sigma, (1,), (negative,)))(x, t, two)
        assert torch.allclose(first, outputs[n], atol=1e-5)
        if computed[n]:
            second = [other, x]
            assert torch.allclose(other, 3 * network(x), atol=1e-5)
        else:
            assert torch.allclose(other, x + (second[0] - second[1]), atol=1e-5)
    assert sum(rows) == 2 * sum(computed)
    patch = made.patches[0]
    assert isinstance(patch, EasyCache)
    assert patch.told()[0].startswith(f"EasyCache: {20 - sum(computed)} of 20 steps")
    assert patch.told()[1] == []
    assert made.anew().patches[0].expected.steps == 0


def test_what_has_a_learned_variance_is_always_computed():
    facts = {"threshold": 3.0, "start_percent": 0.0, "end_percent": 1.0, "verbose": True}
    cache = EasyCache(Where(None, FLOW), **facts)
    calls = []

    def inner(given):
        calls.append(given.sigma)
        return torch.cat([given.x, given.x], dim=1)

    from engine.denoising.inside.base import Given

    for sigma, x in steps():
        cache(Given(x, x, x, None, None, None, Occasion(sigma)), inner)
    assert len(calls) == 20
    assert cache.expected.reused == 0


def test_both_predictions_are_computed_where_a_sampler_wants_them():
    class Both:
        def __call__(self, x, sigma):
            return x

        def branches(self, x, sigma):
            return Branches(x + 1, x - 1)

    lazy = LazyDenoiser(Both(), Expected(3.0, 1.0, 0.0))
    x = torch.zeros(1, 1, 2, 2)
    for _ in range(4):
        assert torch.equal(lazy.branches(x, 0.5).unconditional, x - 1)


# --- as nodes -------------------------------------------------------------------------------------------------------


@pytest.fixture
def run(bench):
    parts = checkpoint_loader(bench, "tiny.safetensors")
    positive, negative = (text_encode(bench, text, parts.CLIP) for text in ("red apple", ""))

    def run(change: Any, **options: Any) -> torch.Tensor:
        told = {"seed": 1, "steps": 12, "cfg": 3.0, "sampler_name": "euler", "scheduler": "normal"} | options
        latent = {"samples": torch.zeros(2, 4, 8, 8)}
        bench.warned.clear()
        found: torch.Tensor = ksampler(
            bench, change(parts.MODEL), positive=positive, negative=negative, latent_image=latent, **told
        )["samples"]
        return found

    return run


@pytest.mark.parametrize("node", [easy_cache, lazy_cache])
def test_a_run_says_how_many_steps_it_left_out_and_is_the_same_each_time(bench, run, node):
    plain = run(lambda model: model)
    assert bench.warned == []
    got = run(lambda model: node(model, 1.0))
    name = {"easy_cache": "EasyCache", "lazy_cache": "LazyCache"}[node.__name__]
    told = [one for one in bench.warned if one.startswith(name)]
    assert len(told) == 1
    left_out = int(told[0].split()[1])
    assert 0 < left_out < 12
    assert torch.isfinite(got).all()
    assert not torch.equal(got, plain)
    assert torch.equal(run(lambda model: node(model, 1.0)), got)
    assert torch.equal(run(lambda model: node(model, 1e-9)), plain)
    assert torch.equal(run(lambda model: node(model, 0.0)), plain)


def test_a_sampler_that_evaluates_twice_a_step_and_two_caches_are_fine(bench, run):
    got = run(lambda model: lazy_cache(easy_cache(model, 1.0), 1.0), sampler_name="heun")
    assert torch.isfinite(got).all()
    assert len([one for one in bench.warned if "steps were not computed" in one]) == 2


def test_every_step_is_logged_where_that_is_wanted(bench, run, caplog):
    with caplog.at_level("INFO", logger="safelight.sampling"):
        run(lambda model: easy_cache(model, 1.0, verbose=True))
    lines = [record.message for record in caplog.records]
    assert sum("EasyCache sigma" in line for line in lines) == 12
