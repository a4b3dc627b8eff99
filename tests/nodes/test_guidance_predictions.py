"""Guidance by what predictions have in common: against papers' formulas and diffusers' guiders, step by step and in runs."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from engine.denoising.model_guidance import hooks_of, pairs_of
from engine.sampling.guiders import BasicGuidance, CfgGuidance, DualCfgGuidance, GuidanceStep, PairStep
from nodes.guidance_norm import cfg_norm
from nodes.guidance_predictions import apg, cfg_zero_star, epsilon_scaling, mahiro, tcfg, temporal_score_rescaling
from nodes.guidance_video import video_linear_cfg_guidance, video_triangle_cfg_guidance
from nodes.model_sampling import rescale_cfg
from tests.guided_runs import EPS, FLOW, by_hand, handle, made, noise, outputs, text

POSITIVE, NEGATIVE, MIDDLE = text(1), text(2), text(3)
PROCESSES = pytest.mark.parametrize("process", [EPS, FLOW], ids=["eps", "flow"])
CFG = 6.0


def plain(cfg: float = CFG, **more: Any) -> CfgGuidance:
    return CfgGuidance(POSITIVE, NEGATIVE, cfg, **more)


def x0(model: Any, x: Tensor, sigma: float, output: Tensor) -> Tensor:
    return x - sigma * output


@PROCESSES
def test_apg_is_diffusers_over_a_run(process: Any) -> None:
    from diffusers.guiders import AdaptiveProjectedGuidance
    from diffusers.guiders.adaptive_projected_guidance import MomentumBuffer

    theirs = AdaptiveProjectedGuidance(
        guidance_scale=CFG - 1.0, adaptive_projected_guidance_rescale=2.5, eta=0.2, use_original_formulation=True
    )
    theirs.momentum_buffer = MomentumBuffer(-0.5)
    model = handle(process)

    def guided(x: Tensor, sigma: float, found: list[Tensor]) -> Tensor:
        positive, negative = (x0(model, x, sigma, one) for one in found)
        return (x - theirs.forward(positive, negative).pred) / sigma

    expected = by_hand(model, guided, POSITIVE, NEGATIVE)
    ours = made(apg(model, 0.2, 2.5, -0.5), plain())
    assert torch.allclose(ours, expected, atol=1e-4)
    assert float((ours - made(model, plain())).abs().max()) > 0.1


def test_apg_without_its_three_numbers_is_plain_guidance_and_without_a_negative_nothing() -> None:
    model = handle()
    assert torch.allclose(made(apg(model, 1.0, 0.0, 0.0), plain()), made(model, plain()), atol=1e-4)
    assert torch.equal(made(apg(model, 0.0), plain(1.0)), made(model, plain(1.0)))
    assert torch.equal(made(apg(model, 0.0), BasicGuidance(POSITIVE)), made(model, BasicGuidance(POSITIVE)))
    assert made(apg(model, 0.0, 1.0, 0.5), plain(0.0)).isfinite().all()


def test_apg_forgets_where_the_noise_rises_and_each_run_begins_anew() -> None:
    model = apg(handle(), 1.0, 0.0, 0.5)
    (make,) = pairs_of(model)
    hook = make()
    positive, negative = noise(), noise() * 0.5
    steps = [PairStep(noise(), sigma, positive, negative, 2.0) for sigma in (2.0, 1.0, 1.5)]
    first, second, third = (hook(step)[0] for step in steps)
    assert torch.allclose(first, third)
    assert torch.allclose(second - negative, (positive - negative) * (0.5 + 0.5 * 1.5), atol=1e-6)
    assert torch.equal(made(model, plain()), made(model, plain()))


@PROCESSES
def test_tcfg_is_diffusers_over_a_run(process: Any) -> None:
    from diffusers.guiders import TangentialClassifierFreeGuidance

    theirs = TangentialClassifierFreeGuidance(guidance_scale=CFG)
    model = handle(process)
    expected = by_hand(model, lambda x, sigma, found: theirs.forward(*found).pred, POSITIVE, NEGATIVE)
    ours = made(tcfg(model).patched_model, plain())
    assert torch.allclose(ours, expected, atol=1e-4)
    assert float((ours - made(model, plain())).abs().max()) > 0.1


@PROCESSES
def test_cfg_zero_star_is_diffusers_over_a_run(process: Any) -> None:
    from diffusers.guiders import ClassifierFreeZeroStarGuidance

    theirs = ClassifierFreeZeroStarGuidance(guidance_scale=CFG, zero_init_steps=0)
    theirs.set_state(step=1, num_inference_steps=100, timestep=None)
    model = handle(process)
    expected = by_hand(model, lambda x, sigma, found: theirs.forward(*found).pred, POSITIVE, NEGATIVE)
    ours = made(cfg_zero_star(model).patched_model, plain())
    assert torch.allclose(ours, expected, atol=1e-4)
    assert float((ours - made(model, plain())).abs().max()) > 0.1


def test_epsilon_scaling_divides_the_noise_over_a_run() -> None:
    model = handle()
    expected = by_hand(
        model, lambda x, sigma, found: (found[1] + CFG * (found[0] - found[1])) / 1.02, POSITIVE, NEGATIVE
    )
    assert torch.allclose(made(epsilon_scaling(model, 1.02), plain()), expected, atol=1e-4)


def test_tsr_over_a_run_of_noise() -> None:
    """Xu et al. 2025: the predicted noise times the ratio of what the score would be to what it is."""
    model, k, width = handle(), 0.8, 1.5

    def guided(x: Tensor, sigma: float, found: list[Tensor]) -> Tensor:
        signal = 1.0 / sigma**2
        return (found[1] + CFG * (found[0] - found[1])) * (signal * width**2 + 1) / (signal * width**2 / k + 1)

    expected = by_hand(model, guided, POSITIVE, NEGATIVE)
    assert torch.allclose(made(temporal_score_rescaling(model, k, width).patched_model, plain()), expected, atol=1e-4)


def test_tsr_over_a_run_of_a_flow() -> None:
    """Of a flow x + (1 - t) v is the noise; the first step, where there is no signal, is as it was."""
    model, k, width = handle(FLOW), 0.8, 1.5

    def guided(x: Tensor, sigma: float, found: list[Tensor]) -> Tensor:
        velocity, share = found[1] + CFG * (found[0] - found[1]), 1.0 - sigma
        if share <= 0.0:
            return velocity
        signal = (share / sigma) ** 2
        ratio = (signal * width**2 + 1) / (signal * width**2 / k + 1)
        return (ratio * (x + share * velocity) - x) / share

    expected = by_hand(model, guided, POSITIVE, NEGATIVE)
    assert torch.allclose(made(temporal_score_rescaling(model, k, width).patched_model, plain()), expected, atol=1e-4)
    same = temporal_score_rescaling(model, 1.0, width).patched_model
    assert torch.equal(made(same, plain()), made(model, plain()))


def test_tsr_makes_noise_what_it_is_under_data_of_a_lower_temperature() -> None:
    """Data of one normal distribution of the deviation that is told: k sharper, its score is known in closed form."""
    k, width, sigma = 4.0, 0.7, 0.9
    x = noise()
    mean_of = width**2 / (width**2 + sigma**2) * x  # x_0 under that distribution around 0
    sharper = (width**2 / k) / (width**2 / k + sigma**2) * x
    (hook,) = hooks_of(temporal_score_rescaling(handle(), k, width).patched_model)
    assert torch.allclose(hook(GuidanceStep(x, sigma, mean_of, mean_of, None)), sharper, atol=1e-6)


def test_mahiro_is_the_mixture_by_the_cosine_of_signed_roots() -> None:
    (hook,) = hooks_of(mahiro(handle()).patched_model)
    generator = torch.Generator().manual_seed(2)
    positive, negative = (torch.randn(2, 4, 5, 3, generator=generator) for _ in range(2))
    guided = negative + CFG * (positive - negative)
    found = hook(GuidanceStep(noise(), 1.0, guided, positive, negative, CFG))
    for picture in range(2):
        leap = CFG * positive[picture].double().numpy()
        one, other = CFG * negative[picture].double().numpy(), (leap + guided[picture].double().numpy()) / 2
        cosines = []
        for row in range(5):
            for column in range(3):
                roots = [[abs(v) ** 0.5 * (1 if v > 0 else -1) for v in p[:, row, column]] for p in (one, other)]
                dot = sum(a * b for a, b in zip(*roots))
                cosines.append(dot / (sum(a * a for a in roots[0]) * sum(b * b for b in roots[1])) ** 0.5)
        share = (sum(cosines) / len(cosines) + 1) / 2
        expected = share * guided[picture].numpy() + (1 - share) * leap
        assert torch.allclose(found[picture].double(), torch.from_numpy(expected), atol=1e-4)
    assert hook(GuidanceStep(noise(), 1.0, positive, positive, None, 1.0)) is positive
    assert hook(GuidanceStep(noise(), 1.0, guided, positive, negative)) is guided


def test_mahiro_steers_a_run_of_one_cfg() -> None:
    model = handle(FLOW)
    both = mahiro(model).patched_model
    assert float((made(both, plain()) - made(model, plain())).abs().max()) > 0.1
    dual = DualCfgGuidance(POSITIVE, MIDDLE, NEGATIVE, 3.0, 2.0)
    assert torch.equal(made(both, dual), made(model, dual))
    assert torch.equal(made(both, plain(1.0)), made(model, plain(1.0)))


def test_several_follow_one_another_in_the_order_in_which_they_were_put_on() -> None:
    """TCFG, then CFG-Zero*, then guidance, its spread, the noise divided and the length: each as its own test has it."""
    model = handle(FLOW)
    steered = tcfg(rescale_cfg(model, 0.6)).patched_model
    steered = cfg_norm(epsilon_scaling(cfg_zero_star(steered).patched_model, 1.1), 0.9)

    def guided(x: Tensor, sigma: float, found: list[Tensor]) -> Tensor:
        positive, negative = found
        rows = torch.stack([negative, positive], 1).flatten(2)
        direction = torch.linalg.svd(rows, full_matrices=False)[2][:, :1]
        negative = (negative.flatten(1)[:, None] @ direction.mT @ direction).reshape_as(positive)
        share = (positive * negative).sum((1, 2, 3), True) / negative.square().sum((1, 2, 3), True)
        made_of = share * negative + CFG * (positive - share * negative)
        spread = positive.std((1, 2, 3), keepdim=True) / made_of.std((1, 2, 3), keepdim=True)
        made_of = made_of * (0.6 * spread + 0.4) / 1.1
        clean, wanted = x - sigma * made_of, x - sigma * positive
        clean = clean * (wanted.norm(dim=1, keepdim=True) / clean.norm(dim=1, keepdim=True)).clamp(max=1.0) * 0.9
        return (x - clean) / sigma

    expected = by_hand(model, guided, POSITIVE, NEGATIVE)
    assert torch.allclose(made(steered, plain(rescale=0.6)), expected, atol=1e-4)
    turned = cfg_norm(model, 0.9)
    assert not torch.allclose(
        made(epsilon_scaling(turned, 1.1), plain()), made(cfg_norm(epsilon_scaling(model, 1.1), 0.9), plain())
    )


@pytest.mark.parametrize("nested", [False, True], ids=["plain", "nested"])
def test_each_of_two_guidances_has_its_own_pair_and_memory(nested: bool) -> None:
    model = handle()
    how = DualCfgGuidance(POSITIVE, MIDDLE, NEGATIVE, 3.0, 2.0, nested)
    memories: list[Tensor | None] = [None, None]

    def projected(number: int, end: Tensor, start: Tensor, cfg: float) -> Tensor:
        update, last = end - start, memories[number]
        update = update if last is None else update + 0.4 * last
        memories[number] = update
        along = (update * end).sum((1, 2, 3), True) / end.square().sum((1, 2, 3), True) * end
        return end + (cfg - 1) * (update - 0.5 * along)

    def guided(x: Tensor, sigma: float, found: list[Tensor]) -> Tensor:
        positive, middle, negative = (x - sigma * one for one in found)
        first = projected(0, positive, middle, 3.0)
        if nested:
            clean = projected(1, first, negative, 2.0)
        else:
            clean = projected(1, middle, negative, 2.0) + first - middle
        return (x - clean) / sigma

    expected = by_hand(model, guided, POSITIVE, MIDDLE, NEGATIVE)
    assert torch.allclose(made(apg(model, 0.5, 0.0, 0.4), how), expected, atol=2e-4)


def test_skipped_layers_are_compared_with_the_prediction_of_the_network_itself() -> None:
    """What guidance by left out layers adds is the same, whatever is put between."""
    from engine.sampling.conditions import Surroundings
    from engine.sampling.guidance import GuidedDenoiser
    from engine.sampling.noise_schedule import NoiseSchedule
    from engine.sampling.skips import Skip
    from tests.guided_runs import FORMAT, network

    model = apg(tcfg(handle()).patched_model, 0.3, 1.0)
    x = noise()
    around = Surroundings(NoiseSchedule.of(EPS), FORMAT, torch.zeros_like(x))

    def weaker(*args: Any, **kwargs: Any) -> Tensor:
        return 0.5 * network(*args, **kwargs)

    with_pairs = CfgGuidance(POSITIVE, NEGATIVE, CFG, pairs=pairs_of(model))
    skip = Skip(weaker, 0.0, 1.0, 2.0)
    alone, both = (GuidedDenoiser(network, with_pairs, around, skips=skips)(x, 1.0) for skips in ((), (skip,)))
    (output,) = outputs(model, x, 1.0, POSITIVE)
    assert torch.allclose(both - alone, 2.0 * ((x - output) - (x - 0.5 * output)), atol=1e-5)


def test_cfg_grows_over_the_pictures_of_a_batch_as_stable_video_diffusion_has_it() -> None:
    model, shape = handle(), (5, 4, 6, 5)

    def guided(scales: Tensor) -> Any:
        return lambda x, sigma, found: found[1] + scales.reshape(-1, 1, 1, 1) * (found[0] - found[1])

    expected = by_hand(model, guided(torch.linspace(1.5, CFG, 5)), POSITIVE, NEGATIVE, shape=shape)
    assert torch.allclose(made(video_linear_cfg_guidance(model, 1.5), plain(), shape=shape), expected, atol=1e-4)
    wave = torch.tensor([1.5, 3.75, 6.0, 3.75, 1.5])
    expected = by_hand(model, guided(wave), POSITIVE, NEGATIVE, shape=shape)
    assert torch.allclose(made(video_triangle_cfg_guidance(model, 1.5), plain(), shape=shape), expected, atol=1e-4)
    last = video_linear_cfg_guidance(video_triangle_cfg_guidance(model, 1.5), 3.0)
    expected = by_hand(model, guided(torch.linspace(3.0, 1.0, 5)), POSITIVE, NEGATIVE, shape=shape)
    assert torch.allclose(made(last, plain(1.0), shape=shape), expected, atol=1e-4)
    one = video_linear_cfg_guidance(model, 1.0)
    assert torch.equal(made(one, plain(1.0)), made(model, plain(1.0)))


def test_cfg_grows_over_the_frames_of_latents_that_have_some() -> None:
    from engine.sampling.guiders import CfgFrames
    from engine.sampling.pairs import framed

    x = torch.zeros(2, 4, 3, 6, 5)
    assert framed(CfgFrames("linear", 1.0), 3.0, x).flatten().tolist() == [1.0, 2.0, 3.0]
    assert framed(CfgFrames("linear", 1.0), 3.0, x).shape == (1, 1, 3, 1, 1)
    assert framed(CfgFrames("linear", 1.0), 3.0, x[:1, :, 0]).flatten().tolist() == [1.0]
    assert framed(CfgFrames("triangle", 1.0), 3.0, x[:, :, 0]).flatten().tolist() == [1.0, 1.0]


def test_they_work_within_samplers_that_want_both_predictions_and_in_their_options_alone() -> None:
    model = handle()
    steered = apg(tcfg(model).patched_model, 0.3)
    assert made(steered, plain(1.0), "euler_cfg_pp").isfinite().all()
    assert not torch.equal(made(steered, plain(1.0), "euler_cfg_pp"), made(model, plain(1.0), "euler_cfg_pp"))
    assert steered.identity() != apg(tcfg(model).patched_model, 0.31).identity() != model.identity()
    assert tcfg(apg(model)).patched_model.identity() != apg(tcfg(model).patched_model).identity()
    assert model.options == {}
    assert hooks_of(None) == pairs_of(None) == pairs_of(SimpleNamespace(options={})) == ()
