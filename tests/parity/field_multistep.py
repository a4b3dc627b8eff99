"""Linear multistep samplers: of the past slopes a polynomial is made and integrated.

Their arguments are those of `field_samplers`.
"""

from __future__ import annotations

import math

from scipy import integrate

from tests.parity.field_steps import steps_of


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
