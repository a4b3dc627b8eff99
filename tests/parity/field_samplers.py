"""The field's 42 samplers as formulas of their own, in double precision: nothing here comes from the engine.

Each takes (model, x, s, noise, tree): `model(x, sigma)` gives the guided and the unconditional prediction of x_0, `s` the
levels, `noise()` the next draw of fresh noise, `tree(a, b)` the increment of the Brownian path between two levels, of unit
variance. For a variance-exploding process, where lambda = -log sigma. Papers are named at each.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import numpy as np
import torch
from numpy.polynomial import Polynomial
from scipy import integrate

from tests.parity.field_levels import sigma_of

Model = Callable[[np.ndarray, float], tuple[np.ndarray, np.ndarray]]


def split(a: float, b: float, eta: float = 1.0) -> tuple[float, float]:
    """(down, up) of an ancestral step from level a to b (Song et al. 2020): down² + up² = b²."""
    up = min(b, eta * b * math.sqrt(max(a * a - b * b, 0.0)) / a) if b else 0.0
    return math.sqrt(max(b * b - up * up, 0.0)), up


def steps_of(s):
    return itertools.pairwise(s)


# One evaluation a step, the plain slope


def euler(model, x, s, noise, tree):
    for a, b in steps_of(s):
        x = x + (x - model(x, a)[0]) / a * (b - a)
    return x


def euler_ancestral(model, x, s, noise, tree):
    for a, b in steps_of(s):
        down, up = split(a, b)
        x = x + (x - model(x, a)[0]) / a * (down - a)
        if b:
            x = x + up * noise()
    return x


def heun(model, x, s, noise, tree):
    for a, b in steps_of(s):
        d = (x - model(x, a)[0]) / a
        if b:
            ahead = x + d * (b - a)
            d = (d + (ahead - model(ahead, b)[0]) / b) / 2
        x = x + d * (b - a)
    return x


def heunpp2(model, x, s, noise, tree):
    def slope(x, a):
        return (x - model(x, a)[0]) / a

    for i, (a, b) in enumerate(steps_of(s)):
        d = slope(x, a)
        if b == s[-1]:
            total = d
        elif s[i + 2] == s[-1]:
            share = b / (2 * s[0])
            total = d * (1 - share) + slope(x + d * (b - a), b) * share
        else:
            c = s[i + 2]
            x2 = x + d * (b - a)
            d2 = slope(x2, b)
            d3 = slope(x2 + d2 * (c - b), c)
            share2, share3 = b / (3 * s[0]), c / (3 * s[0])
            total = d * (1 - share2 - share3) + d2 * share2 + d3 * share3
        x = x + total * (b - a)
    return x


def midpoint(model, x, a, b):
    d = (x - model(x, a)[0]) / a
    if b == 0:
        return x - d * a
    m = math.sqrt(a * b)
    x2 = x + d * (m - a)
    return x + (x2 - model(x2, m)[0]) / m * (b - a)


def dpm_2(model, x, s, noise, tree):
    for a, b in steps_of(s):
        x = midpoint(model, x, a, b)
    return x


def dpm_2_ancestral(model, x, s, noise, tree):
    for a, b in steps_of(s):
        down, up = split(a, b)
        x = midpoint(model, x, a, down)
        if down:
            x = x + up * noise()
    return x


# Linear multistep


def exact_weights(nodes, a, b, time=lambda u: u, density=lambda u: 1.0):
    """∫_a^b density(u) l_j(time(u)) du of each Lagrange polynomial through the nodes."""
    weights = []
    for j, node in enumerate(nodes):
        others = [other for k, other in enumerate(nodes) if k != j]

        def basis(u, node=node, others=others):
            return density(u) * math.prod((time(u) - o) / (node - o) for o in others)

        weights.append(integrate.quad(basis, a, b, epsrel=1e-9, epsabs=1e-12)[0])
    return weights


def multistep(model, x, s, order, weights):
    slopes = []
    for i, (a, b) in enumerate(steps_of(s)):
        denoised = model(x, a)[0]
        if b == 0:
            return denoised
        slopes = [(x - denoised) / a, *slopes][:order]
        x = x + sum(w * d for w, d in zip(weights(i, len(slopes)), slopes))
    return x


def lms(model, x, s, noise, tree):
    return multistep(model, x, s, 4, lambda i, n: exact_weights([s[i - j] for j in range(n)], s[i], s[i + 1]))


EVEN = {1: [1], 2: [3 / 2, -1 / 2], 3: [23 / 12, -16 / 12, 5 / 12], 4: [55 / 24, -59 / 24, 37 / 24, -9 / 24]}


def ipndm(model, x, s, noise, tree):
    return multistep(model, x, s, 4, lambda i, n: [w * (s[i + 1] - s[i]) for w in EVEN[n]])


def ipndm_v(model, x, s, noise, tree):
    """Zhang & Chen 2022 with the published code's correction terms, which are not those of exact integration."""

    def weights(i, n):
        h = [s[i + 1 - j] - s[i - j] for j in range(n)]
        if n == 1:
            shares = [1.0]
        else:
            r = h[0] / h[1]
            shares = [1 + r / 2, -r / 2]
        if n >= 3:
            q = h[1] / h[2]
            third = (1 - h[0] / (3 * (h[0] + h[1])) * (h[0] * (h[0] + h[1])) / (h[1] * (h[1] + h[2]))) / 2
            shares = [shares[0] + third, shares[1] - (1 + q) * third, third * q]
        if n == 4:
            p = h[1] * (h[1] + h[2]) / (h[2] * (h[2] + h[3]))
            inner = (1 - h[0] / (3 * (h[0] + h[1]))) / 2
            inner += (1 - h[0] / (2 * (h[0] + h[1]))) * h[0] / (6 * (h[0] + h[1] + h[2]))
            up = h[0] * (h[0] + h[1]) * (h[0] + h[1] + h[2])
            fourth = inner * up / (h[1] * (h[1] + h[2]) * (h[1] + h[2] + h[3]))
            shares = [
                shares[0] + fourth,
                shares[1] - (1 + q + p) * fourth,
                shares[2] + (q + p * (1 + h[2] / h[3])) * fourth,
                -fourth * p * q,
            ]
        return [share * h[0] for share in shares]

    return multistep(model, x, s, 4, weights)


def deis(model, x, s, noise, tree):
    """tAB-DEIS (Zhang & Chen 2022): polynomials in the time of the process whose levels run from 0.002 to 80."""
    low, high = math.log1p(0.002**2), math.log1p(80.0**2)
    grow = 2 * (low / 1e-3 - high) / (1e-3 - 1)
    base = high - grow / 2

    def time(u):
        return (math.sqrt(base**2 + 2 * grow * math.log1p(u * u)) - base) / grow

    return multistep(
        model, x, s, 3, lambda i, n: exact_weights([time(s[i - j]) for j in range(n)], s[i], s[i + 1], time)
    )


# DPM-Solver and DPM-Solver++ (Lu et al. 2022, 2022b)


def dpm_eps(model, x, lam):
    sigma = math.exp(-lam)
    return (x - model(x, sigma)[0]) / sigma


def dpm_1(model, x, t, t2, eps):
    return x - math.exp(-t2) * math.expm1(t2 - t) * eps


def dpm_2_step(model, x, t, t2, eps, r=0.5):
    h = t2 - t
    u = x - math.exp(-(t + r * h)) * math.expm1(r * h) * eps
    eps_r = dpm_eps(model, u, t + r * h)
    new = x - math.exp(-t2) * math.expm1(h) * eps
    return new - math.exp(-t2) / (2 * r) * math.expm1(h) * (eps_r - eps), eps_r


def dpm_3_step(model, x, t, t2, eps, r1=1 / 3, r2=2 / 3):
    h = t2 - t
    s1, s2 = t + r1 * h, t + r2 * h
    eps_1 = dpm_eps(model, x - math.exp(-s1) * math.expm1(r1 * h) * eps, s1)
    u2 = x - math.exp(-s2) * math.expm1(r2 * h) * eps
    u2 = u2 - math.exp(-s2) * (r2 / r1) * (math.expm1(r2 * h) / (r2 * h) - 1) * (eps_1 - eps)
    eps_2 = dpm_eps(model, u2, s2)
    new = x - math.exp(-t2) * math.expm1(h) * eps
    return new - math.exp(-t2) / r2 * (math.expm1(h) / h - 1) * (eps_2 - eps)


def ends_of(s):
    return -math.log(s[0]), -math.log(s[-2] if s[-1] == 0 else s[-1])


def dpm_fast(model, x, s, noise, tree):
    start, end = ends_of(s)
    if start == end:
        return x
    evaluations = len(s) - 1
    m = evaluations // 3 + 1
    orders = [3] * (m - 2) + [2, 1] if evaluations % 3 == 0 else [3] * (m - 1) + [evaluations % 3]
    times = np.linspace(start, end, m + 1)
    for t, t2, order in zip(times[:-1], times[1:], orders):
        eps = dpm_eps(model, x, t)
        if order == 1:
            x = dpm_1(model, x, t, t2, eps)
        elif order == 2:
            x, _ = dpm_2_step(model, x, t, t2, eps)
        else:
            x = dpm_3_step(model, x, t, t2, eps)
    return x


def dpm_adaptive(model, x, s, noise, tree):
    """DPM-Solver-23 with a PID controller: rtol 0.05, atol 0.0078, first step 0.05, coefficients 0, 1, 0."""
    t, end = ends_of(s)
    previous, h, rtol, atol = x, 0.05, 0.05, 0.0078
    while t < end - 1e-5:
        t2 = min(end, t + h)
        eps = dpm_eps(model, x, t)
        low, eps_r = dpm_2_step(model, x, t, t2, eps, 1 / 3)
        full = t2 - t
        u2 = x - math.exp(-(t + 2 / 3 * full)) * math.expm1(2 / 3 * full) * eps
        u2 = u2 - math.exp(-(t + 2 / 3 * full)) * 2 * (math.expm1(2 / 3 * full) / (2 / 3 * full) - 1) * (eps_r - eps)
        eps_2 = dpm_eps(model, u2, t + 2 / 3 * full)
        high = x - math.exp(-t2) * math.expm1(full) * eps
        high = high - math.exp(-t2) * 1.5 * (math.expm1(full) / full - 1) * (eps_2 - eps)
        scale = np.maximum(atol, rtol * np.maximum(np.abs(low), np.abs(previous)))
        error = np.linalg.norm((low - high) / scale) / math.sqrt(x.size)
        factor = 1 + math.atan((1 / (error + 1e-8)) ** (1 / 3) - 1)
        if factor >= 0.81:
            previous, x, t = low, high, t2
        h *= factor
    return x


def dpmpp_2s_ancestral(model, x, s, noise, tree):
    for a, b in steps_of(s):
        denoised = model(x, a)[0]
        down, up = split(a, b)
        if down == 0:
            x = denoised
        else:
            m = math.sqrt(a * down)
            x2 = m / a * x + (1 - m / a) * denoised
            x = down / a * x + (1 - down / a) * model(x2, m)[0]
        if b:
            x = x + up * noise()
    return x


def middle(a: float, b: float) -> float:
    """The level half way in lambda, in single precision: where the field asks the Brownian path, rough as it is."""
    high, low = (torch.tensor(one, dtype=torch.float32).log().neg() for one in (a, b))
    return float((high + 0.5 * (low - high)).neg().exp())


def dpmpp_sde(model, x, s, noise, tree):
    for a, b in steps_of(s):
        denoised = model(x, a)[0]
        if b == 0:
            return denoised
        m = middle(a, b)
        down, up = split(a, m)
        x2 = down / a * x + (1 - down / a) * denoised + up * tree(a, m)
        second = model(x2, m)[0]
        down, up = split(a, b)
        x = down / a * x + (1 - down / a) * second + up * tree(a, b)
    return x


def dpmpp_2m(model, x, s, noise, tree):
    old = None
    for i, (a, b) in enumerate(steps_of(s)):
        denoised = model(x, a)[0]
        if b == 0:
            return denoised
        mixed = denoised
        if old is not None:
            r = math.log(s[i - 1] / a) / math.log(a / b)
            mixed = denoised + (denoised - old) / (2 * r)
        x = b / a * x + (1 - b / a) * mixed
        old = denoised
    return x


def dpmpp_2m_sde(model, x, s, noise, tree, kind="midpoint"):
    old = h_last = None
    for a, b in steps_of(s):
        denoised = model(x, a)[0]
        if b == 0:
            return denoised
        h = math.log(a / b)
        gone = -math.expm1(-2 * h)
        x = b / a * math.exp(-h) * x + gone * denoised
        if old is not None:
            slope = (denoised - old) * (h / h_last)
            x = x + slope * (gone / 2 if kind == "midpoint" else 1 - gone / (2 * h))
        x = x + b * math.sqrt(gone) * tree(a, b)
        old, h_last = denoised, h
    return x


def dpmpp_2m_sde_heun(model, x, s, noise, tree):
    return dpmpp_2m_sde(model, x, s, noise, tree, "heun")


def dpmpp_3m_sde(model, x, s, noise, tree):
    past: list[tuple[np.ndarray, float]] = []
    for a, b in steps_of(s):
        denoised = model(x, a)[0]
        if b == 0:
            return denoised
        h = math.log(a / b)
        x = math.exp(-2 * h) * x - math.expm1(-2 * h) * denoised
        phi_2 = math.expm1(-2 * h) / (2 * h) + 1
        if len(past) == 2:
            (one, h1), (two, h2) = past
            r0, r1 = h1 / h, h2 / h
            d0, d1 = (denoised - one) / r0, (one - two) / r1
            first = d0 + (d0 - d1) * r0 / (r0 + r1)
            second = (d0 - d1) / (r0 + r1)
            x = x + phi_2 * first - (phi_2 / (2 * h) - 0.5) * second
        elif past:
            x = x + phi_2 * (denoised - past[0][0]) * (h / past[0][1])
        x = x + b * math.sqrt(-math.expm1(-2 * h)) * tree(a, b)
        past = [(denoised, h), *past][:2]
    return x


# Posterior sampling and consistency


def ddpm(model, x, s, noise, tree):
    """Ho et al. 2020, eq. 11, with the alpha of a step between any two levels."""
    for a, b in steps_of(s):
        eps = (x - model(x, a)[0]) / a
        bar, bar_next = 1 / (a * a + 1), 1 / (b * b + 1)
        alpha = bar / bar_next
        mean = (x * math.sqrt(bar) - (1 - alpha) / math.sqrt(1 - bar) * eps) / math.sqrt(alpha)
        if b == 0:
            return mean
        mean = mean + math.sqrt((1 - alpha) * (1 - bar_next) / (1 - bar)) * noise()
        x = mean / math.sqrt(bar_next)
    return x


def lcm(model, x, s, noise, tree):
    for a, b in steps_of(s):
        x = model(x, a)[0]
        if b:
            x = x + b * noise()
    return x


# Exponential multistep (Zhang et al. 2023) and the corrected slope (Permenter & Yuan 2023)


def res(model, x, s, noise, eta=0.0, plus=False):
    old = old_down = None
    for i, (a, b) in enumerate(steps_of(s)):
        denoised, plain = model(x, a)
        down, up = split(a, b, eta)
        of = plain if plus else denoised
        if down == 0 or old is None:
            x = denoised + (x - of) / a * down
        else:
            h = math.log(a / down)
            c2 = math.log(old_down / s[i - 1]) / h
            phi1 = math.expm1(-h) / -h
            phi2 = (phi1 - 1) / -h
            b2 = phi2 / c2 if c2 else 0.0
            b1 = phi1 - b2
            moved = x + (denoised - plain) if plus else x
            x = math.exp(-h) * moved + h * (b1 * of + b2 * old)
        if b and eta:
            x = x + up * noise()
        old, old_down = of, down
    return x


def res_multistep(model, x, s, noise, tree):
    return res(model, x, s, noise)


def res_multistep_cfg_pp(model, x, s, noise, tree):
    return res(model, x, s, noise, plus=True)


def res_multistep_ancestral(model, x, s, noise, tree):
    return res(model, x, s, noise, eta=1.0)


def res_multistep_ancestral_cfg_pp(model, x, s, noise, tree):
    return res(model, x, s, noise, eta=1.0, plus=True)


def gradient_estimation(model, x, s, noise, tree, plus=False, gamma=2.0):
    old = None
    for a, b in steps_of(s):
        denoised, plain = model(x, a)
        if b == 0:
            return denoised
        d = (x - (plain if plus else denoised)) / a
        x = denoised + d * b if plus else x + d * (b - a)
        if old is not None:
            x = x + (gamma - 1) * (d - old) * (b - a)
        old = d
    return x


def gradient_estimation_cfg_pp(model, x, s, noise, tree):
    return gradient_estimation(model, x, s, noise, tree, plus=True)


# CFG++ (Chung et al. 2024): the step goes to the guided prediction, the noise is that of the unconditional one


def euler_cfg_pp(model, x, s, noise, tree):
    for a, b in steps_of(s):
        denoised, plain = model(x, a)
        x = denoised + (x - plain) / a * b
    return x


def euler_ancestral_cfg_pp(model, x, s, noise, tree):
    for a, b in steps_of(s):
        denoised, plain = model(x, a)
        down, up = split(a, b)
        x = denoised + (x - plain) / a * down
        if b:
            x = x + up * noise()
    return x


def dpmpp_2m_cfg_pp(model, x, s, noise, tree):
    old = None
    for i, (a, b) in enumerate(steps_of(s)):
        denoised, plain = model(x, a)
        if b == 0:
            return denoised
        keep = b / a
        mix = -keep * plain
        if old is not None:
            r = math.log(s[i - 1] / a) / math.log(a / b)
            mix = mix + (1 - keep) / (2 * r) * (denoised - old)
        x = denoised + mix + keep * x
        old = plain
    return x


def dpmpp_2s_ancestral_cfg_pp(model, x, s, noise, tree):
    """The second half of a step moves by the unconditional prediction at the midpoint, guided less it, as in the field."""
    for a, b in steps_of(s):
        denoised, plain = model(x, a)
        down, up = split(a, b)
        if down == 0:
            x = denoised
        else:
            m = math.sqrt(a * down)
            x2 = m / a * (x + denoised - plain) + (1 - m / a) * denoised
            second, plain = model(x2, m)
            x = down / a * (x + denoised - plain) + (1 - down / a) * second
        if b:
            x = x + up * noise()
    return x


# Stochastic exponential integrators


def er_sde(model, x, s, noise, tree):
    """ER-SDE-Solver-3 (Cui et al. 2023) with phi(u) = u (exp(u^0.3) + 10), integrals by 200 points from the left."""

    def phi(u):
        return u * (math.exp(u**0.3) + 10)

    old = old_slope = None
    for i, (a, b) in enumerate(steps_of(s)):
        denoised = model(x, a)[0]
        if b == 0:
            return denoised
        r = phi(b) / phi(a)
        x = r * x + (1 - r) * denoised
        width = (a - b) / 200
        points = [b + k * width for k in range(200)]
        if old is not None:
            slope = (denoised - old) / (a - s[i - 1])
            x = x + slope * (b - a + sum(width / phi(u) for u in points) * phi(b))
            if old_slope is not None:
                bend = (slope - old_slope) / ((a - s[i - 2]) / 2)
                x = x + bend * ((b - a) ** 2 / 2 + sum(width * (u - a) / phi(u) for u in points) * phi(b))
            old_slope = slope
        x = x + math.sqrt(max(b * b - (a * r) ** 2, 0.0)) * noise()
        old = denoised
    return x


def seeds_2(model, x, s, noise, tree):
    """SEEDS-2 (Gonzalez et al. 2023), eta 1, inner point at half of the step in lambda."""
    for a, b in steps_of(s):
        denoised = model(x, a)[0]
        if b == 0:
            return denoised
        h, m = math.log(a / b), math.sqrt(a * b)
        z1, z2 = noise(), noise()
        half = math.sqrt(-math.expm1(-h))  # spread of the noise of half of a step
        x2 = math.exp(-h) * x - math.expm1(-h) * denoised + m * half * z1
        second = model(x2, m)[0]
        x = math.exp(-2 * h) * x - math.expm1(-2 * h) * second + b * half * (math.exp(-h / 2) * z1 + z2)
    return x


def seeds_3(model, x, s, noise, tree):
    """SEEDS-3, eta 1, inner points at a third and two thirds of the step in lambda."""
    for a, b in steps_of(s):
        denoised = model(x, a)[0]
        if b == 0:
            return denoised
        h = math.log(a / b)
        s1, s2 = a * math.exp(-h / 3), a * math.exp(-2 * h / 3)
        z1, z2, z3 = noise(), noise(), noise()
        part = math.sqrt(-math.expm1(-2 * h / 3))  # spread of the noise of a third of a step
        fade = math.exp(-h / 3)
        e1, e2, e3 = (math.expm1(-2 * h * share) for share in (1 / 3, 2 / 3, 1.0))
        x2 = math.exp(-2 * h / 3) * x - e1 * denoised + s1 * part * z1
        one = model(x2, s1)[0]
        x3 = math.exp(-4 * h / 3) * x - e2 * denoised + 2 * (e2 / (4 * h / 3) + 1) * (one - denoised)
        x3 = x3 + s2 * part * (fade * z1 + z2)
        two = model(x3, s2)[0]
        x = math.exp(-2 * h) * x - e3 * denoised + 1.5 * (e3 / (2 * h) + 1) * (two - denoised)
        x = x + b * part * (fade**2 * z1 + fade * z2 + z3)
    return x


def adams(lams, low, high, tau):
    """∫ (1 + tau²) exp((1 + tau²)(lam - high)) l_j(lam) dlam from low to high of each Lagrange polynomial (SA-Solver)."""
    rate = 1 + tau * tau
    points, shares = np.polynomial.legendre.leggauss(24)
    half = (high - low) / 2
    at = low + half * (points + 1)
    density = rate * np.exp(rate * (at - high)) * half * shares
    weights = []
    for j, node in enumerate(lams):
        basis = Polynomial([1.0])
        for k, other in enumerate(lams):
            if k != j:
                basis = basis * Polynomial([-other, 1.0]) / (node - other)
        weights.append(float(np.sum(density * basis(at))))
    return weights


def sa(model, x, s, noise, evaluate_again=False):
    """SA-Solver (Xue et al. 2023): predictor order 3, corrector order 4, tau 1 between 20 and 80 % of the timesteps."""
    first, last = sigma_of(0.8 * 999), sigma_of(0.2 * 999)
    lams = [-math.log(one) if one else math.inf for one in s]
    guess, past, tau, h, drawn = x, [], 0.0, 0.0, 0.0
    for i, (a, b) in enumerate(steps_of(s)):
        denoised = model(guess, a)[0]
        past = [*past, denoised][-4:]
        predict = min(3, len(past), len(s) - 2 - i) if s[-1] == 0 else min(3, len(past))
        correct = 0 if i == 0 or (b == 0 and not evaluate_again) else min(4, len(past))
        if s[-1] == 0:
            correct = min(correct, len(s) - 1 - i)
        if correct == 0:
            x = guess
        else:
            weights = adams(lams[i - correct + 1 : i + 1], lams[i - 1], lams[i], tau)
            moved = sum(w * d for w, d in zip(weights, past[-correct:]))
            x = a / s[i - 1] * math.exp(-(tau**2) * h) * x + moved + drawn
            if evaluate_again:
                denoised = model(x, a)[0]
                past[-1] = denoised
        if b == 0:
            return denoised
        tau = 1.0 if last <= b <= first else 0.0
        h = lams[i + 1] - lams[i]
        weights = adams(lams[i - predict + 1 : i + 1], lams[i], lams[i + 1], tau)
        drawn = b * math.sqrt(-math.expm1(-2 * tau**2 * h)) * noise() if tau else 0.0
        moved = sum(w * d for w, d in zip(weights, past[-predict:]))
        guess = b / a * math.exp(-(tau**2) * h) * x + moved + drawn
    return guess


def sa_solver(model, x, s, noise, tree):
    return sa(model, x, s, noise)


def sa_solver_pece(model, x, s, noise, tree):
    return sa(model, x, s, noise, evaluate_again=True)


# UniPC (Zhao et al. 2023)


def uni_pc(model, x, s, noise, tree, bh2=False):
    """Order 3 data prediction, ending at 0.001 in place of zero; run in the variance-preserving form."""
    s = [*s[:-1], 0.001]
    total = len(s) - 1
    alpha = [1 / math.sqrt(1 + one * one) for one in s]
    spread = [one * factor for one, factor in zip(s, alpha)]
    lam = [-math.log(one) for one in s]
    top = min(3, total - 1) if total > 1 else 1
    y = x * alpha[0]
    past = [model(y / alpha[0], s[0])[0]]
    for i in range(1, total + 1):
        order = min(top, i, total + 1 - i)
        h = lam[i] - lam[i - 1]
        r = [(lam[i - 1 - k] - lam[i - 1]) / h for k in range(1, order)] + [1.0]
        scale = math.expm1(-h) if bh2 else -h
        # k! phi_{k+1}(-h) as its integral, which is exact where the usual recursion cancels
        moments = [
            integrate.quad(lambda u, k=k, h=h: math.exp(-(1 - u) * h) * u**k, 0, 1, epsabs=1e-14)[0]
            for k in range(1, order + 1)
        ]
        right = [-h * moment / scale for moment in moments]
        rows = np.array([[one**k for one in r] for k in range(order)])
        changes = [(past[k] - past[0]) / r[k - 1] for k in range(1, order)]
        base = spread[i] / spread[i - 1] * y - alpha[i] * math.expm1(-h) * past[0]
        if order == 1:
            predictor, corrector = [], [0.5]
        else:
            corrector = np.linalg.solve(rows, right)
            predictor = [0.5] if order == 2 else np.linalg.solve(rows[:-1, :-1], right[:-1])
        y = base - alpha[i] * scale * sum((w * d for w, d in zip(predictor, changes)), 0.0)
        if i < total:
            fresh = model(y / alpha[i], s[i])[0]
            y = base - alpha[i] * scale * sum(w * d for w, d in zip(corrector, [*changes, fresh - past[0]]))
            past = [fresh, *past][:top]
    return y / alpha[-1]


def uni_pc_bh2(model, x, s, noise, tree):
    return uni_pc(model, x, s, noise, tree, bh2=True)


ddim, dpmpp_sde_gpu, dpmpp_2m_sde_gpu = euler, dpmpp_sde, dpmpp_2m_sde
dpmpp_2m_sde_heun_gpu, dpmpp_3m_sde_gpu = dpmpp_2m_sde_heun, dpmpp_3m_sde

NAMES = [
    "euler",
    "euler_cfg_pp",
    "euler_ancestral",
    "euler_ancestral_cfg_pp",
    "heun",
    "heunpp2",
    "dpm_2",
    "dpm_2_ancestral",
    "lms",
    "dpm_fast",
    "dpm_adaptive",
    "dpmpp_2s_ancestral",
    "dpmpp_2s_ancestral_cfg_pp",
    "dpmpp_sde",
    "dpmpp_sde_gpu",
    "dpmpp_2m",
    "dpmpp_2m_cfg_pp",
    "dpmpp_2m_sde",
    "dpmpp_2m_sde_gpu",
    "dpmpp_2m_sde_heun",
    "dpmpp_2m_sde_heun_gpu",
    "dpmpp_3m_sde",
    "dpmpp_3m_sde_gpu",
    "ddpm",
    "lcm",
    "ipndm",
    "ipndm_v",
    "deis",
    "res_multistep",
    "res_multistep_cfg_pp",
    "res_multistep_ancestral",
    "res_multistep_ancestral_cfg_pp",
    "gradient_estimation",
    "gradient_estimation_cfg_pp",
    "er_sde",
    "seeds_2",
    "seeds_3",
    "sa_solver",
    "sa_solver_pece",
    "ddim",
    "uni_pc",
    "uni_pc_bh2",
]
"""The field's 42 names, in its order."""
SAMPLERS = {name: globals()[name] for name in NAMES}
