"""A text of another encoder is refused though its size fits; one that could be right never is."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from engine.denoising.checks import check_texts
from engine.denoising.records import LiveModel
from engine.models.encoded import ENCODERS, makers, signed
from engine.models.errors import ModelError
from engine.models.families import family_named
from engine.models.handles import ModelHandle, Source
from engine.sampling.guiders import BasicGuidance
from engine.sampling.noise_schedule import NoiseSchedule
from nodes.conditioning import (
    conditioning_average,
    conditioning_concat,
    conditioning_set_timestep_range,
    conditioning_zero_out,
    with_options,
)
from nodes.custom_sampling import basic_guider, dual_cfg_guider, ksampler_select, random_noise, sampler_custom_advanced
from nodes.sampling import ksampler
from tests.every_family import MEMBERS


def by(kinds: list[str], conditioning: Any) -> Any:
    """The same text, made by others."""
    return [[tokens, signed(tokens, options, kinds)] for tokens, options in conditioning]


def run(parts: Any, positive: Any, negative: Any = None, cfg: float = 1.0) -> torch.Tensor:
    space = parts.model.latent
    latent = {"samples": torch.zeros(1, space.channels, 64 // space.downscale, 64 // space.downscale)}
    told = {"seed": 1, "steps": 1, "cfg": cfg, "sampler_name": "euler", "scheduler": "simple", "latent_image": latent}
    texts = {"positive": positive, "negative": positive if negative is None else negative}
    made: torch.Tensor = ksampler(parts.bench, parts.model, **told, **texts)["samples"]
    return made


@pytest.mark.parametrize("name", MEMBERS)
def test_each_familys_text_tells_the_encoders_of_the_family(everyone, name):
    parts, own = everyone[name]
    family = family_named(parts.model.family)
    kinds = {tower.kind for tower in family.towers}
    assert makers(*own[0]) == kinds
    assert torch.isfinite(run(parts, own)).all()
    with pytest.raises(ModelError) as refused:
        run(parts, by(["other"], own))
    assert f"{family.title} wants a text of {' and '.join(sorted(kinds))}; the positive" in str(refused.value)
    assert "conditioning was made by other, the text encoder of another model" in str(refused.value)


def test_a_text_of_one_of_the_familys_encoders_is_taken(everyone):
    """FLUX.1's text is T5's, whatever CLIP gave beside it: Chroma takes it, as before."""
    parts, _ = everyone["chroma"]
    _, of_flux = everyone["flux"]
    assert makers(*of_flux[0]) == {"clip", "t5"}
    assert torch.isfinite(run(parts, of_flux)).all()


def test_a_text_that_does_not_tell_is_taken(everyone):
    parts, own = everyone["chroma"]
    assert torch.isfinite(run(parts, by([], own))).all()


def test_a_text_that_a_pack_made_of_another_encoders_is_taken(everyone):
    """Such as by a network between two encoders, which keeps the options."""
    parts, own = everyone["chroma"]
    [[tokens, options]] = by(["qwen3_vl"], own)
    adapted = [[tokens * 0.5, options]]
    assert makers(*adapted[0]) == frozenset()
    assert torch.isfinite(run(parts, adapted)).all()


def test_a_negative_is_refused_where_it_counts(everyone):
    parts, own = everyone["chroma"]
    foreign = by(["qwen3_vl"], own)
    with pytest.raises(ModelError, match=r"Chroma wants a text of t5; the negative conditioning was made by qwen3_vl"):
        run(parts, own, foreign, cfg=2.0)
    assert torch.isfinite(run(parts, own, foreign, cfg=1.0)).all()


def test_a_text_of_later_steps_and_of_other_guiders_is_refused_before_the_first(everyone, monkeypatch):
    parts, own = everyone["chroma"]
    foreign = by(["qwen3_vl"], own)
    steps: list[Any] = []
    monkeypatch.setattr(type(parts.bench), "progress", lambda *args: steps.append(args))
    late = [*own, *conditioning_set_timestep_range(foreign, 0.9, 1.0)]
    guiders = (basic_guider(parts.model, late), dual_cfg_guider(parts.model, own, foreign, own))
    sampler, sigmas, empty = ksampler_select("euler"), torch.tensor([1.0, 0.0]), {"samples": torch.zeros(1, 16, 8, 8)}
    for guider in guiders:
        with pytest.raises(ModelError, match=r"(positive|middle) conditioning was made by qwen3_vl"):
            sampler_custom_advanced(parts.bench, random_noise(1), guider, sampler, sigmas, empty)
    assert not steps


def test_a_family_without_text_takes_any():
    family = family_named("dit")
    handle = ModelHandle(
        source=Source("dit", ""), family="dit", parameterization=family.parameterization, latent=family.latent
    )
    network: Any = None
    live = LiveModel(network, NoiseSchedule.of(family.parameterization), family.latent, handle=handle)
    check_texts(live, BasicGuidance(by(["t5"], [[torch.zeros(1, 1, 4), {}]])))


TEXT = [[torch.ones(1, 2, 4), {}]]


def test_what_is_made_of_texts_tells_the_encoders_of_all():
    one, other = by(["clip"], TEXT), by(["t5"], TEXT)
    for mix in (conditioning_concat, lambda to, added: conditioning_average(to, added, 0.5)):
        assert makers(*mix(one, other)[0]) == {"clip", "t5"}
        assert ENCODERS not in mix(one, TEXT)[0][1]
        assert ENCODERS not in mix(TEXT, other)[0][1]
    assert makers(*with_options(one, strength=0.5)[0]) == {"clip"}


def test_zeros_are_of_every_encoder():
    assert ENCODERS not in conditioning_zero_out(by(["clip"], TEXT))[0][1]
