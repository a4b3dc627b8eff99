"""The autoencoder of Qwen-Image 2.1 (Qwen team 2026), of pictures with alpha: its sizes, read off names and shapes. No torch.

Of the library's naming, and of Wan 2.2's, on which it was made: that the field's files have the latter is inferred.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from engine.datatypes import latent_formats
from engine.models.shapes import Facts, Shapes, count
from engine.models.wan_names import FIRST, library_name

if TYPE_CHECKING:
    from torch import Tensor

MODULE: Final = "engine.models.frames_autoencoder:qwen_image21"
CODEC: Final = "engine.models.frames_autoencoder:OneFrameAutoencoder"
LATENT: Final = latent_formats.QWEN_IMAGE21

_FIRST: Final = "encoder.down_blocks.0.resnets.0.conv1.weight"
_NORM: Final = "decoder.norm_out.gamma"


def is_there(shapes: Shapes) -> bool:
    """Say whether these are its tensors: Wan 2.2's names, and no time in its convolutions."""
    if len(shapes.get(FIRST, ())) == 4:
        return True
    return _NORM in shapes and len(shapes.get(_FIRST, ())) == 4


def space(config: Facts) -> tuple[int, int]:
    """Return the latents' channels and downscale: each level but the first halves the sides."""
    return int(config["z_dim"]), int(config["scale_factor_spatial"])


def renamed(tensors: Mapping[str, Tensor], config: Facts) -> dict[str, Tensor]:
    """Return a file's tensors under the library's names."""
    return {library_name(name): value for name, value in tensors.items()} if FIRST in tensors else dict(tensors)


def config(shapes: Shapes, hints: Facts) -> dict[str, Any]:
    """Return AutoencoderKLQwenImage21's arguments; `hints` tell means and deviations of the latents, where they are others."""
    if FIRST in shapes:
        shapes = {library_name(name): shape for name, shape in shapes.items()}
    levels = range(count(shapes, "encoder.down_blocks."))
    base = shapes["encoder.conv_in.weight"][0]
    widths = [shapes[f"encoder.down_blocks.{level}.resnets.0.conv1.weight"][0] for level in levels]
    told = {name: list(hints[name]) for name in ("latents_mean", "latents_std") if hints.get(name)}
    return {
        "base_dim": base,
        "decoder_base_dim": shapes[_NORM][0],
        "z_dim": shapes["decoder.conv_in.weight"][1],
        "dim_mult": [width // base for width in widths],
        "num_res_blocks": count(shapes, "encoder.down_blocks.0.resnets."),
        "temperal_downsample": [
            f"encoder.down_blocks.{level}.downsampler.time_conv.weight" in shapes for level in levels[:-1]
        ],
        "in_channels": shapes["encoder.conv_in.weight"][1],
        "out_channels": shapes["decoder.conv_out.weight"][0],
        "scale_factor_spatial": 2 ** (len(levels) - 1),
        **told,
    }
