"""The patches of the network by the names that handles have for them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from engine.models.families.base import named

if TYPE_CHECKING:
    from engine.denoising.inside.base import Patch, Where

KINDS: Final[Mapping[str, str]] = {
    "free_u": "engine.denoising.inside.free_u:FreeU",
    "deep_shrink": "engine.denoising.inside.deep_shrink:DeepShrink",
    "tiles": "engine.denoising.inside.attention_tiles:AttentionTiles",
    "compiled": "engine.denoising.inside.compiled:Compiled",
    "easy_cache": "engine.denoising.inside.easy_cache:EasyCache",
    "perturbed_middle": "engine.denoising.inside.middle:PerturbedMiddle",
    "watched_middle": "engine.denoising.inside.middle:WatchedMiddle",
    "normalized_attention": "engine.denoising.inside.normalized:NormalizedAttention",
    "moved_places": "engine.denoising.inside.places:MovedPlaces",
    "windows": "engine.denoising.inside.windows:Windows",
    "merged_tokens": "engine.denoising.inside.token_merging:TokenMerging",
}
"""Name → class, which takes what it works on and the facts that the node told."""


def made(kind: str, where: Where, facts: Mapping[str, Any]) -> Patch:
    """Return the patch of that name."""
    patch: Patch = named(KINDS[kind])(where, **facts)
    return patch
