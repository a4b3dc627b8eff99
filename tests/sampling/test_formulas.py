"""Samplers against their papers' formulas written out for scalars, and numbers measured in the field."""

from __future__ import annotations

import math

import pytest
import torch
from scipy import integrate

from engine.datatypes.parameterization import Parameterization
from engine.sampling.noise_schedule import NoiseSchedule
from engine.sampling.samplers import SAMPLERS
from engine.sampling.samplers.unipc import _Weights
from engine.sampling.schedules import compute_sigmas

VE = NoiseSchedule(Parameterization())
FLOW = NoiseSchedule(Parameterization(prediction="flow", schedule="flow"))
BOTH = pytest.mark.parametrize("schedule", [VE, FLOW], ids=["discrete", "flow"])


def predicted(x, sigma):
    """A prediction that is smooth and no straight line, of numbers or tensors."""
    return 0.4 * x / (1.0 + sigma) + 0.3 * sigma - 0.1


def run(name, sigmas, *, schedule=VE, noise=(), denoiser=predicted, **options):
    """Start at 1; fresh noise is the numbers of `noise` in turn."""
    numbers = iter(noise)
    x = torch.ones(1, 1, 1, 1, dtype=torch.float64)
    result = SAMPLERS[name](
        denoiser,
        x,
        torch.tensor(sigmas, dtype=torch.float64),
        schedule=schedule,
        noise_sampler=lambda sigma, sigma_next: torch.full_like(x, next(numbers)),
        **options,
    )
    assert next(numbers, None) is None
    return result.item()


def test_ipndm_v_has_the_fields_coefficients_and_deis_the_exact_ones():
    sigmas = [8.0, 5.0, 3.0, 1.5, 0.5, 0.0]
    half = lambda x, sigma: x / 2  # noqa: E731
    assert run("ipndm_v", sigmas, denoiser=half) == pytest.approx(0.136596, abs=5e-7)
    assert run("lms", sigmas, denoiser=half) == pytest.approx(
        0.141080, abs=5e-6
    )  # exact Adams-Bashforth, and its last step


def test_ipndm_v_is_adams_bashforth_up_to_order_two():
    sigmas = [8.0, 5.0, 3.0, 1.5, 0.5, 0.0]
    exact = run("lms", sigmas, order=2)
    assert run("ipndm_v", sigmas, max_order=2) == pytest.approx(exact)
    assert run("ipndm_v", sigmas, max_order=3) != pytest.approx(run("lms", sigmas, order=3))
    even = [5.0, 4.0, 3.0, 2.0, 1.0, 0.0]
    assert run("ipndm_v", even, max_order=3) == pytest.approx(run("lms", even, order=3))


def test_the_last_step_of_lms_is_the_prediction():
    x = run("lms", [8.0, 5.0, 3.0])
    assert run("lms", [8.0, 5.0, 3.0, 0.0]) == pytest.approx(predicted(x, 3.0))


def growth(rate, start, end, constant, slope):
    """The integral of rate exp(rate (u - end)) (constant + slope (u - start)) over the way."""
    return integrate.quad(lambda u: rate * math.exp(rate * (u - end)) * (constant + slope * (u - start)), start, end)[0]


def seeds(schedule, sigma, sigma_next, inner, noise, eta):
    """Gonzalez et al. 2023, algorithms 2 and 3 in data prediction, as integrals; one draw for each stage's piece of path."""
    alpha, lam = schedule.alpha, schedule.half_log_snr
    start, end = lam(sigma), lam(sigma_next)
    at = [start + r * (end - start) for r in (*inner, 1.0)]
    x, predictions = 1.0, [predicted(1.0, sigma)]
    for stage, where in enumerate(at):
        level = schedule.sigma_of_half_log_snr(where)
        h = where - start
        slope = 0.0
        if stage > 0 and len(at) == 3:
            slope = (predictions[-1] - predictions[0]) / (at[stage - 1] - start)
        constant = predictions[0]
        if stage > 0 and len(at) == 2:  # order 2: the change at the inner point counts 1 / (2 r)
            constant += (predictions[-1] - predictions[0]) / (2.0 * inner[0])
        integral = growth(1 + eta, start, where, constant, slope)
        found = level / sigma * math.exp(-eta * h) * x + alpha(level) * integral
        pieces = zip([start, *at][: stage + 1], at[: stage + 1], noise)
        for begin, finish, z in pieces:
            variance = math.exp(-2 * eta * (where - finish)) - math.exp(-2 * eta * (where - begin))
            found += level * math.sqrt(variance) * z
        predictions.append(predicted(found, level))
    return found


@BOTH
@pytest.mark.parametrize("eta", [0.0, 1.0, 0.6])
@pytest.mark.parametrize(("name", "inner"), [("seeds_2", (0.5,)), ("seeds_3", (1 / 3, 2 / 3))])
def test_seeds_is_the_papers_integral_with_one_path_of_noise(name, inner, eta, schedule):
    noise = (0.7, -1.1, 0.4)[: len(inner) + 1] if eta else ()
    expected = seeds(schedule, 0.8, 0.3, inner, noise or (0.0,) * 3, eta)
    result = run(name, [0.8, 0.3], schedule=schedule, noise=noise, eta=eta)
    assert result == pytest.approx(expected, rel=1e-6)  # inner levels are float32


def adams(schedule, x, nodes, values, sigma, sigma_next, tau, z):
    """One step of Xue et al. 2023, eq. 13-14: the polynomial through `values` at levels `nodes`, integrated."""
    lam = schedule.half_log_snr
    start, end, rate = lam(sigma), lam(sigma_next), 1 + tau**2

    def polynomial(u):
        places = [lam(node) for node in nodes]
        return sum(
            value * math.prod((u - other) / (own - other) for other in places if other != own)
            for own, value in zip(places, values, strict=True)
        )

    integral, _ = integrate.quad(lambda u: rate * math.exp(-rate * (end - u)) * polynomial(u), start, end)
    h = end - start
    noise = sigma_next * math.sqrt(-math.expm1(-2 * tau**2 * h)) * z
    return sigma_next / sigma * math.exp(-(tau**2) * h) * x + schedule.alpha(sigma_next) * integral + noise


def sa(schedule, sigmas, taus, noise, pece):
    """Predict with up to 3, correct with up to 4 predictions; both fall to order 1 towards zero."""
    steps, x, ahead, values = len(sigmas) - 1, 1.0, 1.0, []
    for i in range(steps):
        values.append(predicted(ahead, sigmas[i]))
        x_before, x = x, ahead
        if i > 0 and (pece or sigmas[i + 1] > 0):
            order = min(4, len(values), steps - i)
            span = sigmas[i - 1], sigmas[i]
            x = adams(
                schedule, x_before, sigmas[i - order + 1 : i + 1], values[-order:], *span, taus[i - 1], noise[i - 1]
            )
            if pece:
                values[-1] = predicted(x, sigmas[i])
        if sigmas[i + 1] == 0:
            return values[-1]
        order = min(3, len(values), steps - 1 - i)
        nodes = sigmas[i - order + 1 : i + 1]
        ahead = adams(schedule, x, nodes, values[-order:], sigmas[i], sigmas[i + 1], taus[i], noise[i])
    raise AssertionError


@BOTH
@pytest.mark.parametrize("name", ["sa_solver", "sa_solver_pece"])
def test_sa_solver_predicts_and_corrects_with_noise_in_the_middle(name, schedule):
    shares = (0.9, 0.7, 0.5, 0.35, 0.25, 0.1)
    sigmas = [share * schedule.sigma_max if schedule.is_flow else share * 10.0 for share in shares] + [0.0]
    middle = [schedule.percent_to_sigma(0.8) <= sigma <= schedule.percent_to_sigma(0.2) for sigma in sigmas[1:]]
    noise = [(-1) ** i * 0.5 + 0.1 * i for i in range(len(middle))]
    taus = [float(inside) for inside in middle]
    assert 2 <= sum(middle) <= 4
    expected = sa(schedule, sigmas, taus, [z * tau for z, tau in zip(noise, taus)], name.endswith("pece"))
    drawn = [z for z, tau in zip(noise, taus) if tau]
    assert run(name, sigmas, schedule=schedule, noise=drawn) == pytest.approx(expected, rel=1e-9)


def unipc_weights(sigmas, step, order):
    """The corrector of UniPC with B(h) = -h from float32 phi functions: Zhao et al. 2023, appendix, in their order."""
    log_alpha = [0.5 * torch.log(1 / (sigma * sigma + 1)) for sigma in sigmas]
    lam = [one - 0.5 * torch.log(1.0 - torch.exp(2.0 * one)) for one in log_alpha]
    h = lam[step] - lam[step - 1]
    r = torch.stack([*((lam[step - 1 - k] - lam[step - 1]) / h for k in range(1, order)), torch.ones_like(h)])
    phi, right, factorial = torch.expm1(-h) / -h - 1, [], 1
    for k in range(1, order + 1):
        right.append(phi * factorial / -h)
        factorial *= k + 1
        phi = phi / -h - 1 / factorial
    return torch.linalg.solve(torch.stack([r**k for k in range(order)]), torch.stack(right)).tolist()


def test_uni_pc_rounds_as_the_field_does_where_levels_lie_close():
    sigmas = compute_sigmas(VE, "linear_quadratic", 20, sampler_name="uni_pc")
    ours = _Weights(sigmas.tolist(), 4, 3, "bh1").corrector
    assert ours == unipc_weights(list(sigmas), 4, 3)
    exact = unipc_weights(list(sigmas.double()), 4, 3)
    assert exact == pytest.approx([0.2088, -0.0837, 0.3745], abs=1e-3)
    assert abs(ours[0] - exact[0]) > 1.0
    sigmas = compute_sigmas(VE, "karras", 20, sampler_name="uni_pc")
    exact = unipc_weights(list(sigmas.double()), 8, 3)
    assert _Weights(sigmas.tolist(), 8, 3, "bh1").corrector == pytest.approx(exact, abs=1e-3)


@pytest.mark.parametrize("name", ["uni_pc", "dpm_fast", "dpm_adaptive"])
def test_one_step_to_zero_is_the_prediction(name):
    """Where the field returns the noise: it never calls the model, or divides x by sqrt(1 + sigma^2)."""
    assert run(name, [2.0, 0.0]) == pytest.approx(predicted(1.0, 2.0), abs=2e-3)


def test_dpmpp_2m_sde_heun_takes_the_linear_part_exactly():
    sigmas = [4.0, 2.0, 1.0]
    x = run("dpmpp_2m_sde", [4.0, 2.0], eta=0.0)
    change = (predicted(x, 2.0) - predicted(1.0, 4.0)) / math.log(2.0)
    integral, _ = integrate.quad(lambda u: math.exp(-(math.log(2.0) - u)) * change * u, 0.0, math.log(2.0))
    expected = 0.5 * x + 0.5 * predicted(x, 2.0) + integral
    assert run("dpmpp_2m_sde_heun", sigmas, eta=0.0) == pytest.approx(expected)
    assert run("dpmpp_2m_sde", sigmas, eta=0.0, solver_type="heun") == pytest.approx(expected)


@pytest.mark.parametrize("name", ["euler_ancestral", "dpm_2_ancestral", "dpmpp_2s_ancestral"])
def test_ancestral_steps_of_a_flow_rescale_to_the_signal_share(name):
    """Down past the next level by its share of the step, then back by rescaling; the noise fills up the variance."""
    down = 0.4 * (0.4 / 0.8)
    denoiser = lambda x, sigma: torch.full_like(x, 0.3)  # noqa: E731
    euler = down / 0.8 * 1.0 + (1.0 - down / 0.8) * 0.3
    rescale = 0.6 / (1.0 - down)
    expected = rescale * euler + math.sqrt(0.16 - (down * rescale) ** 2) * 0.7
    assert run(name, [0.8, 0.4], schedule=FLOW, noise=[0.7], denoiser=denoiser) == pytest.approx(expected)


def test_lcm_of_a_flow_noises_the_prediction_by_its_share():
    assert run("lcm", [0.8, 0.4], schedule=FLOW, noise=[0.7]) == pytest.approx(0.6 * predicted(1.0, 0.8) + 0.4 * 0.7)


def test_lcm_scales_its_noise_from_the_first_step_to_the_last():
    levels, options = [0.8, 0.6, 0.4, 0.0], {"s_noise": 2.0, "s_noise_end": 1.0}
    x = 0.4 * predicted(1.0, 0.8) + 0.6 * 0.7 * 2.0
    x = 0.6 * predicted(x, 0.6) + 0.4 * -0.2 * 1.5
    assert run("lcm", levels, schedule=FLOW, noise=[0.7, -0.2], **options) == pytest.approx(predicted(x, 0.4))


def test_lcm_cuts_its_noise_at_so_many_deviations():
    noise = torch.tensor([[[[3.0, -1.0, 0.0, 1.0, -3.0]]]], dtype=torch.float64)
    x = torch.zeros_like(noise)
    result = SAMPLERS["lcm"](
        lambda x, sigma: torch.zeros_like(x),
        x,
        torch.tensor([0.8, 0.5], dtype=torch.float64),
        schedule=FLOW,
        noise_sampler=lambda sigma, sigma_next: noise,
        noise_clip_std=1.0,
    )
    most = float(noise.std())
    assert result.flatten().tolist() == pytest.approx([most / 2, -0.5, 0.0, 0.5, -most / 2])


@BOTH
def test_er_sde_as_an_ode_of_one_stage_is_euler_in_sigma_over_alpha(schedule):
    high, low = (0.8, 0.4) if schedule is FLOW else (4.0, 2.0)
    shares = [schedule.alpha(sigma) for sigma in (high, low)]
    ratio = (low / shares[1]) / (high / shares[0])
    expected = shares[1] * (ratio / shares[0] + (1.0 - ratio) * predicted(1.0, high))
    for options in ({"solver_type": "ODE"}, {"eta": 0.0}, {"solver_type": "Reverse-time SDE", "eta": 0.0}):
        assert run("er_sde", [high, low], schedule=schedule, max_stage=1, s_noise=0.0, **options) == pytest.approx(
            expected
        )


def test_er_sde_for_the_reverse_time_sde_shrinks_by_the_square():
    keep = (2.0 / 4.0) ** 2
    expected = keep + (1.0 - keep) * predicted(1.0, 4.0) + 0.7 * math.sqrt(2.0**2 - (4.0 * keep) ** 2)
    options = {"solver_type": "Reverse-time SDE", "max_stage": 1}
    assert run("er_sde", [4.0, 2.0], noise=[0.7], **options) == pytest.approx(expected)


def test_er_sde_takes_eta_in_its_exponent():
    scaled = [u * (math.exp(0.5 * u**0.3) + 10.0) for u in (4.0, 2.0)]
    keep = scaled[1] / scaled[0]
    expected = keep + (1.0 - keep) * predicted(1.0, 4.0) + 0.7 * math.sqrt(4.0 - (4.0 * keep) ** 2)
    assert run("er_sde", [4.0, 2.0], noise=[0.7], max_stage=1, eta=0.5) == pytest.approx(expected)


def test_er_sde_of_another_name_is_refused():
    with pytest.raises(ValueError, match="no solver 'SDE'; there are ER-SDE, Reverse-time SDE, ODE"):
        run("er_sde", [4.0, 2.0], solver_type="SDE")


def test_ddpm_of_a_flow_is_the_posterior_of_x_over_alpha():
    keep = ((0.4 / 0.6) / (0.8 / 0.2)) ** 2
    mean = 0.6 * (keep * 1.0 / 0.2 + (1.0 - keep) * predicted(1.0, 0.8))
    expected = mean + 0.4 * math.sqrt(1.0 - keep) * 0.7
    assert run("ddpm", [0.8, 0.4], schedule=FLOW, noise=[0.7]) == pytest.approx(expected)


def test_res_multistep_ancestral_knows_no_flow():
    down, up = 0.4 * 0.4 / 0.8, 0.4 * math.sqrt(1.0 - 0.25)
    expected = down / 0.8 + (1.0 - down / 0.8) * predicted(1.0, 0.8) + up * 0.7
    assert run("res_multistep_ancestral", [0.8, 0.4], schedule=FLOW, noise=[0.7]) == pytest.approx(expected)
