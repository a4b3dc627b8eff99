"""PhotoMaker: people off pictures, by a word of the prompt (Li et al. 2023)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any, Final

from engine.api import Clip, Conditioning, Context, Files, Image, In, Out, Socket, node
from engine.models.hooked_text import conditioning as encoded

if TYPE_CHECKING:
    from engine.models.handles import ModelPatchHandle as PhotoMaker
else:

    class PhotoMaker(Socket, io_type="PHOTOMAKER"):
        """Handle of what fuses people off pictures with a text."""


_WORD: Final = "photomaker"
_ALONE: Final = re.compile(rf"\b{_WORD}\b", re.IGNORECASE)


@node("PhotoMakerLoader", category="_for_testing/photomaker", display_name="Load PhotoMaker Model", experimental=True)
def photo_maker_loader(
    ctx: Context,
    photomaker_model_name: Annotated[str, In(choices=Files("photomaker"), tip="A file in models/photomaker.")],
) -> Annotated[PhotoMaker, Out(name="photomaker_model")]:
    """Load PhotoMaker's encoder of people, of its first version. The LoRA that its file has too is not put on anything."""
    found = ctx.models.model_patch(ctx.paths.find("photomaker", photomaker_model_name))
    if found.kind != "photomaker":
        raise ValueError(
            f"photomaker_model_name: expected PhotoMaker's encoder, got another model patch, {photomaker_model_name} "
            f"({found.kind})."
        )
    return found


@node("PhotoMakerEncode", category="_for_testing/photomaker", display_name="PhotoMaker Encode", experimental=True)
def photo_maker_encode(
    ctx: Context,
    photomaker: PhotoMaker,
    image: Image,
    clip: Clip,
    text: Annotated[
        str,
        In(
            multiline=True,
            options={"dynamicPrompts": True},
            tip="The word before 'photomaker' becomes the person: a man photomaker in the rain.",
        ),
    ] = "photograph of photomaker",
) -> Conditioning:
    """Encode a prompt to a conditioning (1, T, D), with the person of pictures (B, H, W, C) at the word before "photomaker".

    As in its authors' code: that word's last token stands there once for each picture, fused with what CLIP sees of it, and
    "photomaker" is left out. Only the first row of tokens is encoded. A text without "photomaker" is encoded as it is.
    """
    if _ALONE.search(text) is None:
        return encoded(ctx.models, clip, lambda encoder: encoder.encode(text, ctx.warn))
    maker: Any
    with ctx.models.use(photomaker) as maker:
        return encoded(ctx.models, clip, lambda encoder: maker.encode(encoder, text, _WORD, image))
