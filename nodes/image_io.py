"""Pictures from files and to files."""

from __future__ import annotations

from typing import Annotated, Literal, NamedTuple

from engine.api import Context, Files, Image, In, Mask, Out, WithUi, node
from engine.media.load import load_channel, load_picture
from engine.media.resizing import as_masks

InputPicture = Annotated[
    str,
    In(
        choices=Files("input"), options={"image_upload": True}, tip="A picture in the input folder; upload or drop one."
    ),
]

PassedOn = Annotated[Image, Out(name="images", tip="The same pictures, for whatever comes after.")]
MaskPassedOn = Annotated[Mask, Out(name="mask", tip="The same masks, for whatever comes after.")]

_IN_FILES = {"prompt": "PROMPT", "extra_pnginfo": "EXTRA_PNGINFO"}


class Loaded(NamedTuple):
    """A picture and its transparency."""

    IMAGE: Image
    MASK: Mask


@node("LoadImage", category="image", display_name="Load Image")
def load_image(ctx: Context, image: InputPicture) -> Loaded:
    """Load a picture (1, H, W, 3), or every frame of an animation (B, H, W, 3).

    The mask (B, H, W) is 1 where the picture is see-through; a picture without alpha gives zeros (B, 64, 64).
    """
    picture = load_picture(ctx.paths.find("input", image))
    return Loaded(picture.image, picture.mask)


@node("LoadImageMask", category="mask", display_name="Load Image (as Mask)")
def load_image_mask(
    ctx: Context,
    image: InputPicture,
    channel: Annotated[
        Literal["alpha", "red", "green", "blue"], In(tip="Channel to take; alpha is 1 where see-through.")
    ] = "alpha",
) -> Mask:
    """Load one channel of a picture, or of the first frame of an animation, as a mask (1, H, W)."""
    return load_channel(ctx.paths.find("input", image), channel)


@node("SaveImage", category="image", display_name="Save Image", output=True, hidden=_IN_FILES)
def save_image(
    ctx: Context,
    images: Image,
    filename_prefix: Annotated[
        str, In(tip="Beginning of the file name; a/b makes folders, %date:yyyy-MM-dd% and %Node.input% are filled in.")
    ] = "ComfyUI",
) -> WithUi[PassedOn]:
    """Save pictures (B, H, W, C) as PNG files in the output folder, with the workflow inside, and pass them on."""
    return _shown(ctx, images, filename_prefix, "output")


@node("PreviewImage", category="image", display_name="Preview Image", output=True, hidden=_IN_FILES)
def preview_image(ctx: Context, images: Image) -> WithUi[PassedOn]:
    """Show pictures (B, H, W, C) without keeping them, and pass them on."""
    return _shown(ctx, images, "preview", "temp")


@node("MaskPreview", category="mask", display_name="MaskPreview", output=True, hidden=_IN_FILES)
def mask_preview(ctx: Context, mask: Mask) -> WithUi[MaskPassedOn]:
    """Show masks (B, H, W) as grey pictures without keeping them, and pass them on."""
    return WithUi(mask, ui=_shown(ctx, as_masks(mask)[..., None].expand(-1, -1, -1, 3), "mask", "temp").ui)


def _shown(ctx: Context, images: Image, prefix: str, folder: str) -> WithUi[Image]:
    return WithUi(images, ui={"images": list(ctx.save_images(images, prefix, folder))})
