"""HunyuanVideo 1.5's transformer: its sizes, read off names and shapes, and its names in each layout. No torch but for tensors.

Its authors' names are inferred to be those of HunyuanImage's, with `vision_in` and `cond_type_embedding` beside them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from engine.models.families.base import Fused, Layout, NetworkKind
from engine.models.networks import hunyuan_image_sizes as pictures
from engine.models.networks.stacked import unstacked
from engine.models.shapes import Facts, Shapes

if TYPE_CHECKING:
    from torch import Tensor

    from engine.models.families.base import Family

_FIRST: Final = "x_embedder.proj.weight"
_ORIGINAL: Final = ("img_in.proj.weight", "vision_in.proj.0.weight", "cond_type_embedding.weight")
_BLOCK: Final = "double_blocks.0.img_attn"
LAYOUTS: Final = (
    Layout(name="original", has=(*_ORIGINAL, f"{_BLOCK}_q.weight")),
    Layout(name="stacked", has=(*_ORIGINAL, f"{_BLOCK}_qkv.weight")),
    Layout(name="field", has=(*_ORIGINAL, f"{_BLOCK}.qkv.weight")),
    Layout(
        name="diffusers",
        has=(_FIRST, "image_embedder.norm_in.weight", "cond_type_embed.weight", "context_embedder_2.norm.weight"),
    ),
)
_ABSENT: Final = {"num_single_layers": 0, "guidance_embeds": False}
"""What HunyuanImage's has and this one does not."""
_TIME: Final = "time_guidance_embed."


def sizes(shapes: Shapes, hints: Facts, family: Family) -> dict[str, Any]:
    """Return HunyuanVideo15Transformer3DModel's arguments for its tensors in any layout, without prefix."""
    found = pictures.sizes(shapes, hints, family)
    over_time, side, _ = found.pop("patch_size")
    for name in _ABSENT:
        found.pop(name)
    seen = "image_embedder.linear_1.weight" if _FIRST in shapes else "vision_in.proj.1.weight"
    if _FIRST in shapes:
        found["use_meanflow"] = "time_embed.timestep_embedder_r.linear_1.weight" in shapes
    return {**found, "patch_size_t": over_time, "patch_size": side, "image_embed_dim": shapes[seen][1]}


def paths(config: Mapping[str, Any]) -> dict[str, str]:
    """Return {module path in diffusers: module path in its authors' layout} of what is one module in both."""
    found = {
        ours.replace(_TIME, "time_embed."): theirs for ours, theirs in pictures.paths({**config, **_ABSENT}).items()
    }
    parts = {"norm_in": 0, "linear_1": 1, "linear_2": 3, "norm_out": 4}
    return (
        found
        | {f"image_embedder.{ours}": f"vision_in.proj.{theirs}" for ours, theirs in parts.items()}
        | {"cond_type_embed": "cond_type_embedding"}
    )


def fused(config: Mapping[str, Any]) -> Fused:
    """Return which rows of stacked projections make which module; the last norm has shift and scale swapped."""
    return pictures.fused({**config, **_ABSENT})


def renamed(tensors: Mapping[str, Tensor], config: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return a file's tensors under the names of HunyuanVideo15Transformer3DModel."""
    if _FIRST in tensors:
        return dict(tensors)
    return unstacked(pictures.authors_names(tensors), paths(config), fused(config))


HUNYUAN_VIDEO15: Final = NetworkKind(
    title="transformer",
    module="diffusers.models.transformers.transformer_hunyuan_video15:HunyuanVideo15Transformer3DModel",
    call="engine.models.networks.hunyuan_video15:HunyuanVideo15Network",
    sizes=sizes,
    renamed=renamed,
    paths=paths,
    fused=fused,
)
