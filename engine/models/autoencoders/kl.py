"""The autoencoder of Stable Diffusion (Rombach et al. 2022): its sizes, read off names and shapes in both layouts. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from engine.models import sd_keys
from engine.models.autoencoders import dc, hunyuan_image
from engine.models.shapes import Facts, Shapes, count

if TYPE_CHECKING:
    from torch import Tensor

MODULE: Final = "diffusers.models.autoencoders.autoencoder_kl:AutoencoderKL"
CODEC: Final = "engine.models.autoencoder:Autoencoder"
LATENT: Final = None


def is_there(shapes: Shapes) -> bool:
    """Say whether these are AutoencoderKL's tensors, in the original or diffusers naming; FLUX.2's are normalised as well."""
    others = ("bn.running_mean", "decoder.norm_out.gamma")
    latent = shapes.get("decoder.conv_in.weight", ())
    return (
        len(latent) == 4
        and not any(name in shapes for name in others)
        and not any(kind.is_there(shapes) for kind in (hunyuan_image, dc))
    )


def space(config: Facts) -> tuple[int, int]:
    """Return the latents' channels and downscale: each level but the first halves the sides."""
    return int(config["latent_channels"]), 2 ** (len(config["block_out_channels"]) - 1)


def renamed(tensors: Mapping[str, Tensor], config: Facts) -> dict[str, Tensor]:
    """Return a file's tensors under AutoencoderKL's names."""
    return sd_keys.vae_to_diffusers(tensors, config, "")


def config(shapes: Shapes, hints: Facts) -> dict[str, Any]:
    """Return AutoencoderKL's arguments for VAE tensors in the original or diffusers naming, without prefix."""
    original = "encoder.down.0.block.0.conv1.weight" in shapes
    block = "encoder.down.{}.block." if original else "encoder.down_blocks.{}.resnets."
    levels = count(shapes, "encoder.down." if original else "encoder.down_blocks.")
    widths = [shapes[block.format(i) + "0.conv1.weight"][0] for i in range(levels)]
    attention = any(name.startswith(("decoder.mid.attn_1.", "decoder.mid_block.attentions.")) for name in shapes)
    return {
        "in_channels": shapes["encoder.conv_in.weight"][1],
        "out_channels": shapes["decoder.conv_out.weight"][0],
        "latent_channels": shapes["decoder.conv_in.weight"][1],
        "block_out_channels": widths,
        "down_block_types": ["DownEncoderBlock2D"] * levels,
        "up_block_types": ["UpDecoderBlock2D"] * levels,
        "layers_per_block": count(shapes, block.format(0)),
        "norm_num_groups": int(hints.get("norm_groups", 32)),
        "act_fn": str(hints.get("act", "silu")),
        "use_quant_conv": "quant_conv.weight" in shapes,
        "use_post_quant_conv": "post_quant_conv.weight" in shapes,
        "mid_block_add_attention": attention,
    }
