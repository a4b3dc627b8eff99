"""Stable Cascade's networks (Pernias et al. 2023): their sizes, read off names and shapes, and their names. No torch."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import msgspec

from engine.models.families.base import Layout, NetworkKind
from engine.models.shapes import Facts, Shapes, count, rows_of

if TYPE_CHECKING:
    from torch import Tensor

    from engine.models.families.base import Family

HEAD: Final = 64
"""Width of a head of attention in every published size."""

POOLED: Final = 4
"""Tokens that the pooled text is made into."""

_SHARED: Final = ("embedding.1.weight", "down_blocks.1.0.channelwise.0.weight", "clf.1.weight")


def stage_c(shapes: Shapes, hints: Facts, family: Family) -> dict[str, Any]:
    """Return StableCascadeUNet's arguments for the stage that makes the small latent; KeyError for a missing tensor."""
    text = shapes["clip_txt_mapper.weight"]
    levels = count(shapes, "down_blocks.")
    switches = "down_downscalers.1.1.blocks.0.weight" in shapes
    return _shared(shapes, hints, patch=1) | {
        "conditioning_dim": text[0],
        "clip_text_in_channels": text[1],
        "clip_image_in_channels": shapes["clip_img_mapper.weight"][1],
        "switch_level": (hints.get("switch_level") or [False] * (levels - 1)) if switches else None,
    }


def stage_b(shapes: Shapes, hints: Facts, family: Family) -> dict[str, Any]:
    """Return StableCascadeUNet's arguments for the stage that enlarges the latent; KeyError for a missing tensor."""
    return _shared(shapes, hints, patch=2) | {
        "conditioning_dim": _pooled(shapes)[0] // POOLED,
        "effnet_in_channels": shapes["effnet_mapper.0.weight"][1],
        "pixel_mapper_in_channels": shapes["pixels_mapper.0.weight"][1],
    }


def _shared(shapes: Shapes, hints: Facts, *, patch: int) -> dict[str, Any]:
    levels = range(count(shapes, "down_blocks."))
    types = [_types(shapes, f"down_blocks.{i}.") for i in levels]
    widths = [shapes[f"down_blocks.{i}.0.depthwise.weight"][0] for i in levels]
    attends = ["SDCascadeAttnBlock" in kinds for kinds in types]
    told = hints.get("heads")
    heads = told if isinstance(told, list) else [int(told) if told else width // HEAD for width in widths]
    timestep = next(name for name in shapes if name.endswith(".mapper.weight") and name.startswith("down_blocks."))
    block = timestep.removesuffix("mapper.weight")
    return {
        "in_channels": shapes["embedding.1.weight"][1] // patch**2,
        "out_channels": shapes["clf.1.weight"][0] // patch**2,
        "timestep_ratio_embedding_dim": shapes[timestep][1],
        "patch_size": patch,
        "block_out_channels": widths,
        "num_attention_heads": [int(n) if there else -1 for n, there in zip(heads, attends, strict=True)],
        "down_num_layers_per_block": [count(shapes, f"down_blocks.{i}.") // len(types[i]) for i in levels],
        "up_num_layers_per_block": [count(shapes, f"up_blocks.{i}.") // len(types[-1 - i]) for i in levels],
        "down_blocks_repeat_mappers": [1 + count(shapes, f"down_repeat_mappers.{i}.") for i in levels],
        "up_blocks_repeat_mappers": [1 + count(shapes, f"up_repeat_mappers.{i}.") for i in levels],
        "block_types_per_layer": types,
        "clip_text_pooled_in_channels": _pooled(shapes)[1],
        "clip_seq": POOLED,
        "kernel_size": shapes["down_blocks.0.0.depthwise.weight"][-1],
        "timestep_conditioning_type": [kind for kind in ("sca", "crp") if f"{block}mapper_{kind}.weight" in shapes],
    }


def _pooled(shapes: Shapes) -> tuple[int, ...]:
    name = "clip_txt_pooled_mapper.weight"
    return shapes[name if name in shapes else "clip_mapper.weight"]


def _types(shapes: Shapes, level: str) -> list[str]:
    """The kinds of block that a level repeats, up to the next residual one."""
    found = [_type(shapes, f"{level}{i}.") for i in range(count(shapes, level))]
    again = next((i for i, kind in enumerate(found) if i and kind == found[0]), len(found))
    return found[:again]


def _type(shapes: Shapes, block: str) -> str:
    if f"{block}depthwise.weight" in shapes:
        return "SDCascadeResBlock"
    return "SDCascadeAttnBlock" if f"{block}kv_mapper.1.weight" in shapes else "SDCascadeTimestepBlock"


def renamed(tensors: Mapping[str, Tensor], config: Facts) -> dict[str, Tensor]:
    """Return a file's tensors under the library's names: stacked rows of attention split, one mapper called otherwise."""
    found: dict[str, Tensor] = {}
    for name, value in tensors.items():
        name = re.sub(r"^clip_mapper\.", "clip_txt_pooled_mapper.", name)
        block, stacked, kind = name.partition(".attention.attn.in_proj_")
        if stacked:
            width = value.shape[0] // 3
            for i, part in enumerate("qkv"):
                found[f"{block}.attention.to_{part}.{kind}"] = rows_of(value, [(i * width, (i + 1) * width)])
        else:
            name = name.replace(".attention.attn.out_proj.", ".attention.to_out.0.")
            found[name.replace(".attention.attn.to_", ".attention.to_")] = value
    return found


STAGE_C: Final = NetworkKind(
    title="prior",
    module="diffusers.models.unets.unet_stable_cascade:StableCascadeUNet",
    call="engine.models.networks.cascade:StageC",
    sizes=stage_c,
    renamed=renamed,
    paths=lambda config: {},
)
STAGE_B: Final = msgspec.structs.replace(
    STAGE_C, title="decoder", call="engine.models.networks.cascade:StageB", sizes=stage_b
)
LAYOUTS_C: Final = (Layout(name="either", has=(*_SHARED, "clip_txt_mapper.weight", "clip_img_mapper.weight")),)
LAYOUTS_B: Final = (
    Layout(name="original", has=(*_SHARED, "effnet_mapper.0.weight", "clip_mapper.weight")),
    Layout(name="diffusers", has=(*_SHARED, "effnet_mapper.0.weight", "clip_txt_pooled_mapper.weight")),
)
