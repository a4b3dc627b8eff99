"""Pictures to files of a chosen format."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Final

from torch import Tensor

from engine.api import Choosing, Context, Image, In, Out, WithUi, node
from engine.media.numbered import told_of


def _choice(tip: str, *options: str) -> list[Any]:
    return ["COMBO", {"default": options[0], "options": list(options), "tooltip": tip}]


def _format(key: str, **inputs: list[Any]) -> dict[str, Any]:
    return {"key": key, "inputs": {"required": inputs}}


_BITS = "Bits of a colour."
_SPACE = "What the numbers of the picture mean."

_MODES: Final[list[dict[str, Any]]] = [
    {"key": "still images", "inputs": {"required": {}}},
    _format(
        "animated",
        fps=["FLOAT", {"default": 6.0, "min": 0.01, "max": 1000.0, "step": 0.01, "tooltip": "Frames a second."}],
        loop_count=["INT", {"default": 0, "min": 0, "max": 1000, "tooltip": "How often it plays; 0 is for ever."}],
    ),
]

FORMATS: Final[list[dict[str, Any]]] = [
    _format("png", bit_depth=_choice(_BITS, "8-bit", "16-bit"), input_color_space=_choice(_SPACE, "sRGB")),
    _format(
        "exr",
        bit_depth=_choice(_BITS, "16-bit float", "32-bit float"),
        input_color_space=_choice(
            f"{_SPACE} The file has scene-linear light.", "sRGB", "HDR", "linear", "linear ACEScg"
        ),
    ),
    _format(
        "avif",
        bit_depth=_choice("auto is 8-bit for sRGB and 10-bit for HDR.", "auto", "8-bit YUV420", "10-bit YUV420"),
        input_color_space=_choice(_SPACE, "sRGB", "HDR", "HDR PQ"),
        crf=["INT", {"default": 18, "min": 1, "max": 63, "tooltip": "Less is better and larger."}],
        save_mode=[
            "COMFY_DYNAMICCOMBO_V3",
            {"options": _MODES, "tooltip": "A file for each picture, or one that moves."},
        ],
    ),
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
    format: Annotated[Choosing, In(tip="Kind of file.", options={"options": FORMATS})],
) -> WithUi[Annotated[Image, Out(name="images")]]:
    """Save pictures (B, H, W, C) in the output folder, with the workflow inside, and pass them on.

    png: 1, 3 or 4 channels, of 8 bits, truncated as SaveImage does, or 16, rounded. exr: the same channels, as scene-linear
    light under the primaries of the space, losslessly compressed; sRGB and HLG codes are decoded, alpha is not multiplied
    in. avif: 1 or 3 channels, 4:2:0 of full range, a file each or one animation. Raises MediaError for other channels.
    """
    kind = format["format"]
    home = ctx.paths.directory("output").resolve()
    if kind == "png" and format["bit_depth"] == "8-bit":
        return WithUi(images, ui={"images": list(ctx.save_images(images, filename_prefix, "output"))})
    if kind == "avif":
        return _avif(ctx, images, filename_prefix, home, format)
    encode = partial(_png, ctx) if kind == "png" else partial(_exr, ctx, format)
    return WithUi(images, ui={"images": _saved(ctx, images, filename_prefix, f".{kind}", encode, home)})


def _saved(ctx: Context, images: Tensor, prefix: str, suffix: str, encode: Any, home: Path) -> list[dict[str, str]]:
    from engine.media.picture_files import save_each

    paths = save_each(images, home, prefix, suffix, encode, ctx.prompt, ctx.seal)
    return [told_of(path, home) for path in paths]


def _png(ctx: Context, image: Tensor) -> bytes:
    from engine.media.picture_files import encode_png16

    ctx.check_cancelled()
    return encode_png16(image, ctx.embedded.get("prompt"), ctx.embedded.get("workflow"))


def _exr(ctx: Context, choice: Mapping[str, Any], image: Tensor) -> bytes:
    from engine.media.exr import GAMUTS, encode_exr, scene_linear

    ctx.check_cancelled()
    space = choice["input_color_space"]
    return encode_exr(scene_linear(image, space), choice["bit_depth"], GAMUTS[space], ctx.embedded)


def _avif(ctx: Context, images: Tensor, prefix: str, home: Path, choice: Mapping[str, Any]) -> WithUi[Tensor]:
    from engine.media.avif import encode_avif
    from engine.media.numbered import write_named

    space, mode = choice["input_color_space"], choice["save_mode"]
    deep = choice["bit_depth"] == "10-bit YUV420" or (choice["bit_depth"] == "auto" and space != "sRGB")
    encode = partial(encode_avif, space=space, bits=10 if deep else 8, crf=choice["crf"], told=ctx.embedded)

    def one(image: Tensor) -> bytes:
        ctx.check_cancelled()
        return encode(image[None])

    if mode["save_mode"] == "still images" or len(images) == 1:
        return WithUi(images, ui={"images": _saved(ctx, images, prefix, ".avif", one, home)})
    data = encode(images, fps=mode["fps"], loops=mode["loop_count"])
    size = images.shape[2], images.shape[1]
    path = write_named(home, prefix, ".avif", lambda file: file.write_bytes(data), ctx.prompt, size=size, seal=ctx.seal)
    return WithUi(images, ui={"images": [told_of(path, home)], "animated": [True]})
