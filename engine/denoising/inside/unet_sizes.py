"""What a U-Net's config says of its input blocks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.models.errors import ModelError
from engine.models.families import family_named
from engine.models.sd_keys import unet_names

if TYPE_CHECKING:
    from engine.models.handles import ModelHandle


def check_input_block(model: ModelHandle, node: str, number: int) -> None:
    """Raise ModelError at a node for an input block that the U-Net does not have."""
    originals = [name.split(".") for name in unet_names(model.config).values() if name.startswith("input_blocks.")]
    last = max(int(parts[1]) for parts in originals)
    if number > last:
        raise ModelError(
            f"{node}: block_number: {family_named(model.family).title} has input blocks 1 to {last}, got {number}. Choose one of "
            "these."
        )
