"""Samplers that know one step at a time: Euler, Heun, midpoint; and what the steps of all are.

Their arguments are those of `field_samplers`.
"""

from __future__ import annotations

import itertools
import math


def split(a: float, b: float, eta: float = 1.0) -> tuple[float, float]:
    """(down, up) of an ancestral step from level a to b (Song et al. 2020): down² + up² = b²."""
    up = min(b, eta * b * math.sqrt(max(a * a - b * b, 0.0)) / a) if b else 0.0
    return math.sqrt(max(b * b - up * up, 0.0)), up


def steps_of(s):
    return itertools.pairwise(s)


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
