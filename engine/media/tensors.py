"""Between Pillow pictures and IMAGE tensors."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from engine.media.errors import MediaError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image
    from torch import Tensor

_CHANNELS = (1, 3, 4)


def to_tensor(picture: Image) -> Tensor:
    """The colours of a picture of any mode as a float32 tensor (1, H, W, 3), values 0..1.

    Alpha is dropped, not composited, as the field does. Grey pictures of 16 bits keep their precision; a floating-point
    picture is taken as 0..1.
    """
    import torch

    return torch.from_numpy(_colours(picture))[None]


def alpha_mask(picture: Image) -> Tensor | None:
    """1 - alpha as a float32 tensor (1, H, W), so that 1 is transparent; None for a picture without transparency."""
    if not has_alpha(picture):
        return None
    import numpy as np
    import torch

    alpha = picture.convert("RGBA").getchannel("A")
    return 1.0 - torch.from_numpy(np.asarray(alpha, dtype=np.float32) / np.float32(255))[None]


def has_alpha(picture: Image) -> bool:
    """Whether the picture says which of its pixels are transparent."""
    return picture.mode in ("RGBA", "LA", "PA", "RGBa", "La") or (
        "transparency" in picture.info and picture.mode in ("P", "L", "RGB")
    )


def to_pictures(images: Tensor) -> Iterator[Image]:
    """Each image of (B, H, W, C), values 0..1 and C = 1, 3 or 4, as an 8-bit picture by `to_bytes`.

    Grey images (B, H, W) are taken too, as packs give them, and an empty batch is no picture. Raises MediaError for
    another shape.
    """
    from PIL import Image

    shape = tuple(getattr(images, "shape", ())) or type(images).__name__
    if len(shape) >= 3 and shape[0] == 0:
        return
    if len(shape) == 3 and shape[2] not in _CHANNELS:  # a last side of 3 is an image without a batch
        images, shape = images[..., None], (*shape, 1)
    if len(shape) != 4 or shape[3] not in _CHANNELS or 0 in shape:
        raise MediaError(
            f"Expected images of shape (B, H, W, C) with C = 1, 3 or 4 and no empty side, got {shape}. "
            "Connect an IMAGE; masks become one with MaskToImage."
        )
    for image in images:
        pixels = to_bytes(image)
        yield Image.fromarray(pixels[..., 0] if shape[3] == 1 else pixels)


def to_bytes(values: Tensor) -> NDArray[np.uint8]:
    """Values 0..1 of any shape as 0..255: cut to the range, then truncated, not rounded, as the field does; NaN is 0."""
    pixels: NDArray[np.uint8] = values.detach().float().nan_to_num(0.0).clamp(0, 1).mul(255).byte().cpu().numpy()
    return pixels


def _colours(picture: Image) -> Any:
    """Float32 array (H, W, 3)."""
    import numpy as np

    if picture.mode == "I" or picture.mode.startswith("I;16"):
        grey = np.asarray(picture).astype(np.float32) / np.float32(65535)
    elif picture.mode == "F":
        grey = np.nan_to_num(np.asarray(picture, dtype=np.float32))
    else:
        return np.asarray(picture.convert("RGB"), dtype=np.float32) / np.float32(255)
    return np.repeat(grey.clip(0, 1)[..., None], 3, axis=2)
