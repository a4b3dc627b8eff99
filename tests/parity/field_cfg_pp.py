"""CFG++ (Chung et al. 2024): the step goes to the guided prediction, the noise is that of the unconditional one.

Their arguments are those of `field_samplers`.
"""

from __future__ import annotations

import math

from tests.parity.field_steps import split, steps_of


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
