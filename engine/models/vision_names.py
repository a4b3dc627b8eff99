"""Names of CLIP's vision tower: those of OpenAI and open_clip, as checkpoints have it, and those of transformers. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from engine.models.sd_keys import from_open_clip

if TYPE_CHECKING:
    from torch import Tensor

PREFIXES: Final = ("embedder.model.visual.", "visual.", "clip_l_vision.", "")
"""Under which it stands: in checkpoints of unCLIP, in whole CLIPs, in checkpoints of Stable Cascade, alone."""

ENDS: Final = {
    "class_embedding": "embeddings.class_embedding",
    "positional_embedding": "embeddings.position_embedding.weight",
    "conv1.weight": "embeddings.patch_embedding.weight",
    "ln_pre.weight": "pre_layrnorm.weight",
    "ln_pre.bias": "pre_layrnorm.bias",
    "ln_post.weight": "post_layernorm.weight",
    "ln_post.bias": "post_layernorm.bias",
}
"""Of CLIP's vision tower, in the names of OpenAI and open_clip, with those of transformers under `vision_model.`."""


def is_open_clip(state: Mapping[str, Tensor]) -> bool:
    """Say whether these are CLIP's vision tower in the names of OpenAI and open_clip, without prefix."""
    return "conv1.weight" in state and "transformer.resblocks.0.attn.in_proj_weight" in state


def to_transformers(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename CLIP's vision tower, without prefix, to `vision_model.*` and `visual_projection.weight`."""
    if not is_open_clip(state):
        return {name: value for name, value in state.items() if not name.endswith("position_ids")}
    renamed: dict[str, Tensor] = {}
    for name, value in state.items():
        if name == "proj":
            renamed["visual_projection.weight"] = value.T
        elif name in ENDS:
            renamed[f"vision_model.{ENDS[name]}"] = value
        else:
            layers = from_open_clip(name, value)
            renamed |= {one.replace("text_model.", "vision_model.", 1): tensor for one, tensor in layers.items()}
    return renamed
