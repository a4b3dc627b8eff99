"""DPM-Solver and DPM-Solver++ (Lu et al. 2022, 2022b).

Their arguments are those of `field_samplers`.
"""

from __future__ import annotations

import math

import numpy as np
import torch

from tests.parity.field_steps import split, steps_of


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
