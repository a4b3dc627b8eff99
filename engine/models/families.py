"""Model families as records: how to recognise one from tensor names, and what its tensors do not say about themselves.

Widths, depths and channel counts are read off the tensors by `engine.models.detect`; a record holds the rest. A new
family with the same module classes is one more record in `FAMILIES`; the first one that matches wins.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

from engine.datatypes import latent_formats
from engine.datatypes.parameterization import LatentFormat, Parameterization


class TextFamily(msgspec.Struct, frozen=True, kw_only=True):
    """A text encoder of a family.

    `pad` "end" repeats the end token, "zero" is id 0. `stop_at` counts in the full tower, of which a folder may leave out
    layers. `full_layers`: depth of the full-size tower, to notice that. Heads are `width / head_dim` unless told.
    """

    layout: Literal["clip", "open_clip"]
    act: str
    pad: Literal["end", "zero"] = "end"
    stop_at: int = -1
    full_layers: int = 12
    head_dim: int = 64


class Family(msgspec.Struct, frozen=True, kw_only=True):
    """One family. `required` and `forbidden` are U-Net tensor names in the original layout, without prefix.

    `context_dim`: matches only networks of this conditioning width; None: any. `heads`: attention heads at every level,
    or None where each head is `head_dim` wide.
    """

    name: str
    title: str
    required: tuple[str, ...]
    forbidden: tuple[str, ...] = ()
    context_dim: int | None = None
    heads: int | None = None
    head_dim: int | None = None
    parameterization: Parameterization = Parameterization()
    latent: LatentFormat = LatentFormat()
    text: TextFamily

    def matches(self, names: Mapping[str, tuple[int, ...]], context_dim: int) -> bool:
        """Say whether U-Net tensors `names` (original layout, no prefix) with this conditioning width are of this family."""
        if self.context_dim is not None and self.context_dim != context_dim:
            return False
        return all(name in names for name in self.required) and not any(name in names for name in self.forbidden)


_SD_UNET = ("input_blocks.0.0.weight", "time_embed.0.weight", "middle_block.1.norm.weight", "out.2.weight")
SD2 = Family(
    name="sd2",
    title="Stable Diffusion 2.x",
    required=_SD_UNET,
    forbidden=("label_emb.0.0.weight",),
    context_dim=1024,
    head_dim=64,
    latent=latent_formats.SD,
    text=TextFamily(layout="open_clip", act="gelu", pad="zero", stop_at=-2, full_layers=24),
)
SD1 = Family(
    name="sd1",
    title="Stable Diffusion 1.x",
    required=_SD_UNET,
    forbidden=("label_emb.0.0.weight",),
    heads=8,
    latent=latent_formats.SD,
    text=TextFamily(layout="clip", act="quick_gelu"),
)

FAMILIES: tuple[Family, ...] = (SD2, SD1)
"""Every family, the most particular first."""


def family_named(name: str) -> Family:
    """Return the record called `name`; KeyError naming the known ones otherwise."""
    for family in FAMILIES:
        if family.name == name:
            return family
    raise KeyError(f"no model family {name!r}; known: {', '.join(family.name for family in FAMILIES)}")
