"""Autoencoders of videos, for which a picture is a video of one frame, as functions between frames and latents."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

import torch

from engine.models.autoencoder import Autoencoder, Report, Tiling
from engine.models.errors import ModelError
from engine.models.memory import unless_out_of_memory
from engine.models.tiles import in_tiles, starts

if TYPE_CHECKING:
    from torch import Tensor, nn

    from engine.models.handles import VaeHandle


def wan(**config: Any) -> nn.Module:
    """Return the library's AutoencoderKLWan."""
    from diffusers.models.autoencoders.autoencoder_kl_wan import AutoencoderKLWan

    return cast("nn.Module", AutoencoderKLWan(**_lists(config)))


def wan22(*, in_channels: int, out_channels: int, patch_size: int, **config: Any) -> nn.Module:
    """Return the library's AutoencoderKLWan over patches of pixels; channels are counted in pixels here."""
    values = patch_size**2
    return wan(in_channels=in_channels * values, out_channels=out_channels * values, patch_size=patch_size, **config)


def qwen_image21(**config: Any) -> nn.Module:
    """Return the library's AutoencoderKLQwenImage21."""
    from diffusers.models.autoencoders.autoencoder_kl_qwenimage21 import AutoencoderKLQwenImage21

    return cast("nn.Module", AutoencoderKLQwenImage21(**_lists(config)))


def _lists(config: dict[str, Any]) -> dict[str, Any]:
    """These classes add to their lists, and so take no tuples."""
    return {name: list(value) if isinstance(value, tuple) else value for name, value in config.items()}


class FramesAutoencoder(Autoencoder):
    """An autoencoder of videos, causal in time: the first frame stands alone, and each n further ones are one latent frame.

    What is given is one video, as the field has it; pictures that are no video are encoded one by one.
    """

    def __init__(self, module: nn.Module, handle: VaeHandle, device: torch.device, dtype: torch.dtype) -> None:
        super().__init__(module, handle, device, dtype)
        self._frames = int(handle.config["scale_factor_temporal"])

    @torch.no_grad()
    def encode(self, pixels: Tensor) -> Tensor:
        """Return a latent (1, C, 1 + (F - 1) // n, H/f, W/f) float32 on the CPU of a video's frames (F, H, W, 3 or more) in 0..1.

        The latent is the posterior's mean. Frames that do not fill n are left out, and sizes that f does not divide are cropped
        about the centre. A network that knows alpha takes it for 1 where there is none. Falls back to tiles when memory runs out.
        """
        video = self._video(pixels)
        latent = unless_out_of_memory(lambda: self._encode(video))
        return self.encode_tiled(pixels) if latent is None else latent

    @torch.no_grad()
    def decode(self, latent: Tensor) -> Tensor:
        """Return (B (1 + n (T - 1)), H, W, 3 or 4) in 0..1 of latents (B, C, T, h, w), or of single frames (B, C, h, w).

        Falls back to tiles of 64 latent pixels that share 16 when memory runs out.
        """
        videos, f = self._videos(latent), self.downscale
        decoded = unless_out_of_memory(lambda: torch.cat([self._decode(one[None]) for one in videos]))
        return self.decode_tiled(latent, 64 * f, 16 * f) if decoded is None else _to_frames(decoded)

    @torch.no_grad()
    def encode_tiled(
        self,
        pixels: Tensor,
        tile: int = 512,
        overlap: int = 64,
        tiling: Tiling = "mean of three",
        report: Report | None = None,
    ) -> Tensor:
        """As `encode`, in square tiles of `tile` pixels a side that hold all frames and blend over `overlap` pixels."""
        video = self._video(pixels)
        made = 1 + (video.shape[2] - 1) // self._frames
        factors = (made / video.shape[2], 1 / self.downscale)
        return _tiled(video, self._encode, _on_grid(tile, overlap, self.downscale), factors, self.channels, report)

    @torch.no_grad()
    def decode_tiled(
        self,
        latent: Tensor,
        tile: int = 512,
        overlap: int = 64,
        tiling: Tiling = "mean of three",
        report: Report | None = None,
    ) -> Tensor:
        """As `decode`, in square tiles of `tile` pixels a side that hold all frames and blend over `overlap` pixels."""
        videos = self._videos(latent)
        frames = 1 + (videos.shape[2] - 1) * self._frames
        factors = (frames / videos.shape[2], float(self.downscale))
        side, shared = (value // self.downscale for value in _on_grid(tile, overlap, self.downscale))
        return _to_frames(_tiled(videos, self._decode, (side, shared), factors, self._colours_out, report))

    def _video(self, pixels: Tensor) -> Tensor:
        """Frames (F, H, W, C) as (1, C, F, H, W) in -1..1, with the channels that the network takes."""
        return self._network_input(pixels).movedim(0, 1)[None]

    def _videos(self, latent: Tensor) -> Tensor:
        videos = latent[:, :, None] if latent.ndim == 4 else latent
        if videos.ndim != 5 or videos.shape[1] != self.channels or not videos.numel():
            raise ModelError(
                f"{self.handle.source.path}: this VAE decodes latents (B, {self.channels}, …, h, w), "
                f"got {list(latent.shape)}. Use the VAE of the model that made the latent."
            )
        return videos


class OneFrameAutoencoder(Autoencoder):
    """An autoencoder of pictures that the library calls with videos of one frame."""

    def _encode(self, images: Tensor) -> Tensor:
        return super()._encode(images[:, :, None])[:, :, 0]

    def _decode(self, latent: Tensor) -> Tensor:
        return super()._decode(latent[:, :, None])[:, :, 0]


def _on_grid(tile: int, overlap: int, downscale: int) -> tuple[int, int]:
    """Side and overlap of tiles in pixels, multiples of the downscale, so that tiles advance."""
    side = max(2, tile // downscale)
    return side * downscale, max(0, min(overlap // downscale, side // 2 - 1)) * downscale


def _tiled(
    videos: Tensor,
    apply: Callable[[Tensor], Tensor],
    sides: tuple[int, int],
    factors: tuple[float, float],
    channels: int,
    report: Report | None,
) -> Tensor:
    """Map (B, ., T, H, W) video by video in tiles of `sides` (side, overlap) with all frames; `factors` of time and space."""
    (side, shared), (over_time, over_space) = sides, factors
    frames, height, width = videos.shape[2:]
    total = videos.shape[0] * len(starts(height, side, shared)) * len(starts(width, side, shared))
    finished = iter(range(1, total + 1))

    def done() -> None:
        if report is not None:
            report(next(finished), total)

    tile, overlap, scale = (frames, side, side), (0, shared, shared), (over_time, over_space, over_space)
    return torch.cat([in_tiles(one[None], apply, tile, overlap, scale, channels, done=done) for one in videos])


def _to_frames(decoded: Tensor) -> Tensor:
    """(B, C, F, H, W) in -1..1 as pictures (B F, H, W, C) in 0..1."""
    return (decoded / 2 + 0.5).clamp(0.0, 1.0).permute(0, 2, 3, 4, 1).flatten(0, 1).contiguous()
