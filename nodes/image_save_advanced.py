"""Pictures to files of a chosen format."""

from __future__ import annotations

from typing import Annotated, Any, Final

from engine.api import Choosing, Context, Image, In, Out, WithUi, node

FORMATS: Final[list[dict[str, Any]]] = [
    {
        "key": "png",
        "inputs": {
            "required": {
                "bit_depth": ["COMBO", {"default": "8-bit", "options": ["8-bit"], "tooltip": "Bits of a colour."}],
                "input_color_space": [
                    "COMBO",
                    {"default": "sRGB", "options": ["sRGB"], "tooltip": "What the numbers of the picture mean."},
                ],
            }
        },
    }
]
"""The formats, each with the inputs that it brings, as editors read them."""


@node(
    "SaveImageAdvanced",
    category="image",
    display_name="Save Image (Advanced)",
    output=True,
    hidden={"prompt": "PROMPT", "extra_pnginfo": "EXTRA_PNGINFO"},
)
def save_image_advanced(
    ctx: Context,
    images: Image,
    filename_prefix: Annotated[
        str, In(tip="Beginning of the file name; a/b makes folders, %date:yyyy-MM-dd% and %Node.input% are filled in.")
    ] = "ComfyUI",
    *,
    format: Annotated[Choosing, In(tip="Kind of file; png is the one there is here.", options={"options": FORMATS})],
) -> WithUi[Annotated[Image, Out(name="images")]]:
    """Save pictures (B, H, W, C) as PNG files in the output folder, with the workflow inside, and pass them on."""
    return WithUi(images, ui={"images": list(ctx.save_images(images, filename_prefix, "output"))})
