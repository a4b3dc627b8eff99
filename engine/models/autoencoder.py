"""The VAE as functions between pictures and latents, whole or in tiles.

Latents here are those of the VAE itself; the scale and shift of a latent format belong to sampling.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, cast

import torch

from engine.models.errors import ModelError
from engine.models.memory import unless_out_of_memory

if TYPE_CHECKING:
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
    from torch import Tensor, nn

    from engine.models.handles import VaeHandle

_PIXELS_AT_ONCE = 1 << 20
"""Pictures are coded in batches of about one megapixel: memory is bounded and small pictures still share a call."""


class Autoencoder:
    """A VAE (Kingma & Welling 2013; as in Rombach et al. 2022)."""

    def __init__(self, module: nn.Module, handle: VaeHandle, device: torch.device, dtype: torch.dtype) -> None:
        self.module = cast("AutoencoderKL", module)
        self.handle = handle
        self.device = device
        self.dtype = dtype
        self.downscale = handle.latent.downscale
        self.channels = handle.latent.channels

    @torch.no_grad()
    def encode(self, pixels: Tensor) -> Tensor:
        """Return latents (B, C, H/f, W/f) float32 on the CPU of pictures (B, H, W, 3 or more) in 0..1.

        The latent is the posterior's mean, so that the same picture always gives the same latent. Sizes that f does not
        divide are cropped about the centre. Falls back to tiles when memory runs out.
        """
        images = self._network_input(pixels)
        latent = unless_out_of_memory(lambda: _in_batches(images, self._batch(*images.shape[-2:]), self._encode))
        return self.encode_tiled(pixels) if latent is None else latent

    @torch.no_grad()
    def decode(self, latent: Tensor) -> Tensor:
        """Return pictures (B, H, W, 3) float32 in 0..1 on the CPU of latents (B, C, h, w). Falls back to tiles as `encode`."""
        self._check(latent)
        height, width = latent.shape[-2] * self.downscale, latent.shape[-1] * self.downscale
        decoded = unless_out_of_memory(lambda: _in_batches(latent, self._batch(height, width), self._decode))
        return self.decode_tiled(latent) if decoded is None else _to_picture(decoded)

    @torch.no_grad()
    def encode_tiled(self, pixels: Tensor, tile: int = 512, overlap: int = 64) -> Tensor:
        """As `encode`, in tiles of `tile` pixels that blend linearly over `overlap` pixels."""
        images, f = self._network_input(pixels), self.downscale
        side, shared = _tile_sizes(tile, overlap, f)
        return _tiled(images, self._encode, side * f, shared * f, lambda n: n // f, self.channels)

    @torch.no_grad()
    def decode_tiled(self, latent: Tensor, tile: int = 512, overlap: int = 64) -> Tensor:
        """As `decode`, in tiles of `tile` pixels that blend linearly over `overlap` pixels."""
        self._check(latent)
        f = self.downscale
        side, shared = _tile_sizes(tile, overlap, f)
        return _to_picture(_tiled(latent, self._decode, side, shared, lambda n: n * f, 3))

    def _network_input(self, pixels: Tensor) -> Tensor:
        if pixels.ndim != 4 or pixels.shape[-1] < 3 or min(pixels.shape[1:3]) < self.downscale:
            raise ModelError(
                f"{self.handle.source.path}: expected pictures (B, H, W, 3) of at least {self.downscale} pixels a side, "
                f"got {list(pixels.shape)}"
            )
        height, width = (side // self.downscale * self.downscale for side in pixels.shape[1:3])
        top, left = (pixels.shape[1] - height) // 2, (pixels.shape[2] - width) // 2
        cropped = pixels[:, top : top + height, left : left + width, :3]
        return cropped.movedim(-1, 1) * 2.0 - 1.0

    def _check(self, latent: Tensor) -> None:
        if latent.ndim != 4 or latent.shape[1] != self.channels:
            raise ModelError(
                f"{self.handle.source.path}: this VAE decodes latents (B, {self.channels}, h, w), got {list(latent.shape)}. "
                "Use the VAE of the checkpoint that made the latent."
            )

    def _batch(self, height: int, width: int) -> int:
        return max(1, _PIXELS_AT_ONCE // (height * width))

    def _encode(self, images: Tensor) -> Tensor:
        posterior = self.module.encode(images.to(self.device, self.dtype)).latent_dist
        return cast("Tensor", posterior.mean).float().cpu()

    def _decode(self, latent: Tensor) -> Tensor:
        decoded = self.module.decode(latent.to(self.device, self.dtype), return_dict=False)[0]
        return cast("Tensor", decoded).float().cpu()


def _to_picture(decoded: Tensor) -> Tensor:
    return (decoded / 2 + 0.5).clamp(0.0, 1.0).movedim(1, -1).contiguous()


def _in_batches(items: Tensor, size: int, apply: Callable[[Tensor], Tensor]) -> Tensor:
    parts = [apply(items[start : start + size]) for start in range(0, items.shape[0], size)]
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def _tile_sizes(tile: int, overlap: int, downscale: int) -> tuple[int, int]:
    """Return tile and overlap in latent pixels; the overlap is less than the tile."""
    side = max(2, tile // downscale)
    return side, min(max(1, overlap // downscale), side - 1)


def _tiled(
    items: Tensor,
    apply: Callable[[Tensor], Tensor],
    tile: int,
    overlap: int,
    scaled: Callable[[int], int],
    channels: int,
) -> Tensor:
    """Apply a map of (B, ., H, W) to (B, `channels`, scaled(H), scaled(W)) tile by tile, weighing tiles by linear ramps."""
    batch, _, height, width = items.shape
    total = torch.zeros(batch, channels, scaled(height), scaled(width))
    weights = torch.zeros(1, 1, scaled(height), scaled(width))
    for top in _starts(height, tile, overlap):
        for left in _starts(width, tile, overlap):
            piece = items[:, :, top : top + tile, left : left + tile]
            mask = _ramp(scaled(piece.shape[-2]), scaled(overlap))[:, None] * _ramp(
                scaled(piece.shape[-1]), scaled(overlap)
            )
            y, x = scaled(top), scaled(left)
            rows, columns = slice(y, y + mask.shape[0]), slice(x, x + mask.shape[1])
            total[:, :, rows, columns] += _in_batches(piece, 1, apply) * mask
            weights[:, :, rows, columns] += mask
    return total / weights


def _starts(length: int, tile: int, overlap: int) -> list[int]:
    if length <= tile:
        return [0]
    step = tile - overlap
    return [*range(0, length - tile, step), length - tile]


def _ramp(length: int, overlap: int) -> Tensor:
    """Return weights (length,) that rise over `overlap` from above 0 to 1 and fall likewise; the sum of tiles is divided out."""
    rise = (torch.arange(length, dtype=torch.float32) + 1) / (overlap + 1)
    return torch.minimum(rise, rise.flip(0)).clamp(max=1.0)
