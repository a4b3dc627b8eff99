"""Guidance against hand computation, with networks whose output is simple enough to work out."""

from __future__ import annotations

import pytest
import torch

from engine.datatypes.parameterization import LatentFormat, Parameterization
from engine.sampling.conditions import Surroundings
from engine.sampling.guidance import GuidedDenoiser, rescaled
from engine.sampling.guiders import BasicGuidance, CfgGuidance, CfgRange, DualCfgGuidance
from engine.sampling.noise_schedule import NoiseSchedule

X0 = NoiseSchedule(Parameterization(prediction="x0"))
FORMAT = LatentFormat(channels=4, scale=1.0)
SIGMA = 1.0


class SaysItsText:
    """An x0-network that predicts the mean of its context everywhere, and keeps what it was called with."""

    def __init__(self):
        self.calls = []

    def __call__(self, x, t, context, *, concat=None, control=None, options=None):
        self.calls.append(
            {"x": x, "t": t, "context": context, "concat": concat, "control": control, "options": options}
        )
        return context.mean(dim=(1, 2)).reshape(-1, 1, 1, 1).expand_as(x)


def text(value, length=2, **options):
    return [[torch.full((1, length, 3), float(value)), options]]


def guide(guidance, *, batch=1, side=16, network=None, sigma=SIGMA, max_rows=None, schedule=X0, **around):
    network = network or SaysItsText()
    latent = around.pop("latent", torch.zeros(batch, 4, side, side))
    surroundings = Surroundings(schedule, FORMAT, latent, **around)
    denoiser = GuidedDenoiser(network, guidance, surroundings, max_rows)
    return denoiser(torch.ones_like(latent), sigma), network


def only(value):
    found = value.unique()
    assert len(found) == 1, found
    return found.item()


def test_guidance_goes_beyond_the_positive_in_one_call_of_both():
    result, network = guide(CfgGuidance(text(3), text(1), cfg=7.0), batch=2)
    assert only(result) == 1 + 7 * (3 - 1)
    assert [call["x"].shape[0] for call in network.calls] == [4]


def test_at_cfg_one_the_negative_is_not_evaluated():
    result, network = guide(CfgGuidance(text(3), text(1), cfg=1.0))
    assert only(result) == 3
    assert [call["x"].shape[0] for call in network.calls] == [1]


def test_always_negative_evaluates_it_at_cfg_one_too():
    _, network = guide(CfgGuidance(text(3), text(1), cfg=1.0, always_negative=True))
    assert [call["x"].shape[0] for call in network.calls] == [2]


def test_a_range_has_a_cfg_of_its_own_and_of_several_the_last_counts():
    flow = NoiseSchedule(Parameterization(prediction="flow", schedule="flow"))
    ranges = (CfgRange(9.0, 0.0, 1.0), CfgRange(1.0, 0.5, 0.75))
    how = CfgGuidance(text(3), text(1), cfg=7.0, ranges=ranges[1:])
    calls = []
    for sigma in (0.51, 0.5, 0.25, 0.24):  # both ends are in it
        _, network = guide(how, schedule=flow, sigma=sigma)
        calls.append(network.calls[0]["x"].shape[0])
    assert calls == [2, 1, 1, 2]
    x0, _ = guide(CfgGuidance(text(3), text(1), cfg=7.0, ranges=ranges), schedule=flow, sigma=0.2)
    assert only(x0) == pytest.approx(1 - 0.2 * (1 + 9 * (3 - 1)))


def test_two_networks_predict_for_a_conditioning_each():
    first, second = SaysItsText(), SaysItsText()
    around = Surroundings(X0, FORMAT, torch.zeros(2, 4, 16, 16))
    denoiser = GuidedDenoiser(first, CfgGuidance(text(3), text(1), cfg=7.0), around, negative=second)
    assert only(denoiser(torch.ones(2, 4, 16, 16), SIGMA)) == 1 + 7 * (3 - 1)
    assert [only(call["context"]) for call in first.calls] == [3]
    assert [only(call["context"]) for call in second.calls] == [1]
    alone = GuidedDenoiser(first, CfgGuidance(text(3), text(1), cfg=1.0), around, negative=second)
    assert only(alone(torch.ones(2, 4, 16, 16), SIGMA)) == 3
    assert len(second.calls) == 1


def test_a_text_of_no_tokens_is_run_apart_and_not_repeated():
    class Counts(SaysItsText):
        def __call__(self, x, t, context, **given):
            super().__call__(x, t, context, **given)
            return torch.full_like(x, context.shape[1])

    for repeats in (True, False):
        how = CfgGuidance(text(3, length=4), text(1, length=0), cfg=2.0)
        result, network = guide(how, network=Counts(), repeats_text=repeats)
        assert only(result) == 8
        assert [call["context"].shape[1] for call in network.calls] == [4, 0]


def test_basic_guidance_is_the_prediction():
    result, network = guide(BasicGuidance(text(3)))
    assert only(result) == 3
    assert len(network.calls) == 1


def test_dual_guidance_plain_and_nested():
    plain, network = guide(DualCfgGuidance(text(5), text(3), text(1), cfg_conds=2.0, cfg_middle=4.0))
    assert only(plain) == 1 + 4 * (3 - 1) + 2 * (5 - 3)
    assert len(network.calls) == 1
    nested, _ = guide(DualCfgGuidance(text(5), text(3), text(1), cfg_conds=2.0, cfg_middle=4.0, nested=True))
    assert only(nested) == 1 + 4 * ((3 + 2 * (5 - 3)) - 1)


def test_max_rows_splits_the_call_and_not_the_result():
    whole, _ = guide(CfgGuidance(text(3), text(1), cfg=7.0), batch=2)
    split, network = guide(CfgGuidance(text(3), text(1), cfg=7.0), batch=2, max_rows=2)
    assert torch.equal(whole, split)
    assert [call["x"].shape[0] for call in network.calls] == [2, 2]


def test_contexts_of_other_lengths_are_repeated_to_a_common_one():
    result, network = guide(CfgGuidance(text(3, length=4), text(1, length=6), cfg=2.0))
    assert only(result) == pytest.approx(5)
    assert network.calls[0]["context"].shape == (2, 12, 3)


def test_contexts_that_would_have_to_be_repeated_often_are_run_apart():
    _, network = guide(CfgGuidance(text(3, length=7), text(1, length=11), cfg=2.0))
    assert [call["context"].shape[1] for call in network.calls] == [7, 11]


def test_a_text_among_other_tokens_is_not_repeated():
    _, network = guide(CfgGuidance(text(3, length=4), text(1, length=8), cfg=2.0), repeats_text=False)
    assert [call["context"].shape[1] for call in network.calls] == [4, 8]
    _, network = guide(CfgGuidance(text(3, length=4), text(1, length=4), cfg=2.0), repeats_text=False)
    assert [call["context"].shape for call in network.calls] == [(2, 4, 3)]


def test_the_network_gets_scaled_x_and_the_timestep_of_sigma():
    _, network = guide(BasicGuidance(text(3)), batch=2, sigma=3.0)
    assert only(network.calls[0]["x"]) == pytest.approx(1 / 10**0.5)
    assert network.calls[0]["t"].tolist() == [X0.timestep(3.0)] * 2


def test_what_does_not_change_is_stacked_once():
    network = SaysItsText()
    denoiser = GuidedDenoiser(network, CfgGuidance(text(3), text(1)), Surroundings(X0, FORMAT, torch.zeros(1, 4, 8, 8)))
    for sigma in (3.0, 2.0, 1.0):
        denoiser(torch.ones(1, 4, 8, 8), sigma)
    assert len({call["context"].data_ptr() for call in network.calls}) == 1


def test_several_conditionings_are_blended_by_their_strengths():
    result, network = guide(BasicGuidance(text(1, strength=3.0) + text(5, strength=1.0)))
    assert only(result) == pytest.approx((3 * 1 + 1 * 5) / 4)
    assert len(network.calls) == 1


def test_a_mask_says_how_much_each_text_counts_where():
    mask = torch.zeros(1, 16, 16)
    mask[:, :, 8:] = 1.0
    result, _ = guide(BasicGuidance(text(2, mask=mask, mask_strength=0.5) + text(4)))
    assert result[..., :8].unique().tolist() == [4.0]
    assert result[..., 8:].unique().tolist() == pytest.approx([(0.5 * 2 + 4) / 1.5])


def test_a_mask_of_another_size_is_fitted():
    mask = torch.zeros(128, 128)
    mask[:, 64:] = 1.0
    result, _ = guide(BasicGuidance(text(2, mask=mask) + text(4, mask=1 - mask)))
    assert result[..., :7].unique().tolist() == [4.0]
    assert result[..., 9:].unique().tolist() == [2.0]


def test_where_no_text_reaches_the_prediction_is_zero():
    mask = torch.zeros(1, 16, 16)
    mask[:, :, 8:] = 1.0
    result, _ = guide(BasicGuidance(text(2, mask=mask)))
    assert result[..., :8].unique().tolist() == [0.0]
    assert result[..., 8:].unique().tolist() == [2.0]


def test_an_area_is_evaluated_alone_and_fades_in_at_its_inner_edges():
    result, network = guide(BasicGuidance(text(9, area=(32, 16, 0, 16)) + text(1)), side=32)
    assert network.calls[0]["x"].shape[-2:] == (32, 16)
    row = result[0, 0, 0]
    assert row[:16].unique().tolist() == [1.0]
    # quarter of 16 = 4 pixels of ramp: weights 1/4, 2/4, 3/4, 1 against the whole picture's 1
    expected = [(w * 9 + 1) / (w + 1) for w in (0.25, 0.5, 0.75, 1.0)]
    assert row[16:20].tolist() == pytest.approx(expected)
    assert row[20:].tolist() == pytest.approx([5.0] * 12)  # no fade at the picture's own edge
    assert torch.allclose(result, result[:, :, :1].expand_as(result))


def test_an_area_fades_out_again_and_only_at_the_edges_that_are_not_the_pictures():
    result, _ = guide(BasicGuidance(text(9, area=(16, 16, 0, 0)) + text(1)), side=32)
    fading = [(w * 9 + 1) / (w + 1) for w in (1.0, 0.75, 0.5, 0.25)]
    assert result[0, 0, 0, :12].unique().tolist() == [5.0]
    assert result[0, 0, 0, 12:16].tolist() == pytest.approx(fading)
    assert result[0, 0, :, 0].tolist() == pytest.approx([5.0] * 12 + fading + [1.0] * 16)


def test_an_area_may_be_given_in_shares_of_the_picture():
    absolute, _ = guide(BasicGuidance(text(9, area=(8, 16, 8, 0)) + text(1)))
    share, _ = guide(BasicGuidance(text(9, area=("percentage", 0.5, 1.0, 0.5, 0.0)) + text(1)))
    assert torch.equal(absolute, share)


def test_an_area_beyond_the_picture_is_cut():
    result, network = guide(BasicGuidance(text(9, area=(64, 64, 4, 8)) + text(1)))
    assert network.calls[0]["x"].shape[-2:] == (12, 8)
    assert torch.isfinite(result).all()


def test_strength_scales_an_area():
    result, _ = guide(BasicGuidance(text(9, area=(32, 32, 0, 0), strength=3.0) + text(1)), side=32)
    assert only(result) == pytest.approx((3 * 9 + 1) / 4)


def test_the_bounds_of_a_mask_can_be_the_area():
    mask = torch.zeros(1, 32, 32)
    mask[:, 4:20, 8:30] = 1.0
    _, network = guide(BasicGuidance(text(9, mask=mask, set_area_to_bounds=True) + text(1)), side=32)
    assert network.calls[0]["x"].shape[-2:] == (16, 22)


def test_an_area_is_guided_against_the_negative_on_that_area():
    result, network = guide(CfgGuidance(text(9, area=(16, 8, 0, 0)) + text(1), text(2), cfg=3.0))
    shapes = sorted((call["x"].shape[0], *call["x"].shape[-2:]) for call in network.calls)
    assert shapes == [(2, 16, 8), (2, 16, 16)]
    # at the far left: positive (9 + 1) / 2 = 5, negative 2: 2 + 3 * (5 - 2)
    assert result[0, 0, 0, 0].item() == pytest.approx(11)
    assert result[0, 0, 0, -1].item() == pytest.approx(2 + 3 * (1 - 2))


def test_a_timestep_range_switches_a_text_on_and_off():
    early, late = text(1, start_percent=0.0, end_percent=0.5), text(5, start_percent=0.5, end_percent=1.0)
    middle = X0.percent_to_sigma(0.5)
    assert only(guide(BasicGuidance(early + late), sigma=middle * 1.5)[0]) == 1
    assert only(guide(BasicGuidance(early + late), sigma=middle * 0.9)[0]) == 5


def test_rescaling_gives_the_guided_prediction_the_spread_of_the_positive():
    x, positive, guided = (torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(i)) for i in range(3))
    for schedule, velocity in (
        (X0, lambda d: (x / (2.0**2 + 1) - d) * (2.0**2 + 1) ** 0.5 / 2.0),
        (NoiseSchedule(Parameterization(prediction="flow", schedule="flow")), lambda d: (x - d) / 2.0),
    ):
        full = rescaled(schedule, x, 2.0, guided * 5, positive, 1.0)
        spread = velocity(full).std(dim=(1, 2, 3))
        assert torch.allclose(spread, velocity(positive).std(dim=(1, 2, 3)), rtol=1e-3)
        half = rescaled(schedule, x, 2.0, guided * 5, positive, 0.5)
        assert torch.allclose(half, (full + guided * 5) / 2, atol=1e-5)


def test_rescale_pulls_the_guided_spread_in():
    def wavy(x, t, context, **_):
        return torch.sin(x * context.mean(dim=(1, 2)).reshape(-1, 1, 1, 1))

    schedule, x = NoiseSchedule(Parameterization(prediction="x0")), torch.randn(1, 4, 8, 8)
    around = Surroundings(schedule, FORMAT, x)
    spreads = [
        GuidedDenoiser(wavy, CfgGuidance(text(3), text(1), 9.0, rescale=share), around)(x, SIGMA).std().item()
        for share in (0.0, 0.5, 1.0)
    ]
    assert spreads[0] > spreads[1] > spreads[2]


def test_hooks_see_the_step_and_may_change_it():
    seen = []

    def hook(step):
        seen.append((step.sigma, only(step.positive), only(step.negative)))
        return step.denoised + 100

    result, _ = guide(CfgGuidance(text(3), text(1), cfg=2.0, hooks=(hook, hook)))
    assert only(result) == 205
    assert seen == [(SIGMA, 3, 1)] * 2


class Control:
    def __init__(self, value, previous=None, start=0.0, end=1.0):
        self.value, self.previous, self.start_percent, self.end_percent = value, previous, start, end


def bind(control, pictures):
    def residuals(x, t, context, options):
        assert x.shape[0] == t.shape[0] == context.shape[0]
        return {"down": [torch.full((1,), control.value), None], "mid": torch.full((1,), control.value * 10)}

    return residuals


def controls_of(network):
    return [None if c["control"] is None else float(c["control"]["mid"]) for c in network.calls]


def test_the_residuals_of_a_chain_of_controls_are_added():
    chain = Control(2.0, previous=Control(1.0))
    _, network = guide(BasicGuidance(text(3, control=chain)), controls=bind)
    control = network.calls[0]["control"]
    assert float(control["down"][0]) == 3.0
    assert control["down"][1] is None
    assert float(control["mid"]) == 30.0


def test_one_control_on_both_texts_keeps_them_in_one_call_and_is_bound_once():
    control, bound = Control(2.0), []
    _, network = guide(
        CfgGuidance(text(3, control=control), text(1, control=control)),
        batch=3,
        controls=lambda c, pictures: bound.append((c, pictures)) or bind(c, pictures),
    )
    assert controls_of(network) == [20.0]
    assert bound == [(control, 3)]


def test_a_control_on_one_text_runs_the_texts_apart():
    _, network = guide(CfgGuidance(text(3, control=Control(2.0)), text(1)), controls=bind)
    assert controls_of(network) == [20.0, None]


def test_a_control_may_be_lent_to_the_negative():
    positive = text(3, control=Control(2.0), control_apply_to_uncond=True)
    _, network = guide(CfgGuidance(positive, text(1)), controls=bind)
    assert controls_of(network) == [20.0]


def test_a_control_outside_its_range_rests():
    control = Control(2.0, previous=Control(1.0), start=0.0, end=0.5)
    conditioning = text(3, control=control)
    middle = X0.percent_to_sigma(0.5)
    assert controls_of(guide(BasicGuidance(conditioning), controls=bind, sigma=middle * 1.5)[1]) == [30.0]
    assert controls_of(guide(BasicGuidance(conditioning), controls=bind, sigma=middle * 0.5)[1]) == [10.0]


def test_a_control_takes_part_at_both_ends_of_its_range():
    conditioning = text(3, control=Control(2.0, start=0.25, end=0.5))
    start, end = X0.percent_to_sigma(0.25), X0.percent_to_sigma(0.5)
    at = lambda sigma: controls_of(guide(BasicGuidance(conditioning), controls=bind, sigma=sigma)[1])  # noqa: E731
    assert [at(sigma) for sigma in (start * 1.001, start, end, end * 0.999)] == [[None], [20.0], [20.0], [None]]


def test_a_control_that_nothing_runs_is_refused():
    with pytest.raises(ValueError, match="given no `controls`"):
        guide(BasicGuidance(text(3, control=Control(1.0))))


def test_an_empty_conditioning_is_refused():
    with pytest.raises(ValueError, match="the positive conditioning is empty"):
        guide(BasicGuidance([]))


def test_what_the_network_makes_of_options_is_stacked_for_both_conditions():
    def inputs(options, latent, positive):
        return {
            "pooled": options["pooled_output"] + latent.shape[-1],
            "sign": torch.full((2, 1), 1.0 if positive else -1.0),
        }

    positive, negative = text(3, pooled_output=torch.ones(1, 5)), text(1, pooled_output=torch.zeros(1, 5))
    _, network = guide(CfgGuidance(positive, negative), batch=2, inputs=inputs)
    given = network.calls[0]["options"]
    assert given["pooled"].tolist() == [[17.0] * 5] * 2 + [[16.0] * 5] * 2
    assert given["sign"].flatten().tolist() == [1.0, 1.0, -1.0, -1.0]
    _, network = guide(CfgGuidance(positive, negative))
    assert network.calls[0]["options"] is None


def test_an_inpainting_network_sees_mask_and_masked_picture():
    mask = torch.zeros(1, 1, 16, 16)
    mask[..., :8] = 1.0
    picture = torch.full((1, 4, 16, 16), 0.5)
    options = {"concat_mask": mask, "concat_latent_image": picture}
    _, network = guide(CfgGuidance(text(3, **options), text(1, **options)), batch=2, inpaint_model=True)
    concat = network.calls[0]["concat"]
    assert concat.shape == (4, 5, 16, 16)
    assert torch.equal(concat[:, :1], mask.expand(4, -1, -1, -1))
    assert only(concat[:, 1:]) == 0.5


def test_a_picture_of_another_shape_is_cut_about_its_centre_for_an_inpainting_network():
    columns = torch.arange(32.0).expand(1, 4, 16, 32)  # twice as wide as the latent: the middle 16 columns stay
    mask = (columns[:, :1] < 16).float()
    _, network = guide(BasicGuidance(text(3, concat_mask=mask, concat_latent_image=columns)), inpaint_model=True)
    concat = network.calls[0]["concat"]
    assert torch.equal(concat[:, 1:], columns[..., 8:24])
    assert torch.equal(concat[:, :1], mask[..., 8:24])
    tall = torch.arange(64.0)[:, None].expand(1, 4, 64, 32)
    _, network = guide(BasicGuidance(text(3, concat_mask=mask, concat_latent_image=tall)), inpaint_model=True)
    assert network.calls[0]["concat"][0, 1, :, 0].tolist() == [16.5 + 2 * row for row in range(16)]


def test_an_inpainting_network_without_a_picture_sees_grey_and_a_full_mask():
    _, network = guide(BasicGuidance(text(3)), inpaint_model=True)
    concat = network.calls[0]["concat"]
    assert only(concat[:, 0]) == 1.0
    assert concat[0, 1:, 0, 0].tolist() == pytest.approx([0.8223, -0.6876, 0.6364, 0.1380])
