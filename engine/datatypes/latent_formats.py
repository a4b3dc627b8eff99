"""Latent spaces that many models share, with linear maps from their pixels to colours.

The maps are least-squares fits that others published for the network's latents and colours in -1..1; a file may bring its
own (the bundled model does). Each space is known by its channels, scale and shift.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from engine.datatypes.parameterization import LatentFormat

Colours = Sequence[tuple[float, float, float]]

_NEAR: Final = 1e-3
"""Scales and shifts that differ by less are the same."""


def fitted(factors: Colours, *, scale: float, shift: float = 0.0) -> LatentFormat:
    """Return the format whose network latents map to RGB in -1..1 by `factors`: rewritten for the VAE's latents and 0..1."""
    bias = [0.5 - sum(row[colour] for row in factors) * shift * scale / 2 for colour in range(3)]
    return LatentFormat(
        channels=len(factors),
        scale=scale,
        shift=shift,
        rgb_factors=tuple((red * scale / 2, green * scale / 2, blue * scale / 2) for red, green, blue in factors),
        rgb_bias=(bias[0], bias[1], bias[2]),
    )


SD: Final = fitted(
    ((0.298, 0.207, 0.208), (0.187, 0.286, 0.173), (-0.158, 0.189, 0.264), (-0.184, -0.271, -0.473)),
    scale=0.18215,
)
"""Stable Diffusion 1 and 2 (Turner 2022, "Decoding latents to RGB without upscaling", discuss.huggingface.co)."""

SDXL: Final = fitted(
    ((0.3816, 0.4930, 0.5320), (-0.3753, 0.1631, 0.1739), (0.1770, 0.3588, -0.2048), (-0.4350, -0.2644, -0.4289)),
    scale=0.13025,
)
"""Stable Diffusion XL (StAlKeR7779, in InvokeAI's `step_callback.py`)."""

SD3: Final = fitted(
    (
        (-0.0645, 0.0177, 0.1052),
        (0.0028, 0.0312, 0.0650),
        (0.1848, 0.0762, 0.0360),
        (0.0944, 0.0360, 0.0889),
        (0.0897, 0.0506, -0.0364),
        (-0.0020, 0.1203, 0.0284),
        (0.0855, 0.0118, 0.0283),
        (-0.0539, 0.0658, 0.1047),
        (-0.0057, 0.0116, 0.0700),
        (-0.0412, 0.0281, -0.0039),
        (0.1106, 0.1171, 0.1220),
        (-0.0248, 0.0682, -0.0481),
        (0.0815, 0.0846, 0.1207),
        (-0.0120, -0.0055, -0.0867),
        (-0.0749, -0.0634, -0.0456),
        (-0.1418, -0.1457, -0.1259),
    ),
    scale=1.5305,
    shift=0.0609,
)
"""Stable Diffusion 3 and 3.5 (Stability AI, `sd3_impls.py` of the reference implementation)."""

FLUX: Final = fitted(
    (
        (-0.0412, 0.0149, 0.0521),
        (0.0056, 0.0291, 0.0768),
        (0.0342, -0.0681, -0.0427),
        (-0.0258, 0.0092, 0.0463),
        (0.0863, 0.0784, 0.0547),
        (-0.0017, 0.0402, 0.0158),
        (0.0501, 0.1058, 0.1152),
        (-0.0209, -0.0218, -0.0329),
        (-0.0314, 0.0083, 0.0896),
        (0.0851, 0.0665, -0.0472),
        (-0.0534, 0.0238, -0.0024),
        (0.0452, -0.0026, 0.0048),
        (0.0892, 0.0831, 0.0881),
        (-0.1117, -0.0304, -0.0789),
        (0.0027, -0.0479, -0.0043),
        (-0.1146, -0.0827, -0.0598),
    ),
    scale=0.3611,
    shift=0.1159,
)
"""Flux (InvokeAI's `step_callback.py`)."""

WAN21: Final = LatentFormat(
    channels=16,
    scale=1.0,
    means=(
        *(-0.7571, -0.7089, -0.9113, 0.1075, -0.1745, 0.9653, -0.1517, 1.5508),
        *(0.4134, -0.0715, 0.5517, -0.3632, -0.1922, -0.9497, 0.2503, -0.2921),
    ),
    deviations=(
        *(2.8184, 1.4541, 2.3275, 2.6558, 1.2196, 1.7708, 2.6052, 2.0743),
        *(3.2687, 2.1526, 2.8652, 1.5579, 1.6382, 1.1253, 2.8251, 1.9160),
    ),
    axes=3,
)
"""Wan 2.1 and Qwen-Image, whose autoencoders have the same space; no map to colours of it is known here."""

WAN22: Final = LatentFormat(
    channels=48,
    downscale=16,
    scale=1.0,
    means=(
        *(-0.2289, -0.0052, -0.1323, -0.2339, -0.2799, 0.0174, 0.1838, 0.1557),
        *(-0.1382, 0.0542, 0.2813, 0.0891, 0.1570, -0.0098, 0.0375, -0.1825),
        *(-0.2246, -0.1207, -0.0698, 0.5109, 0.2665, -0.2108, -0.2158, 0.2502),
        *(-0.2055, -0.0322, 0.1109, 0.1567, -0.0729, 0.0899, -0.2799, -0.1230),
        *(-0.0313, -0.1649, 0.0117, 0.0723, -0.2839, -0.2083, -0.0520, 0.3748),
        *(0.0152, 0.1957, 0.1433, -0.2944, 0.3573, -0.0548, -0.1681, -0.0667),
    ),
    deviations=(
        *(0.4765, 1.0364, 0.4514, 1.1677, 0.5313, 0.4990, 0.4818, 0.5013),
        *(0.8158, 1.0344, 0.5894, 1.0901, 0.6885, 0.6165, 0.8454, 0.4978),
        *(0.5759, 0.3523, 0.7135, 0.6804, 0.5833, 1.4146, 0.8986, 0.5659),
        *(0.7069, 0.5338, 0.4889, 0.4917, 0.4069, 0.4999, 0.6866, 0.4093),
        *(0.5709, 0.6065, 0.6415, 0.4944, 0.5726, 1.2042, 0.5458, 1.6887),
        *(0.3971, 1.0600, 0.3943, 0.5537, 0.5444, 0.4089, 0.7468, 0.7744),
    ),
    axes=3,
)
"""Wan 2.2 5B; no map to colours of it is known here."""

QWEN_IMAGE21: Final = LatentFormat(
    channels=64,
    downscale=16,
    scale=1.0,
    means=(
        *(0.5126, 0.7721, -0.0631, 1.3506, -0.7855, -2.1025, -0.3458, 1.3722),
        *(1.8873, -1.7177, -0.6510, 0.2732, 0.7562, -0.6163, -1.0277, 3.8363),
        *(2.0210, 0.0472, 0.9320, 2.0087, 2.4954, -0.1391, -1.4249, 1.8464),
        *(-0.5236, 1.2826, 3.7046, -1.3035, 2.7286, -1.4518, -1.9036, -1.9955),
        *(-0.0342, -1.0265, -0.7636, 3.0555, 0.0746, -3.0751, -0.1076, 1.7376),
        *(-1.0914, -1.9435, -0.2784, -1.3680, 0.4809, -0.4433, 0.3764, 0.5729),
        *(-2.0595, 1.0960, -1.3260, -2.0211, -5.0179, 0.5275, 4.0162, 1.8505),
        *(0.3026, 1.9373, 1.4937, 0.2632, 0.5547, -1.7121, -0.1562, 0.0304),
    ),
    deviations=(
        *(3.2001, 3.2936, 3.4321, 3.0091, 3.1061, 4.0379, 4.0705, 3.7910),
        *(3.0785, 3.6500, 3.9308, 3.0904, 2.8778, 3.7675, 3.7320, 5.0756),
        *(3.2864, 4.0397, 3.1317, 4.0443, 2.9249, 3.9454, 3.0988, 4.2489),
        *(3.4896, 3.8513, 3.9323, 3.4719, 3.7498, 4.2830, 3.5694, 4.2467),
        *(3.9037, 3.2947, 5.0770, 3.5075, 3.2700, 3.4767, 2.8063, 5.1125),
        *(3.5327, 4.7833, 3.1286, 4.1819, 3.8527, 3.8312, 3.5605, 4.3875),
        *(3.9624, 4.0168, 3.5643, 4.0550, 5.5614, 4.2963, 4.4080, 3.4959),
        *(3.8747, 3.7608, 3.5735, 3.1490, 3.7662, 3.6746, 3.4563, 3.8161),
    ),
)
"""Qwen-Image 2.1; no map to colours of it is known here."""

FLUX2: Final = LatentFormat(channels=128, downscale=16, scale=1.0)
"""FLUX.2, whose autoencoder packs and normalises its latents itself; no map to colours of it is known here."""

HUNYUAN_IMAGE: Final = LatentFormat(channels=64, downscale=32, scale=0.75289)
"""HunyuanImage 2.1; no map to colours of it is known here."""

HUNYUAN_IMAGE_REFINER: Final = LatentFormat(channels=64, downscale=16, scale=1.03682)
"""HunyuanImage 2.1's refiner, whose latents stand there twice; no map to colours of it is known here."""

SANA: Final = LatentFormat(channels=32, downscale=32, scale=0.41407)
"""Sana; no map to colours of it is known here."""

CASCADE_B: Final = LatentFormat(downscale=4, scale=1 / 0.43)
"""Stage A of Stable Cascade."""

CASCADE_C: Final = LatentFormat(channels=16, downscale=42, scale=1.0)
"""Stage C of Stable Cascade."""

PIXELS: Final = LatentFormat(
    channels=3,
    downscale=1,
    scale=1.0,
    rgb_factors=((0.5, 0.0, 0.0), (0.0, 0.5, 0.0), (0.0, 0.0, 0.5)),
    rgb_bias=(0.5, 0.5, 0.5),
)
"""Pictures themselves, in -1..1."""

TINY_DECODERS: Final[Mapping[str, LatentFormat]] = {"taesd": SD, "taesdxl": SDXL, "taesd3": SD3, "taef1": FLUX}
"""Names of published tiny decoders (Bohan 2023, github.com/madebyollin/taesd) and the space that each decodes."""


def same_space(one: LatentFormat, other: LatentFormat) -> bool:
    """Say whether two formats mean the same latents, whatever colours are known of them."""
    return (
        (one.channels, one.downscale) == (other.channels, other.downscale)
        and abs(one.scale - other.scale) < _NEAR
        and abs(one.shift - other.shift) < _NEAR
        and (one.means, one.deviations) == (other.means, other.deviations)
    )


def same_latents(one: LatentFormat, other: LatentFormat) -> bool:
    """Say whether two formats are of one autoencoder's latents, whatever shift the networks read them with.

    (Kandinsky 5 has no shift, and FLUX.1's autoencoder.)
    """
    return same_space(one, msgspec.structs.replace(other, shift=one.shift))


def tiny_decoder_name(latent_format: LatentFormat) -> str | None:
    """Return the name of the tiny decoder for this space, or None when none is known."""
    return next((name for name, known in TINY_DECODERS.items() if same_space(known, latent_format)), None)


def with_colours(latent_format: LatentFormat) -> LatentFormat:
    """Return the format with its own map to colours, else the known space that it is, else itself without a map."""
    if latent_format.rgb_factors:
        return latent_format
    return next((known for known in TINY_DECODERS.values() if same_space(known, latent_format)), latent_format)
