"""FLUX.2's autoencoder: Stable Diffusion's, whose latents are packed two by two and normalised channel by channel. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from engine.datatypes import latent_formats
from engine.models.autoencoders import kl
from engine.models.shapes import Facts, Shapes, count

if TYPE_CHECKING:
    from torch import Tensor

MODULE: Final = "diffusers.models.autoencoders.autoencoder_kl_flux2:AutoencoderKLFlux2"
CODEC: Final = "engine.models.autoencoder_flux2:Flux2Autoencoder"
LATENT: Final = latent_formats.FLUX2
PATCH: Final = 2
"""Latent pixels a side that are one."""
_MEAN, _COUNTER = "bn.running_mean", "bn.num_batches_tracked"
_WITHIN: Final = {"encoder.quant_conv.": "quant_conv.", "decoder.post_quant_conv.": "post_quant_conv."}
"""Black Forest Labs' file has these two inside of the others."""


def is_there(shapes: Shapes) -> bool:
    """Say whether these are AutoencoderKLFlux2's tensors, in the original or diffusers naming."""
    return _MEAN in shapes and "decoder.conv_in.weight" in shapes


def space(config: Facts) -> tuple[int, int]:
    """Return the packed latents' channels and downscale."""
    channels, downscale = kl.space(config)
    return channels * PATCH**2, downscale * PATCH


def config(shapes: Shapes, hints: Facts) -> dict[str, Any]:
    """Return AutoencoderKLFlux2's arguments for tensors in the original or diffusers naming, without prefix."""
    named = {_outside(name): shape for name, shape in shapes.items()}
    found = kl.config(named, hints)
    return {
        **found,
        "decoder_block_out_channels": _decoder_widths(named, len(found["block_out_channels"])),
        "batch_norm_eps": float(hints.get("batch_norm_eps", 1e-4)),
    }


def _decoder_widths(shapes: Shapes, levels: int) -> list[int]:
    """Widths of the decoder, which in smaller ones are not the encoder's; from the level nearest to the picture."""
    original = "decoder.up.0.block.0.conv1.weight" in shapes
    block = "decoder.up.{}.block.0.conv1.weight" if original else "decoder.up_blocks.{}.resnets.0.conv1.weight"
    widths = [shapes[block.format(i)][0] for i in range(count(shapes, block.partition("{")[0]))]
    if len(widths) != levels:
        raise KeyError(block.format(len(widths)))
    return widths if original else widths[::-1]


def renamed(tensors: Mapping[str, Tensor], config: Facts) -> dict[str, Tensor]:
    """Return a file's tensors under AutoencoderKLFlux2's names; a counter of training steps may be left out there."""
    found = kl.renamed({_outside(name): value for name, value in tensors.items()}, config)
    if _MEAN in found:
        found.setdefault(_COUNTER, found[_MEAN][:1].reshape(()))
    return found


def _outside(name: str) -> str:
    for within, outside in _WITHIN.items():
        if name.startswith(within):
            return outside + name.removeprefix(within)
    return name
