"""The autoencoder of Wan 2.1 (Wan team 2025), which is that of Qwen-Image too, and with alpha that of Qwen-Image-Layered.

Its sizes are read off names and shapes in the original and the library's naming. No torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from engine.datatypes import latent_formats
from engine.models.shapes import Facts, Shapes, count

if TYPE_CHECKING:
    from torch import Tensor

MODULE: Final = "engine.models.frames_autoencoder:wan"
CODEC: Final = "engine.models.frames_autoencoder:FramesAutoencoder"
LATENT: Final = latent_formats.WAN21

_ORIGINAL: Final = "encoder.downsamples.0.residual.2.weight"
_DIFFUSERS: Final = "encoder.down_blocks.0.conv1.weight"


def is_there(shapes: Shapes) -> bool:
    """Say whether these are its tensors: convolutions over time, the encoder's blocks in one list."""
    return _ORIGINAL in shapes or len(shapes.get(_DIFFUSERS, ())) == 5


def space(config: Facts) -> tuple[int, int]:
    """Return the latents' channels and downscale: each level but the first halves the sides."""
    return int(config["z_dim"]), 2 ** len(config["temperal_downsample"])


def renamed(tensors: Mapping[str, Tensor], config: Facts) -> dict[str, Tensor]:
    """Return a file's tensors under the library's names."""
    if _ORIGINAL not in tensors:
        return dict(tensors)
    from diffusers.loaders.single_file_utils import convert_wan_vae_to_diffusers

    names: dict[str, str] = convert_wan_vae_to_diffusers({name: name for name in tensors})
    return {ours: tensors[theirs] for ours, theirs in names.items()}


def config(shapes: Shapes, hints: Facts) -> dict[str, Any]:
    """Return AutoencoderKLWan's arguments; `hints` tell means and deviations of the latents, where they are others than Wan's."""
    original = _ORIGINAL in shapes
    first, latent, last = (
        ("encoder.conv1.weight", "decoder.conv1.weight", "decoder.head.2.weight")
        if original
        else ("encoder.conv_in.weight", "decoder.conv_in.weight", "decoder.conv_out.weight")
    )
    widths, over_time = _levels(shapes, original=original)
    base = shapes[first][0]
    told = {name: list(hints[name]) for name in ("latents_mean", "latents_std") if hints.get(name)}
    return {
        "base_dim": base,
        "z_dim": shapes[latent][1],
        "dim_mult": [level[0] // base for level in widths],
        "num_res_blocks": len(widths[0]),
        "temperal_downsample": over_time,
        "in_channels": shapes[first][1],
        "out_channels": shapes[last][0],
        "scale_factor_spatial": 2 ** len(over_time),
        "scale_factor_temporal": 2 ** sum(over_time),
        **told,
    }


def _levels(shapes: Shapes, *, original: bool) -> tuple[list[list[int]], list[bool]]:
    """Return the width of every block of each of the encoder's levels, and whether frames are halved behind it."""
    blocks, weight = (
        ("encoder.downsamples", "residual.2.weight") if original else ("encoder.down_blocks", "conv1.weight")
    )
    widths: list[list[int]] = [[]]
    over_time = []
    for number in range(count(shapes, f"{blocks}.")):
        if shape := shapes.get(f"{blocks}.{number}.{weight}"):
            widths[-1].append(shape[0])
        else:
            over_time.append(f"{blocks}.{number}.time_conv.weight" in shapes)
            widths.append([])
    return widths, over_time
