"""`latent_preview`: intermediate pictures of a latent."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image

from engine.plugins.compat.absent import refuse
from engine.plugins.compat.cli_args import LatentPreviewMethod, args
from engine.plugins.compat.tensors_and_files import ProgressBar

__all__ = ["LatentPreviewMethod"]

MAX_PREVIEW_RESOLUTION = args.preview_size


def preview_to_image(latent_image: Any) -> Image.Image:
    """The picture of values (h, w, 3) in -1..1."""
    pixels = ((latent_image + 1.0) / 2.0).clamp(0, 1).mul(255)
    return Image.fromarray(pixels.to(device="cpu", dtype=torch.uint8).numpy())


class LatentPreviewer:
    """Base of what makes a picture of a latent; subclasses of packs say how."""

    def decode_latent_to_preview(self, x0: Any) -> Any:
        """The picture of the first latent (B, C, h, w)."""
        raise NotImplementedError(f"{type(self).__name__} does not say how a latent becomes a picture.")

    def decode_latent_to_preview_image(self, preview_format: str, x0: Any) -> tuple[str, Any, int]:
        """(format, picture, largest side), as progress bars take it."""
        return preview_format, self.decode_latent_to_preview(x0), MAX_PREVIEW_RESOLUTION


class Latent2RGBPreviewer(LatentPreviewer):
    """Each latent pixel as a colour, by a linear map; as a grey where no map is known (None)."""

    def __init__(
        self,
        latent_rgb_factors: Sequence[Sequence[float]] | None,
        latent_rgb_factors_bias: Sequence[float] | None = None,
        latent_rgb_factors_reshape: Callable[[Any], Any] | None = None,
    ) -> None:
        self.latent_rgb_factors = (
            torch.tensor(latent_rgb_factors, device="cpu").transpose(0, 1) if latent_rgb_factors is not None else None
        )
        self.latent_rgb_factors_bias = (
            torch.tensor(latent_rgb_factors_bias, device="cpu") if latent_rgb_factors_bias is not None else None
        )

    def decode_latent_to_preview(self, x0: Any) -> Image.Image:
        """The picture of the first latent; of a video, of its first frame."""
        first = x0[0] if x0.ndim == 4 else x0[0, :, 0]
        if self.latent_rgb_factors is None:
            return preview_to_image(torch.tanh(first.mean(0))[..., None].expand(-1, -1, 3))
        factors = self.latent_rgb_factors.to(first)
        bias = self.latent_rgb_factors_bias
        rgb = torch.nn.functional.linear(first.movedim(0, -1), factors, bias.to(first) if bias is not None else None)
        return preview_to_image(rgb)


class TAESD:
    """A tiny decoder of latents; ours is reached through the preview method `taesd`."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        refuse("latent_preview.TAESD", "tiny decoders that packs may build")


class TAESDPreviewerImpl(LatentPreviewer):
    """Pictures by a tiny decoder."""

    def __init__(self, taesd: Any) -> None:
        self.taesd = taesd

    def decode_latent_to_preview(self, x0: Any) -> Image.Image:
        """The picture of the first latent."""
        return preview_to_image(self.taesd.decode(x0[:1])[0].movedim(0, 2))


class _Preview(LatentPreviewer):
    """Pictures by what the engine knows of the space of latents."""

    def __init__(self, latent_format: Any) -> None:
        self._format = latent_format

    def decode_latent_to_preview(self, x0: Any) -> Image.Image:
        from engine.denoising.previews import latent_to_rgb

        return Image.fromarray(np.asarray(latent_to_rgb(x0[:1], self._format, scaled=True)))


def get_previewer(device: Any, latent_format: Any) -> LatentPreviewer | None:
    """What makes pictures of latents of that format; None when they are not wanted or it cannot be told."""
    if args.preview_method == LatentPreviewMethod.NoPreviews:
        return None
    known = getattr(latent_format, "engine_format", None)
    if known is not None:
        return _Preview(known)
    factors = getattr(latent_format, "latent_rgb_factors", None)
    return Latent2RGBPreviewer(factors, getattr(latent_format, "latent_rgb_factors_bias", None)) if factors else None


def prepare_callback(model: Any, steps: int, x0_output_dict: dict[str, Any] | None = None) -> Callable[..., None]:
    """A function of a sampler's step (step, x0, x, total) that reports progress and shows the picture."""
    previewer = get_previewer(model.load_device, model.model.latent_format)
    progress = ProgressBar(steps)

    def callback(step: int, x0: Any, x: Any, total_steps: int) -> None:
        if x0_output_dict is not None:
            x0_output_dict["x0"] = x0
        picture = previewer.decode_latent_to_preview_image("JPEG", x0) if previewer is not None else None
        progress.update_absolute(step + 1, total_steps, picture)

    return callback
