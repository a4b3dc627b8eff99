"""Asking for content credentials from within a graph."""

from __future__ import annotations

from typing import Annotated

from engine.api import Context, Image, In, node

_OFF = (
    "Content credentials are switched off here, so what is saved of these pictures has none. Set credentials under [provenance] "
    "in safelight.toml."
)


@node("ContentCredentials", category="image", display_name="Content Credentials")
def content_credentials(
    ctx: Context,
    images: Image,
    title: Annotated[str, In(tip="What the picture is called; may be empty.")] = "",
    author: Annotated[str, In(tip="Who made it; may be empty.")] = "",
    rights: Annotated[str, In(tip="Who may do what with it; may be empty.")] = "",
) -> Image:
    """Pass pictures (B, H, W, C) on, and have every file that is saved of them carry content credentials (C2PA).

    The three texts go into the credentials (Dublin Core title, creator and rights; C2PA's metadata assertion). They are taken
    where they are written here, not where they come through a link. The settings must allow it: see docs/provenance.md.
    """
    if ctx.seal is None:
        ctx.warn(_OFF)
    return images
