"""Guidance held to the length of the positive prediction."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from engine.denoising.model_guidance import hooks_of
from engine.sampling.guiders import GuidanceStep
from nodes.guidance_norm import cfg_norm, renorm_cfg


class Handle(SimpleNamespace):
    """As much of a model's handle as options are."""

    def with_option(self, name: str, value: Any) -> Handle:
        return Handle(options={**self.options, name: value})


def pixels(*vectors: tuple[float, float]) -> torch.Tensor:
    """A latent (1, 2, 1, pixels) of these channels."""
    return torch.tensor(vectors).T.reshape(1, 2, 1, -1)


def guided(model: Any, x: torch.Tensor, denoised: torch.Tensor, positive: torch.Tensor) -> list[list[float]]:
    for hook in hooks_of(model):
        denoised = hook(GuidanceStep(x, 0.5, denoised, positive, None))
    return denoised.reshape(2, -1).T.tolist()


def test_a_longer_prediction_is_shortened_to_the_positive_one_and_a_shorter_one_stays() -> None:
    positive = pixels((3.0, 4.0), (3.0, 4.0))
    denoised = pixels((0.0, 10.0), (0.0, 1.0))
    model = cfg_norm(Handle(options={}), 1.0)
    assert guided(model, positive, denoised, positive) == [pytest.approx([0.0, 5.0]), pytest.approx([0.0, 1.0])]
    doubled = cfg_norm(Handle(options={}), 2.0, pre_cfg=False)
    assert guided(doubled, positive, denoised, positive) == [pytest.approx([0.0, 10.0]), pytest.approx([0.0, 2.0])]


def test_the_guided_noise_gets_the_length_of_the_positive_one_shorter_or_longer() -> None:
    x = pixels((1.0, 1.0), (1.0, 1.0))
    positive, denoised = pixels((-2.0, -3.0), (-2.0, -3.0)), pixels((1.0, -9.0), (0.0, 1.0))
    model = cfg_norm(Handle(options={}), 1.0, pre_cfg=True)
    assert guided(model, x, denoised, positive) == [pytest.approx([1.0, -4.0]), pytest.approx([-4.0, 1.0])]


def test_several_follow_one_another_and_no_model_has_any_by_itself() -> None:
    assert hooks_of(None) == hooks_of(Handle(options={})) == ()
    model = cfg_norm(cfg_norm(Handle(options={"else": 1}), 2.0), 0.5)
    assert len(hooks_of(model)) == 2
    assert model.options["else"] == 1
    assert guided(model, pixels((1.0, 0.0)), pixels((1.0, 0.0)), pixels((1.0, 0.0))) == [pytest.approx([0.5, 0.0])]


def test_each_picture_is_held_to_the_length_of_the_positive_one_below_a_level() -> None:
    positive = torch.tensor([[3.0, 4.0], [3.0, 4.0]]).reshape(2, 2, 1, 1)
    denoised = torch.tensor([[0.0, 10.0], [0.0, 1.0]]).reshape(2, 2, 1, 1)

    def held(model: Any) -> list[list[float]]:
        (hook,) = hooks_of(model)
        return hook(GuidanceStep(positive, 0.5, denoised, positive, None)).flatten(1).tolist()

    plain = Handle(options={})
    assert held(renorm_cfg(plain)) == [[0.0, 5.0], [0.0, 1.0]]
    assert held(renorm_cfg(plain, 0.6, 2.0)) == [[0.0, 10.0], [0.0, 1.0]]
    assert held(renorm_cfg(plain, 0.6, 0.0)) == [[0.0, 10.0], [0.0, 1.0]]
    assert held(renorm_cfg(plain, 0.5, 1.0)) == [[3.0, 4.0], [3.0, 4.0]]
    assert held(renorm_cfg(renorm_cfg(plain, 0.5), 0.6)) == [[0.0, 5.0], [0.0, 1.0]]
