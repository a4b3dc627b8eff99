"""Pictures as the frames of an animation."""

from __future__ import annotations

from typing import Annotated, Any

from engine.api import Context, Image, In, WithUi, node
from engine.media.animation import METHODS, Kind, save_animation
from engine.media.numbered import told_of

_IN_FILES = {"prompt": "PROMPT", "extra_pnginfo": "EXTRA_PNGINFO"}
FilePrefix = Annotated[
    str, In(tip="Beginning of the file name; a/b makes folders, %date:yyyy-MM-dd% and %Node.input% are filled in.")
]
Fps = Annotated[float, In(ge=0.01, le=1000, step=0.01, tip="Frames a second.")]


@node("SaveAnimatedWEBP", category="image/animation", display_name="Save Animated WEBP", output=True, hidden=_IN_FILES)
def save_animated_webp(
    ctx: Context,
    images: Image,
    filename_prefix: FilePrefix = "ComfyUI",
    fps: Fps = 6.0,
    lossless: Annotated[bool, In(tip="Keep every pixel as it is.")] = True,
    quality: Annotated[
        int, In(ge=0, le=100, tip="Of a file that is not lossless; of one that is, how small it gets.")
    ] = 80,
    method: Annotated[str, In(choices=tuple(METHODS), tip="slowest gives the smallest files.")] = "default",
) -> WithUi[None]:
    """Save pictures (B, H, W, C) as the frames of one WebP file in the output folder, with the workflow inside."""
    options = {"lossless": lossless, "quality": quality, "method": METHODS[method]}
    return _saved(ctx, images, filename_prefix, "webp", fps, **options)


@node("SaveAnimatedPNG", category="image/animation", display_name="Save Animated PNG", output=True, hidden=_IN_FILES)
def save_animated_png(
    ctx: Context,
    images: Image,
    filename_prefix: FilePrefix = "ComfyUI",
    fps: Fps = 6.0,
    compress_level: Annotated[int, In(ge=0, le=9, tip="How long is spent on a small file.")] = 4,
) -> WithUi[None]:
    """Save pictures (B, H, W, C) as the frames of one PNG file in the output folder, with the workflow inside."""
    return _saved(ctx, images, filename_prefix, "png", fps, compress_level=compress_level)


def _saved(ctx: Context, images: Image, prefix: str, kind: Kind, fps: float, **options: Any) -> WithUi[None]:
    home = ctx.paths.directory("output").resolve()
    told: dict[str, Any] = {
        "prompt": ctx.prompt,
        "workflow": ctx.workflow,
        "embed": bool(ctx.embedded),
        "seal": ctx.seal,
    }
    path = save_animation(images, home, prefix, kind, fps, **told, **options)
    return WithUi(ui={"images": [told_of(path, home)], "animated": [len(images) != 1]})
