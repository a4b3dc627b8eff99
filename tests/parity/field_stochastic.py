"""Posterior sampling, consistency, and stochastic exponential integrators.

Their arguments are those of `field_samplers`.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.polynomial import Polynomial

from tests.parity.field_levels import sigma_of
from tests.parity.field_steps import steps_of


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
