"""Pictures sent to the program that asked for them, in place of files."""

from __future__ import annotations

from engine.api import Context, Image, node
from engine.media.png import encode_png
from engine.media.tensors import to_pictures


@node("SaveImageWebsocket", category="api/image", output=True, cache=False)
def save_image_websocket(ctx: Context, images: Image) -> None:
    """Send pictures (B, H, W, C) to the client that submitted the job, each as a binary message with a PNG file.

    The messages are those of previews (kind 1, format 2), so that a client reads what comes after `executing` names this
    node. Nothing is written to a folder, and nothing is embedded.
    """
    for index, picture in enumerate(to_pictures(images), start=1):
        ctx.progress(index, len(images))
        ctx.send_picture(encode_png(picture, None, None))
