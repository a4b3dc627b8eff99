"""Chroma Radiance's network: its sizes, off names and shapes, and its names. No torch but for tensors."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from engine.models.families.base import Fused, Layout, NetworkKind
from engine.models.networks import chroma_sizes, flux_sizes
from engine.models.networks.stacked import unstacked
from engine.models.shapes import Facts, Shapes, count

if TYPE_CHECKING:
    from torch import Tensor

    from engine.models.families.base import Family

_APPROXIMATOR: Final = "distilled_guidance_layer."
ORIGINAL: Final = (
    f"{_APPROXIMATOR}in_proj.weight",
    "img_in_patch.weight",
    "nerf_image_embedder.embedder.0.weight",
    "nerf_blocks.0.param_generator.weight",
    "nerf_final_layer_conv.conv.weight",
    "double_blocks.0.img_attn.qkv.weight",
)
X0, COARSE, _SEQUENTIAL = "__x0__", "__32x32__", "__sequential__"
"""Empty tensors by which files say that the picture itself is predicted, that patches have 32 pixels a side, and that words are
counted, which is not known here."""
LAYOUTS: Final = (Layout(name="original", has=ORIGINAL, lacks=(_SEQUENTIAL,)),)
_COLOURS: Final = 3


def sizes(shapes: Shapes, hints: Facts, family: Family) -> dict[str, Any]:
    """Return RadianceTransformer's arguments for tensors in the original naming, without prefix."""
    width, head = shapes["img_in_patch.weight"][0], shapes["double_blocks.0.img_attn.norm.query_norm.scale"][0]
    hidden, inputs = shapes[f"{_APPROXIMATOR}in_proj.weight"]
    pixel_width, pixel_inputs = shapes["nerf_image_embedder.embedder.0.weight"]
    return {
        "num_layers": count(shapes, "double_blocks."),
        "num_single_layers": count(shapes, "single_blocks."),
        "attention_head_dim": head,
        "num_attention_heads": width // head,
        "joint_attention_dim": shapes["txt_in.weight"][1],
        "axes_dims_rope": flux_sizes.axes_of(head, hints),
        "approximator_num_channels": inputs,
        "approximator_hidden_dim": hidden,
        "approximator_layers": count(shapes, f"{_APPROXIMATOR}layers."),
        "pixel_layers": count(shapes, "nerf_blocks."),
        "pixel_width": pixel_width,
        "pixel_ratio": shapes["nerf_blocks.0.param_generator.weight"][0] // (3 * pixel_width**2),
        "frequencies": math.isqrt(pixel_inputs - _COLOURS),
        "coarse": COARSE in shapes,
        "predicts_pictures": X0 in shapes,
    }


def paths(config: Mapping[str, Any]) -> dict[str, str]:
    """Return {module path here: module path in the original layout} of what is one module in both."""
    shared = chroma_sizes.paths(config)
    found = {ours: theirs for ours, theirs in shared.items() if ours not in ("x_embedder", "proj_out")}
    same = [
        "img_in_patch",
        "nerf_image_embedder.embedder.0",
        "nerf_final_layer_conv.norm",
        "nerf_final_layer_conv.conv",
    ]
    for i in range(int(config["pixel_layers"])):
        same += [f"nerf_blocks.{i}.param_generator", f"nerf_blocks.{i}.norm"]
    return found | {name: name for name in same}


def fused(config: Mapping[str, Any]) -> Fused:
    """Return which rows of the original's stacked projections make which module."""
    return chroma_sizes.fused(config)


def renamed(tensors: Mapping[str, Tensor], config: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return a file's tensors under the names of RadianceTransformer."""
    kept = {name: value for name, value in tensors.items() if name not in (X0, COARSE)}
    return unstacked(kept, paths(config), fused(config))


RADIANCE: Final = NetworkKind(
    title="transformer",
    module="engine.models.networks.radiance_module:RadianceTransformer",
    call="engine.models.networks.radiance:RadianceNetwork",
    sizes=sizes,
    renamed=renamed,
    paths=paths,
    fused=fused,
)
