"""The deep compression autoencoder (Chen et al. 2024) as Sana has it: its sizes, off names and shapes. No torch.

Of the library's naming. What its tensors do not tell is what Sana's has, unless a folder's config says otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from engine.datatypes import latent_formats
from engine.models.shapes import Facts, Shapes, count

if TYPE_CHECKING:
    from torch import Tensor

MODULE: Final = "diffusers.models.autoencoders.autoencoder_dc:AutoencoderDC"
CODEC: Final = "engine.models.autoencoder_dc:DcAutoencoder"
LATENT: Final = latent_formats.SANA

_KINDS: Final = {"conv1.weight": "ResBlock", "attn.to_q.weight": "EfficientViTBlock"}
_SCALES: Final = "attn.to_qkv_multiscale."
_ACTS: Final = ("decoder_act_fns", "decoder_conv_act_fn", "decoder_norm_types", "attention_head_dim")


def is_there(shapes: Shapes) -> bool:
    """Say whether these are its tensors: levels that are plain rows of blocks."""
    return any(f"encoder.down_blocks.0.0.{name}" in shapes for name in _KINDS) and "decoder.norm_out.bias" in shapes


def space(config: Facts) -> tuple[int, int]:
    """Return the latents' channels and downscale: each level but the first halves the sides."""
    return int(config["latent_channels"]), 2 ** (len(config["encoder_block_out_channels"]) - 1)


def renamed(tensors: Mapping[str, Tensor], config: Facts) -> dict[str, Tensor]:
    """Return a file's tensors, which have the library's names."""
    return dict(tensors)


def config(shapes: Shapes, hints: Facts) -> dict[str, Any]:
    """Return AutoencoderDC's arguments; `hints` tell activations and norms of the decoder, where they are others than Sana's."""
    found: dict[str, Any] = {name: hints[name] for name in _ACTS if hints.get(name)}
    for half, blocks, first in (("encoder", "down_blocks", 0), ("decoder", "up_blocks", 1)):
        levels = [_level(shapes, f"{half}.{blocks}.{i}.") for i in range(count(shapes, f"{half}.{blocks}."))]
        found[f"{half}_block_types"] = [kind for kind, _, _, _ in levels]
        found[f"{half}_block_out_channels"] = [width for _, width, _, _ in levels]
        found[f"{half}_layers_per_block"] = [layers for _, _, layers, _ in levels]
        found[f"{half}_qkv_multiscales"] = [scales for _, _, _, scales in levels]
        found |= _changed(shapes, levels[0][2] if not first else 0, encoding=not first)
    return {
        **found,
        "in_channels": shapes["encoder.conv_in.weight"][1],
        "latent_channels": shapes["decoder.conv_in.weight"][1],
    }


def _level(shapes: Shapes, prefix: str) -> tuple[str, int, int, list[int]]:
    """What a level's blocks are, their width, how many there are, and the sizes of their attention's convolutions."""
    places = sorted({int(name[len(prefix) :].split(".")[0]) for name in shapes if name.startswith(prefix)})
    known = [(i, mark, kind) for i in places for mark, kind in _KINDS.items() if f"{prefix}{i}.{mark}" in shapes]
    first, mark, kind = known[0]
    scales = [
        shapes[f"{prefix}{first}.{_SCALES}{scale}.proj_in.weight"][-1]
        for scale in range(count(shapes, f"{prefix}{first}.{_SCALES}"))
    ]
    return kind, shapes[f"{prefix}{first}.{mark}"][1], len(known), scales


def _changed(shapes: Shapes, layers: int, *, encoding: bool) -> dict[str, str]:
    """How sides are halved, or doubled, off the first level's convolution: by pixels that become channels, or not."""
    if encoding:
        rows, wanted = (
            shapes[f"encoder.down_blocks.0.{layers}.conv.weight"][0],
            _level(shapes, "encoder.down_blocks.1.")[1],
        )
        return {"downsample_block_type": "pixel_unshuffle" if rows * 4 == wanted else "conv"}
    rows, wanted = shapes["decoder.up_blocks.0.0.conv.weight"][0], _level(shapes, "decoder.up_blocks.0.")[1]
    return {"upsample_block_type": "pixel_shuffle" if rows == wanted * 4 else "interpolate"}
