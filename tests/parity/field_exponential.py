"""Exponential multistep (Zhang et al. 2023), the corrected slope (Permenter & Yuan 2023) and UniPC (Zhao et al. 2023).

Their arguments are those of `field_samplers`.
"""

from __future__ import annotations

import math

import numpy as np
from scipy import integrate

from tests.parity.field_steps import split, steps_of


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
