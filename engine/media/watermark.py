"""An invisible watermark: a short text in the middle frequencies of a picture, which JPEG and resizing leave readable.

The carriers are those of Al-Haj, "Combined DWT-DCT Digital Image Watermarking" (Journal of Computer Science 3 (9), 2007): the
discrete cosine transform of 8 × 8 blocks of the low band of a Haar wavelet. Bits are put into them by spread-transform dither
modulation (Chen and Wornell, "Quantization Index Modulation", IEEE Transactions on Information Theory 47 (4), 2001), so that
reading needs no original: a bit is the lattice on which the projection of its carriers onto a secret direction lies.

All is done on the luma of the picture scaled to SIDE × SIDE, and the change is scaled back and added: so a picture of another
size, stretched too, reads the same. What a crop, a rotation or a strong change of contrast leaves cannot be read.
"""

from __future__ import annotations

import hashlib
import math
import zlib
from functools import lru_cache
from typing import Final, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import interpolate

SIDE: Final = 256
MOST_BYTES: Final = 16
"""Of the text, in UTF-8."""
BITS: Final = 8 * (1 + MOST_BYTES + 4)
"""Length, text, and its CRC-32."""
STRENGTH: Final = 60.0
"""The step of the lattices by default, on a scale of 255."""

_BLOCK: Final = 8
_PLACES: Final = tuple((u, v) for u in range(_BLOCK) for v in range(_BLOCK) if 2 <= u + v <= 4)
_PASSES: Final = 4
_LUMA: Final = (0.299, 0.587, 0.114)


class Read(NamedTuple):
    """What a picture carries: whether the checksum fits, the text, and how far bits lie from where they would turn (0..1)."""

    found: bool
    text: str
    certainty: float


def framed(text: str) -> Tensor:
    """The bits (BITS,) of a text, 0 or 1. Raises ValueError for one of no byte or more than MOST_BYTES."""
    data = text.encode("utf-8", "replace")
    if not 0 < len(data) <= MOST_BYTES:
        raise ValueError(
            f"text: 1 to {MOST_BYTES} bytes in UTF-8 fit, got {len(data)}. Shorten it, or take an id of it."
        )
    body = bytes([len(data)]) + data.ljust(MOST_BYTES, b"\0")
    whole = body + zlib.crc32(body).to_bytes(4)
    return torch.tensor([byte >> bit & 1 for byte in whole for bit in range(7, -1, -1)])


def unframed(bits: Tensor) -> str | None:
    """The text that bits (BITS,) spell; None where the checksum does not fit."""
    values = bits.reshape(-1, 8).tolist()
    whole = bytes(sum(bit << 7 - at for at, bit in enumerate(byte)) for byte in values)
    body, check = whole[:-4], whole[-4:]
    if zlib.crc32(body).to_bytes(4) != check or not 0 < body[0] <= MOST_BYTES:
        return None
    return body[1 : 1 + body[0]].decode("utf-8", "replace")


def embed(images: Tensor, text: str, key: int = 0, strength: float = STRENGTH) -> Tensor:
    """Images (B, H, W, C), values 0..1, C = 1, 3 or 4, with `text` in each; alpha stays as it is.

    `key` chooses carriers and directions: who reads needs it. `strength` is the step of the lattices on a scale of 255: the
    error that is added is near strength² · BITS / (12 · SIDE²). Raises ValueError for sides below SIDE, and for a long text.
    """
    height, width = images.shape[1:3]
    if min(height, width) < SIDE:
        raise ValueError(
            f"Pictures for a watermark have sides of at least {SIDE} pixels, got {width} × {height}. Enlarge them."
        )
    bits = framed(text).to(images.device)
    return torch.cat([_embed_one(image[None], bits, key, strength) for image in images]) if len(images) else images


def read(image: Tensor, key: int = 0, strength: float = STRENGTH) -> Read:
    """What an image (H, W, C), values 0..1, carries under `key` and `strength`."""
    soft = soft_bits(image, key, strength)
    text = unframed((soft > 0).long())
    return Read(text is not None, text or "", float(soft.abs().mean()))


def soft_bits(image: Tensor, key: int, strength: float) -> Tensor:
    """A number (BITS,) in -1..1 for each bit: above 0 it is 1, and near ±1 it is sure."""
    projected = _projected(_carriers(_canonical(_luma(image[None, ..., :3]))), key)
    return -torch.cos(projected * (2 * math.pi / strength))


def _embed_one(image: Tensor, bits: Tensor, key: int, strength: float) -> Tensor:
    """The change is made several times, as scaling it back and clipping take a part of it away."""
    colours, rest = image[..., :3].float(), image[..., 3:]
    size = (image.shape[1], image.shape[2])
    for _ in range(_PASSES):
        projected = _projected(_carriers(_canonical(_luma(colours))), key)
        shift = bits * (strength / 2)
        wanted = torch.round((projected - shift) / strength) * strength + shift
        change = _from_carriers(_spread(wanted - projected, key)) / 255
        larger = interpolate(change[None, None], size, mode="bicubic", align_corners=False)[0, 0]
        colours = (colours + larger[None, ..., None]).clamp(0, 1)
    return torch.cat([colours.to(image.dtype), rest], dim=-1)


def _luma(colours: Tensor) -> Tensor:
    """(1, H, W, C) in 0..1 → (H, W) in 0..255."""
    values = colours[0].detach().float().nan_to_num(0.0).clamp(0, 1)
    weights = values.new_tensor(_LUMA) if values.shape[-1] == 3 else values.new_full((values.shape[-1],), 1.0)
    return values @ (weights / weights.sum()) * 255


def _canonical(luma: Tensor) -> Tensor:
    """(H, W) → (SIDE, SIDE)."""
    return interpolate(luma[None, None], (SIDE, SIDE), mode="bilinear", antialias=True, align_corners=False)[0, 0]


def _carriers(luma: Tensor) -> Tensor:
    """(SIDE, SIDE) → the chosen coefficients (SIDE/16)² · 12, of one dimension."""
    low = luma.reshape(SIDE // 2, 2, SIDE // 2, 2).sum((1, 3)) / 2  # the low band of Haar's wavelet, orthonormal
    across = SIDE // 2 // _BLOCK
    blocks = low.reshape(across, _BLOCK, across, _BLOCK).transpose(1, 2)
    matrix = _dct(luma.device)
    found = matrix @ blocks @ matrix.T
    return torch.stack([found[..., u, v] for u, v in _PLACES], dim=-1).reshape(-1)


def _from_carriers(values: Tensor) -> Tensor:
    """The picture (SIDE, SIDE) of such coefficients, all others being 0: `_carriers` backwards."""
    across = SIDE // 2 // _BLOCK
    spectrum = values.new_zeros((across, across, _BLOCK, _BLOCK))
    for at, (u, v) in enumerate(_PLACES):
        spectrum[..., u, v] = values.reshape(across, across, -1)[..., at]
    matrix = _dct(values.device)
    low = (matrix.T @ spectrum @ matrix).transpose(1, 2).reshape(SIDE // 2, SIDE // 2)
    return low.repeat_interleave(2, 0).repeat_interleave(2, 1) / 2


def _dct(device: torch.device) -> Tensor:
    """The orthonormal matrix (8, 8) of DCT-II."""
    at = torch.arange(_BLOCK, dtype=torch.float64)
    rows = torch.cos(math.pi / _BLOCK * (at[None] + 0.5) * at[:, None]) * math.sqrt(2 / _BLOCK)
    rows[0] /= math.sqrt(2)
    return rows.float().to(device)


@lru_cache(maxsize=16)
def _directions(key: int) -> tuple[Tensor, Tensor]:
    """For each bit its carriers (BITS, n), and the sign of each: the same on every machine, as SHAKE-256 gives them."""
    count = (SIDE // 2 // _BLOCK) ** 2 * len(_PLACES)
    stream = hashlib.shake_256(b"safelight watermark 1\0%d" % key).digest(count * 8 + count)
    order = sorted(range(count), key=lambda at: stream[8 * at : 8 * at + 8])
    each = count // BITS
    chosen = torch.tensor(order[: each * BITS]).reshape(BITS, each)
    signs = torch.tensor([1.0 if byte & 1 else -1.0 for byte in stream[count * 8 :]])[: each * BITS].reshape(BITS, each)
    return chosen, signs / math.sqrt(each)


def _projected(carriers: Tensor, key: int) -> Tensor:
    """(n,) → the projection for each bit (BITS,)."""
    chosen, signs = _directions(key)
    return (carriers[chosen.to(carriers.device)] * signs.to(carriers.device)).sum(1)


def _spread(changes: Tensor, key: int) -> Tensor:
    """A change for each bit (BITS,) → one for each carrier."""
    chosen, signs = _directions(key)
    count = (SIDE // 2 // _BLOCK) ** 2 * len(_PLACES)
    spread = changes.new_zeros(count)
    spread[chosen.to(changes.device).reshape(-1)] = (changes[:, None] * signs.to(changes.device)).reshape(-1)
    return spread
