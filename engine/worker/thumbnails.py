"""Small pictures of images, masks and latents."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any, Final

from engine.datatypes.latent_formats import SD
from engine.datatypes.parameterization import LatentFormat

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor

SIDE: Final = 320
"""The longer side of one picture in pixels."""

MOST: Final = 4
"""Of a batch so many are shown side by side."""

QUALITY: Final = 80


def thumbnail(value: Any, kind: str, latent_format: LatentFormat | None = None) -> bytes:
    """A WebP of an image (B, H, W, C), a mask (B, H, W) or a latent; b"" when there is nothing to see.

    `latent_format` is that of the model the latent belongs to, if that is known.
    """
    pictures = _latent(value, latent_format) if kind == "latent" else _pixels(value)
    if not pictures:
        return b""
    file = io.BytesIO()
    _sheet(pictures).save(file, "WEBP", quality=QUALITY, method=2)
    return file.getvalue()


def _pixels(value: Any) -> list[Image]:
    import torch

    batch: Tensor = torch.as_tensor(value).detach()
    batch = batch[None] if batch.ndim == 2 else batch
    return [_image(_rgb(one)) for one in batch[:MOST] if one.numel()]


def _rgb(picture: Tensor) -> Tensor:
    """(h, w) or (h, w, C) as colours (3 or 4, h, w), already about as small as they will be."""
    step = max(1, max(picture.shape[:2]) // (2 * SIDE))
    picture = picture[::step, ::step].to("cpu").float()
    picture = picture[..., None] if picture.ndim == 2 else picture
    return (picture.expand(-1, -1, 3) if picture.shape[-1] == 1 else picture).permute(2, 0, 1)


def _image(colours: Tensor) -> Image:
    from PIL import Image

    from engine.denoising.previews import to_pixels

    return Image.fromarray(to_pixels(colours))


def _latent(value: Any, latent_format: LatentFormat | None) -> list[Image]:
    from PIL import Image

    from engine.denoising.previews import latent_to_rgb

    samples: Tensor = value["samples"]
    channels = int(samples.shape[1])
    space = latent_format or (SD if channels == SD.channels else LatentFormat(channels=channels))
    found = []
    for one in samples[:MOST]:
        picture = Image.fromarray(latent_to_rgb(one[None].to("cpu"), space, max_side=SIDE))
        scale = max(1, SIDE // max(picture.size))
        found.append(picture.resize((picture.width * scale, picture.height * scale), Image.Resampling.NEAREST))
    return found


def _sheet(pictures: list[Image]) -> Image:
    """Up to four pictures in one, two in a row."""
    from PIL import Image

    for picture in pictures:
        picture.thumbnail((SIDE, SIDE))
    if len(pictures) == 1:
        return pictures[0]
    width, height = pictures[0].size
    rows = (len(pictures) + 1) // 2
    sheet = Image.new("RGB", (2 * width, rows * height))
    for index, picture in enumerate(pictures):
        sheet.paste(picture.convert("RGB"), ((index % 2) * width, (index // 2) * height))
    return sheet
