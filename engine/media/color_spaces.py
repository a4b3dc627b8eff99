"""Colour spaces of pictures: what numbers mean as light, and the way between them.

Linear light is float32 with Rec. 709 primaries and D65 white, in units of the reference white of 203 cd/m² (ITU-R BT.2408).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import Final, NamedTuple

import torch
from torch import Tensor

WHITE_NITS: Final = 203.0
"""Luminance of linear 1.0 in cd/m²."""
HLG_NITS: Final = 1000.0
"""Peak luminance of the reference display of HLG, in cd/m²."""

_XY: Final = {
    "rec709": ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06), (0.3127, 0.3290)),
    "rec2020": ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046), (0.3127, 0.3290)),
    "ap1": ((0.713, 0.293), (0.165, 0.830), (0.128, 0.044), (0.32168, 0.33767)),
}
_BRADFORD: Final = ((0.8951, 0.2664, -0.1614), (-0.7502, 1.7135, 0.0367), (0.0389, -0.0685, 1.0296))


@cache
def primaries(name: str) -> tuple[tuple[float, float], ...]:
    """The chromaticities (x, y) of red, green, blue and white of rec709, rec2020 or ap1."""
    return _XY[name]


def _to_xyz(name: str) -> Tensor:
    """The matrix from RGB to CIE XYZ of the white point of `name`, float64 (SMPTE RP 177)."""
    red, green, blue, white = (
        torch.tensor([x / y, 1.0, (1 - x - y) / y], dtype=torch.float64) for x, y in primaries(name)
    )
    columns = torch.stack([red, green, blue], dim=1)
    scale: Tensor = torch.linalg.solve(columns, white)
    return columns * scale


def _adapted(name: str) -> Tensor:
    """From RGB to XYZ under D65, by the Bradford transform where the white point is another."""
    matrix = _to_xyz(name)
    bradford = torch.tensor(_BRADFORD, dtype=torch.float64)
    ones = torch.ones(3, dtype=torch.float64)
    old, new = bradford @ (matrix @ ones), bradford @ (_to_xyz("rec709") @ ones)
    adapted: Tensor = torch.linalg.inv(bradford) @ torch.diag(new / old) @ bradford @ matrix
    return adapted


@cache
def matrix_between(source: str, destination: str) -> Tensor:
    """The 3 × 3 matrix of linear light from the primaries `source` to `destination`, float64."""
    matrix: Tensor = torch.linalg.inv(_adapted(destination)) @ _adapted(source)
    return matrix


def converted(colours: Tensor, source: str, destination: str) -> Tensor:
    """Linear light (…, 3) under other primaries: rec709, rec2020 or ap1."""
    if source == destination:
        return colours
    return colours @ matrix_between(source, destination).T.to(colours)


def luminance(colours: Tensor, name: str = "rec709") -> Tensor:
    """Relative luminance (…, 1) of linear light (…, 3)."""
    return (colours * _to_xyz(name)[1].to(colours)).sum(-1, keepdim=True)


def srgb_to_linear(code: Tensor) -> Tensor:
    """Inverse of the sRGB curve (IEC 61966-2-1), odd about 0 and going on past 1."""
    size = code.abs()
    return code.sign() * torch.where(size <= 0.04045, size / 12.92, ((size + 0.055) / 1.055) ** 2.4)


def linear_to_srgb(light: Tensor) -> Tensor:
    """The sRGB curve (IEC 61966-2-1), odd about 0 and going on past 1."""
    size = light.abs()
    return light.sign() * torch.where(size <= 0.0031308, size * 12.92, 1.055 * size ** (1 / 2.4) - 0.055)


_A: Final = 0.17883277
_B: Final = 1 - 4 * _A
_C: Final = 0.5 - _A * math.log(4 * _A)


def hlg_to_scene(code: Tensor) -> Tensor:
    """Inverse opto-electronic transfer of HLG (ITU-R BT.2100): scene light, 1.0 at code 1."""
    code = code.clamp(min=0)
    return torch.where(code <= 0.5, code.square() / 3, (((code - _C) / _A).exp() + _B) / 12)


def scene_to_hlg(light: Tensor) -> Tensor:
    """Opto-electronic transfer of HLG (ITU-R BT.2100); negative light is 0, and the logarithm goes on past 1."""
    light = light.clamp(min=0)
    return torch.where(light <= 1 / 12, (3 * light).sqrt(), _A * (12 * light - _B).clamp(min=1e-6).log() + _C)


def system_gamma(nits: float) -> float:
    """The exponent of HLG's opto-optical transfer on a display of a peak of `nits` (BT.2100, note 5e)."""
    return 1.2 + 0.42 * math.log10(nits / HLG_NITS)


def hlg_to_linear(code: Tensor) -> Tensor:
    """HLG code values (…, 3) on the reference display, as linear light of Rec. 2020 primaries."""
    scene = hlg_to_scene(code)
    shown = luminance(scene, "rec2020").clamp(min=0) ** (system_gamma(HLG_NITS) - 1) * scene
    return shown * (HLG_NITS / WHITE_NITS)


def linear_to_hlg(light: Tensor, nits: float = HLG_NITS) -> Tensor:
    """Linear light of Rec. 2020 primaries as HLG code values for a display with a peak of `nits`; negative channels are 0."""
    shown = light.clamp(min=0) * (WHITE_NITS / nits)
    gamma = system_gamma(nits)
    level = luminance(shown, "rec2020").clamp(min=1e-9)
    return scene_to_hlg(shown * level ** ((1 - gamma) / gamma))


_M1, _M2 = 2610 / 16384, 2523 / 4096 * 128
_C1, _C2, _C3 = 3424 / 4096, 2413 / 4096 * 32, 2392 / 4096 * 32


def pq_to_linear(code: Tensor) -> Tensor:
    """PQ code values (SMPTE ST 2084) as linear light of the same primaries."""
    power = code.clamp(0, 1) ** (1 / _M2)
    return ((power - _C1).clamp(min=0) / (_C2 - _C3 * power)) ** (1 / _M1) * (10000 / WHITE_NITS)


def linear_to_pq(light: Tensor) -> Tensor:
    """Linear light as PQ code values (SMPTE ST 2084); negative channels are 0, and 10,000 cd/m² is 1."""
    power = (light * (WHITE_NITS / 10000)).clamp(0, 1) ** _M1
    return ((_C1 + _C2 * power) / (1 + _C3 * power)) ** _M2


class _LogC(NamedTuple):
    cut: float = 0.010591
    a: float = 5.555556
    b: float = 0.052272
    c: float = 0.247190
    d: float = 0.385537
    e: float = 5.367655
    f: float = 0.092809


_LOGC: Final = _LogC()
"""The curve of ALEXA Log C at exposure index 800 (ARRI, "ALEXA Log C Curve: Usage in VFX", 2017)."""


def logc3_to_linear(code: Tensor) -> Tensor:
    """Log C 3 (EI 800) as linear light of the same primaries; codes are cut to 0..1."""
    code = code.clamp(0, 1)
    k = _LOGC
    return torch.where(code > k.e * k.cut + k.f, (10 ** ((code - k.d) / k.c) - k.b) / k.a, (code - k.f) / k.e)


def linear_to_logc3(light: Tensor) -> Tensor:
    """Linear light as Log C 3 (EI 800), cut to 0..1."""
    k = _LOGC
    lifted = k.c * (k.a * light + k.b).clamp(min=1e-9).log10() + k.d
    return torch.where(light > k.cut, lifted, k.e * light + k.f).clamp(0, 1)


_CCT_CUT, _CCT_SLOPE, _CCT_SHIFT = 0.0078125, 10.5402377416545, 0.0729055341958355


def acescct_to_linear(code: Tensor) -> Tensor:
    """ACEScct (Academy S-2016-001) as linear light of the same primaries."""
    cut = _CCT_SLOPE * _CCT_CUT + _CCT_SHIFT
    return torch.where(code > cut, 2 ** (code * 17.52 - 9.72), (code - _CCT_SHIFT) / _CCT_SLOPE).clamp(max=65504)


def linear_to_acescct(light: Tensor) -> Tensor:
    """Linear light as ACEScct (Academy S-2016-001); the line below its cut goes on to negative light."""
    lifted = (light.clamp(min=_CCT_CUT).log2() + 9.72) / 17.52
    return torch.where(light > _CCT_CUT, lifted, light * _CCT_SLOPE + _CCT_SHIFT)


class Space(NamedTuple):
    """One meaning of numbers: the primaries, and the way to linear light of them and back."""

    primaries: str
    decode: Callable[[Tensor], Tensor]
    encode: Callable[[Tensor], Tensor]


def _same(values: Tensor) -> Tensor:
    return values


SPACES: Final = {
    "sRGB": Space("rec709", srgb_to_linear, linear_to_srgb),
    "HDR": Space("rec2020", hlg_to_linear, linear_to_hlg),
    "HDR ACEScct": Space("ap1", acescct_to_linear, linear_to_acescct),
    "HDR LogC3": Space("rec709", logc3_to_linear, linear_to_logc3),
    "HDR PQ": Space("rec2020", pq_to_linear, linear_to_pq),
    "linear": Space("rec709", _same, _same),
    "linear ACEScg": Space("ap1", _same, _same),
}
"""The spaces that pictures may be in, by the field's names."""


def in_space(colours: Tensor, source: str, destination: str) -> Tensor:
    """Colours (B, H, W, 3) of one of SPACES in another one, float32.

    Towards sRGB and from PQ to HLG, what is brighter than the destination's peak is brought down, by one curve for the batch
    that leaves the lower four fifths as they are; colours outside of its gamut are mixed with the grey of their luminance.
    """
    if source == destination:
        return colours.float()
    first, second = SPACES[source], SPACES[destination]
    light = converted(first.decode(colours.float()), first.primaries, second.primaries)
    if destination == "sRGB":
        light = within(light, second.primaries, 1.0)
    elif (source, destination) == ("HDR PQ", "HDR"):
        light = within(light, second.primaries, HLG_NITS / WHITE_NITS)
    return second.encode(light)


_KNEE: Final = 0.8


def within(light: Tensor, name: str, peak: float) -> Tensor:
    """Linear light (B, H, W, 3) with no channel below 0 or above `peak`.

    Luminance above _KNEE of the peak is bent by Reinhard's curve with a white point (Reinhard and others 2002, equation 4),
    which meets the straight part smoothly and takes the brightest of the batch to the peak.
    """
    light = light / peak
    level = luminance(light, name)
    brightest = float(level.max())
    if brightest > 1:
        over, most = (level - _KNEE).clamp(min=0) / (1 - _KNEE), (brightest - _KNEE) / (1 - _KNEE)
        bent = _KNEE + (1 - _KNEE) * over * (1 + over / most**2) / (1 + over)
        light = torch.where(level > _KNEE, light * (bent / level.clamp(min=_KNEE)), light)
        level = luminance(light, name)
    grey = level.clamp(0, 1)
    above = (1 - grey) / (light.amax(-1, keepdim=True) - grey).clamp(min=1e-9)
    below = grey / (grey - light.amin(-1, keepdim=True)).clamp(min=1e-9)
    kept = torch.minimum(above, below).clamp(max=1)
    return (grey + (light - grey) * kept).clamp(0, 1) * peak
