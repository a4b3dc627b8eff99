"""The VAE as functions between pictures and latents, whole or in tiles.

Latents here are those of the VAE itself; the scale and shift of a latent format belong to sampling.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal, TypeAlias, cast

import torch
from torch.nn import functional

from engine.models.errors import ModelError
from engine.models.memory import unless_out_of_memory
from engine.models.tiles import in_tiles, starts

if TYPE_CHECKING:
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
    from torch import Tensor, nn

    from engine.models.handles import VaeHandle

Tiling: TypeAlias = Literal["mean of three", "square only"]
"""Tiles in three shapes (square, twice as wide and half as high, the other way round) averaged, or only square ones."""

Report: TypeAlias = Callable[[int, int], None]
"""Told how many tiles are done, and of how many."""

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
        self._colours_in = int(handle.config.get("in_channels", 3))
        self._colours_out = int(handle.config.get("out_channels", 3))

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
        """Return pictures (B, H, W, 3) float32 in 0..1 on the CPU of latents (B, C, h, w).

        Falls back to tiles of 64 latent pixels that share 16 when memory runs out, as the field does.
        """
        self._check(latent)
        f = self.downscale
        height, width = latent.shape[-2] * f, latent.shape[-1] * f
        decoded = unless_out_of_memory(lambda: _in_batches(latent, self._batch(height, width), self._decode))
        return self.decode_tiled(latent, 64 * f, 16 * f) if decoded is None else _to_picture(decoded)

    @torch.no_grad()
    def encode_tiled(
        self,
        pixels: Tensor,
        tile: int = 512,
        overlap: int = 64,
        tiling: Tiling = "mean of three",
        report: Report | None = None,
    ) -> Tensor:
        """As `encode`, in tiles of `tile` pixels a side that blend over `overlap` pixels.

        Tiles of each shape of `tiling` give a latent of their own, even where one tile would hold the whole, and the mean
        of the three is returned: no seam is at the same place in all.
        """
        return self._tiled(self._network_input(pixels), self._encode, tile, overlap, tiling, report, encoding=True)

    @torch.no_grad()
    def decode_tiled(
        self,
        latent: Tensor,
        tile: int = 512,
        overlap: int = 64,
        tiling: Tiling = "mean of three",
        report: Report | None = None,
    ) -> Tensor:
        """As `decode`, in tiles of `tile` pixels a side that blend over `overlap` pixels; see `encode_tiled`."""
        self._check(latent)
        return _to_picture(self._tiled(latent, self._decode, tile, overlap, tiling, report, encoding=False))

    def _tiled(
        self,
        items: Tensor,
        apply: Callable[[Tensor], Tensor],
        tile: int,
        overlap: int,
        tiling: Tiling,
        report: Report | None,
        *,
        encoding: bool,
    ) -> Tensor:
        """Map (B, ., H, W) item by item in tiles of each shape, and return the mean; sizes are in pixels of the picture."""
        f = self.downscale
        unit, scale, channels = (f, 1 / f, self.channels) if encoding else (1, float(f), self._colours_out)
        shapes, shared = _tile_sizes(tile // f, overlap // f, tiling)
        sides = [(height * unit, width * unit) for height, width in shapes]
        progress = _Progress(report, items.shape[0] * sum(_count(items, side, shared * unit) for side in sides))
        parts = []
        for index in range(items.shape[0]):
            item = items[index : index + 1]
            results = [
                in_tiles(item, apply, side, [shared * unit] * 2, [scale] * 2, channels, done=progress) for side in sides
            ]
            parts.append(sum(results[1:], results[0]) / len(results))
        return torch.cat(parts)

    def _network_input(self, pixels: Tensor) -> Tensor:
        """Pictures (B, H, W, C) as (B, C, H, W) in -1..1, cropped; alpha is 1 where the network knows it and they have none."""
        colours = self._colours_in
        if pixels.ndim == 4 and colours == 4 and pixels.shape[-1] == 3:
            pixels = functional.pad(pixels, (0, 1), value=1.0)
        if pixels.ndim != 4 or pixels.shape[-1] < colours or min(pixels.shape[1:3]) < self.downscale or not len(pixels):
            raise ModelError(
                f"{self.handle.source.path}: expected pictures (B, H, W, {colours}) of at least {self.downscale} pixels a side, "
                f"got {list(pixels.shape)}. Give it a picture of that shape; enlarge a smaller one first."
            )
        height, width = (side // self.downscale * self.downscale for side in pixels.shape[1:3])
        top, left = (pixels.shape[1] - height) // 2, (pixels.shape[2] - width) // 2
        cropped = pixels[:, top : top + height, left : left + width, :colours]
        return cropped.movedim(-1, 1) * 2.0 - 1.0

    def _check(self, latent: Tensor) -> None:
        if latent.ndim != 4 or latent.shape[1] != self.channels or not latent.numel():
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


def _tile_sizes(side: int, overlap: int, tiling: Tiling) -> tuple[list[tuple[int, int]], int]:
    """Return (height, width) of each shape of tile, and what they share: less than half a side, so that tiles advance."""
    side = max(2, side)
    half = side // 2
    shapes = [(side * 2, half), (half, side * 2), (side, side)] if tiling == "mean of three" else [(side, side)]
    return shapes, max(0, min(overlap, half - 1))


def _count(items: Tensor, side: tuple[int, int], overlap: int) -> int:
    rows, columns = (len(starts(size, tile, overlap)) for size, tile in zip(items.shape[-2:], side, strict=True))
    return rows * columns


class _Progress:
    """Counts tiles."""

    def __init__(self, report: Report | None, total: int) -> None:
        self._report = report
        self._done = 0
        self._total = total

    def __call__(self) -> None:
        self._done += 1
        if self._report is not None:
            self._report(self._done, self._total)
