"""Pictures that a camera took in the editor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, TypeAlias

from engine.api import Context, Image, In, Mentions, Socket, node
from engine.media.load import load_picture
from engine.media.resizing import resize_images
from nodes.dimensions import MAX_RESOLUTION

if TYPE_CHECKING:
    Photo: TypeAlias = str
else:

    class Photo(Socket, io_type="WEBCAM"):
        """The name of a file that a widget of the editor took with a camera."""


Side = Annotated[int, In(ge=0, le=MAX_RESOLUTION, step=1, tip="Size in pixels; 0 follows from the other side.")]


@node("WebcamCapture", category="image", display_name="Webcam Capture")
def webcam_capture(
    ctx: Context,
    image: Annotated[
        Photo,
        In(
            tip="What the camera took; the editor fills it in.",
            mentions=Mentions("", "input", (" [temp]", " [output]")),
        ),
    ],
    width: Side = 0,
    height: Side = 0,
    capture_on_queue: Annotated[bool, In(tip="The editor takes a new picture before each run.")] = True,
) -> Image:
    """Load what the camera took (1, H, W, 3), stretched to `width` × `height` where it has another size.

    A side of 0 keeps the proportions, and both of 0 the picture's own size (inferred for one of 0). Raises ValueError when
    nothing was taken.
    """
    if not image.strip():
        raise ValueError("image: no picture has been taken yet. Start the camera on the node, then run again.")
    taken = load_picture(ctx.paths.find("input", image.strip())).image
    rows, columns = taken.shape[1:3]
    wide = width or (max(1, round(columns * height / rows)) if height else columns)
    high = height or (max(1, round(rows * width / columns)) if width else rows)
    return taken if (wide, high) == (columns, rows) else resize_images(taken, wide, high, "bilinear").clamp(0, 1)
