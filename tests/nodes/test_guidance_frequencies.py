"""FreSca: the frequencies of what guidance adds, against sums of waves that are known, and in a run."""

from __future__ import annotations

import math

import pytest
import torch

from engine.sampling.frequencies import frequencies_of_guidance, weighted_by_frequency
from engine.sampling.guiders import GuidanceStep
from nodes.guidance_frequencies import fresca
from nodes.loaders import checkpoint_loader
from nodes.sampling import ksampler


def wave(rows: int, columns: int, along_rows: int, along_columns: int) -> torch.Tensor:
    y, x = torch.arange(rows)[:, None], torch.arange(columns)[None]
    return torch.cos(2 * math.pi * (along_rows * y / rows + along_columns * x / columns))[None, None]


@pytest.mark.parametrize(
    ("frequencies", "near"), [((0, 0), True), ((2, 0), True), ((0, 3), False), ((4, 1), False), ((1, 2), True)]
)
def test_a_wave_is_weighted_by_whether_its_frequencies_are_near_zero(frequencies, near):
    """At 3 the positive half is far, and the negative near: a wave of that frequency is half weighted."""
    found = weighted_by_frequency(wave(16, 24, *frequencies), 0.5, 2.0, 3)
    factor = 0.5 if near else 2.0
    if 3 in frequencies:
        factor = 1.25
    assert torch.allclose(found, factor * wave(16, 24, *frequencies), atol=1e-5)


def test_it_is_what_the_shifted_spectrum_says():
    """As its authors write it: the low frequencies are a square in the middle of the shifted spectrum."""
    x = torch.randn(2, 4, 10, 14, generator=torch.Generator().manual_seed(1))
    spectrum = torch.fft.fftshift(torch.fft.fftn(x, dim=(-2, -1)), dim=(-2, -1))
    mask = torch.full((10, 14), 1.5)
    mask[5 - 4 : 5 + 4, 7 - 4 : 7 + 4] = 0.7
    expected = torch.fft.ifftn(torch.fft.ifftshift(spectrum * mask, dim=(-2, -1)), dim=(-2, -1)).real
    assert torch.allclose(weighted_by_frequency(x, 0.7, 1.5, 4), expected, atol=1e-5)
    assert torch.allclose(weighted_by_frequency(x, 0.7, 1.5, 100), 0.7 * x, atol=1e-5)


def test_only_what_guidance_adds_is_weighted():
    x, positive, negative = (torch.randn(1, 4, 8, 8) for _ in range(3))
    guided = negative + 3.0 * (positive - negative)
    hook = frequencies_of_guidance(1.0, 1.0, 2)
    assert torch.allclose(hook(GuidanceStep(x, 1.0, guided, positive, negative)), guided, atol=1e-5)
    none = frequencies_of_guidance(0.0, 0.0, 2)
    assert torch.allclose(none(GuidanceStep(x, 1.0, guided, positive, negative)), negative, atol=1e-5)
    assert none(GuidanceStep(x, 1.0, positive, positive, None)) is positive


def test_a_run_is_steered_by_it(bench):
    model = checkpoint_loader(bench, "tiny.safetensors").MODEL

    def made(steered, cfg: float) -> torch.Tensor:
        both = [[[torch.full((1, 77, 32), value), {}]] for value in (0.1, 0.3)]
        settings = {"seed": 3, "steps": 2, "cfg": cfg, "sampler_name": "euler", "scheduler": "normal"}
        empty = {"samples": torch.zeros(1, 4, 8, 8)}
        return ksampler(bench, steered, positive=both[0], negative=both[1], latent_image=empty, **settings)["samples"]

    strong = fresca(model, 1.0, 3.0, 2)
    assert float((made(strong, 4.0) - made(model, 4.0)).abs().max()) > 1e-4
    assert torch.equal(made(strong, 1.0), made(model, 1.0))
    assert torch.allclose(made(fresca(model, 1.0, 1.0, 2), 4.0), made(model, 4.0), atol=1e-5)
    whole = fresca(model, 0.5, 0.5, 2)  # half of what guidance adds: cfg 2 of 4
    assert torch.allclose(made(whole, 4.0), made(model, 2.0), atol=1e-4)
