"""The autoencoder of Wan 2.2 5B (Wan team 2025), of sides 16 times smaller: its sizes, read off names and shapes. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from engine.datatypes import latent_formats
from engine.models.shapes import Facts, Shapes, count
from engine.models.wan_names import FIRST, library_name

if TYPE_CHECKING:
    from torch import Tensor

MODULE: Final = "engine.models.frames_autoencoder:wan22"
CODEC: Final = "engine.models.frames_autoencoder:FramesAutoencoder"
LATENT: Final = latent_formats.WAN22

_FIRST: Final = "encoder.down_blocks.0.resnets.0.conv1.weight"
_NORM: Final = "decoder.norm_out.gamma"
PATCH: Final = 2
"""Pixels a side whose colours are the channels of the first layer."""


def is_there(shapes: Shapes) -> bool:
    """Say whether these are its tensors: levels that hold their blocks, and convolutions over time."""
    return len(shapes.get(FIRST, ())) == 5 or (_NORM in shapes and len(shapes.get(_FIRST, ())) == 5)


def space(config: Facts) -> tuple[int, int]:
    """Return the latents' channels and downscale: each level but the first halves the sides, and so do patches of pixels."""
    return int(config["z_dim"]), int(config["scale_factor_spatial"])


def renamed(tensors: Mapping[str, Tensor], config: Facts) -> dict[str, Tensor]:
    """Return a file's tensors under the library's names."""
    return {library_name(name): value for name, value in tensors.items()} if FIRST in tensors else dict(tensors)


def config(shapes: Shapes, hints: Facts) -> dict[str, Any]:
    """Return `engine.models.frames_autoencoder:wan22`'s arguments; `hints` tell means and deviations that are others."""
    if FIRST in shapes:
        shapes = {library_name(name): shape for name, shape in shapes.items()}
    levels = range(count(shapes, "encoder.down_blocks."))
    base, channels = shapes["encoder.conv_in.weight"][:2]
    latent = shapes["decoder.conv_in.weight"][1]
    widths = [shapes[f"encoder.down_blocks.{level}.resnets.0.conv1.weight"][0] for level in levels]
    over_time = [f"encoder.down_blocks.{level}.downsampler.time_conv.weight" in shapes for level in levels[:-1]]
    usual = latent == LATENT.channels
    told = {
        name: list(hints.get(name) or (known if usual else (number,) * latent))
        for name, known, number in (("latents_mean", LATENT.means, 0.0), ("latents_std", LATENT.deviations, 1.0))
    }
    return {
        "base_dim": base,
        "decoder_base_dim": shapes[_NORM][0],
        "z_dim": latent,
        "dim_mult": [width // base for width in widths],
        "num_res_blocks": count(shapes, "encoder.down_blocks.0.resnets."),
        "temperal_downsample": over_time,
        "is_residual": True,
        "in_channels": channels // PATCH**2,
        "out_channels": shapes["decoder.conv_out.weight"][0] // PATCH**2,
        "patch_size": PATCH,
        "scale_factor_spatial": 2 ** len(over_time) * PATCH,
        "scale_factor_temporal": 2 ** sum(over_time),
        **told,
    }
