"""BiRefNet (Zheng et al. 2024): what stands before the background. Names of files are those of its authors."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from engine.models.renaming import apart, substituted
from engine.models.shapes import count

if TYPE_CHECKING:
    from torch import Tensor, nn

    from engine.models.shapes import Facts, Shapes

TITLE = "BiRefNet, which removes backgrounds"
LOADER = "LoadBackgroundRemovalModel"
USE = "RemoveBackground"
CALL = "engine.models.networks.matting:Matter"
READS = False
MODEL_TYPES = ()

_PARTS = ("bb.patch_embed.proj.weight", "decoder.conv_out1.0.weight", "decoder.decoder_block4.conv_in.weight")
_SIDE = 1024
_NAMES = [
    (r"^bb\.patch_embed\.proj\.", "bb.swin.embeddings.patch_embeddings.projection."),
    (r"^bb\.patch_embed\.norm\.", "bb.swin.embeddings.norm."),
    (r"^bb\.norm0\.", "bb.hidden_states_norms.stage1."),
    (r"^bb\.norm1\.", "bb.hidden_states_norms.stage2."),
    (r"^bb\.norm2\.", "bb.hidden_states_norms.stage3."),
    (r"^bb\.norm3\.", "bb.hidden_states_norms.stage4."),
    (r"^bb\.layers\.", "bb.swin.encoder.layers."),
    (r"(^bb\..*)\.norm1\.", r"\1.layernorm_before."),
    (r"(^bb\..*)\.norm2\.", r"\1.layernorm_after."),
    (r"(^bb\..*)\.attn\.proj\.", r"\1.attention.o_proj."),
    (r"(^bb\..*)\.attn\.qkv\.", r"\1.attention.in_proj_"),
    (
        r"(^bb\..*)\.attn\.relative_position_bias_table$",
        r"\1.attention.relative_position_bias.relative_position_bias_table",
    ),
]


def is_there(shapes: Shapes) -> bool:
    """Say whether tensors are BiRefNet."""
    return all(name in shapes for name in _PARTS)


def config(shapes: Shapes, hints: Facts) -> dict[str, Any]:
    """Return arguments of BiRefNet; KeyError for a tensor that is not there, as in forms of it that are not known.

    `size` of the metadata's `perception`: the side in pixels of the square that a picture is seen in, 1024 without.
    """
    tables = [
        shapes[f"bb.layers.{stage}.blocks.0.attn.relative_position_bias_table"]
        for stage in range(count(shapes, "bb.layers."))
    ]
    patches = shapes["bb.patch_embed.proj.weight"]
    pyramid = "decoder.decoder_block4.dec_att."
    deformed = count(shapes, f"{pyramid}aspp_deforms.")
    return {
        "swin": {
            "embed_dim": patches[0],
            "patch_size": patches[-1],
            "depths": [count(shapes, f"bb.layers.{stage}.blocks.") for stage in range(len(tables))],
            "num_heads": [heads for _, heads in tables],
            "window_size": (math.isqrt(tables[0][0]) + 1) // 2,
            "mlp_ratio": shapes["bb.layers.0.blocks.0.mlp.fc1.weight"][0] / patches[0],
        },
        "inner": shapes["decoder.decoder_block4.conv_in.weight"][0],
        "wide": shapes[f"{pyramid}aspp1.atrous_conv.regular_conv.weight"][0],
        "sizes": [
            shapes[f"{pyramid}aspp_deforms.{one}.atrous_conv.regular_conv.weight"][-1] for one in range(deformed)
        ],
        "looked": shapes["decoder.ipt_blk1.conv1.weight"][0],
        "size": int(hints.get("size", _SIDE)),
    }


def build(config: Facts) -> nn.Module:
    """Return the network."""
    from engine.models.networks.birefnet_module import BiRefNet
    from engine.models.networks.settled import settled

    return settled(BiRefNet(**{name: value for name, value in config.items() if name != "size"}))


def renamed(tensors: Mapping[str, Tensor], config: Facts) -> dict[str, Tensor]:
    """Return a file's tensors under the names of the network."""
    found: dict[str, Tensor] = {}
    for name, value in tensors.items():
        place = substituted(name, _NAMES)
        found |= apart(place, value) if ".in_proj_" in place else {place: value}
    return found
