"""How T2I-Adapters are called."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch

from engine.models.errors import ModelError
from engine.models.network import ControlNetwork, fill, repeat_to
from engine.models.networks.unet import UNet

if TYPE_CHECKING:
    from torch import Tensor, nn

    from engine.models.handles import ControlNetHandle
    from engine.models.network import Company


class Adapter(ControlNetwork):
    """Features of a picture alone (Mou et al. 2023), one for each level of a U-Net, made once for a size."""

    def __init__(self, module: nn.Module, handle: ControlNetHandle, device: torch.device, dtype: torch.dtype) -> None:
        super().__init__(module, handle, device, dtype)
        self._made: tuple[Tensor, tuple[int, int], list[Tensor]] | None = None

    @torch.no_grad()
    def __call__(
        self,
        x: Tensor,
        t: Tensor,
        context: Tensor,
        hint: Tensor,
        strength: float = 1.0,
        options: Mapping[str, Any] | None = None,
        company: Company | None = None,
    ) -> dict[str, Any]:
        """Return {"levels": [tensors]}, times `strength`, on the device and in the dtype of `x` (B, C, h, w).

        `hint` (N, 3, H, W) in 0..1 is cut and resized as a ControlNet's is; of an adapter that sees grey it is the mean.
        Raises ModelError when the denoiser is no U-Net whose levels are as wide.
        """
        self._check_company(company)
        features = self._features(hint, (x.shape[-2], x.shape[-1]))
        return {"levels": [repeat_to(one, len(x)).to(x) * strength for one in features]}

    def _features(self, hint: Tensor, size: tuple[int, int]) -> list[Tensor]:
        if self._made is None or self._made[0] is not hint or self._made[1] != size:
            factor = int(self.handle.config["downscale_factor"])
            height, width = (-(-side * _LATENT // factor) * factor for side in size)
            picture = fill(hint, height, width)
            if self.handle.config["in_channels"] == 1:
                picture = picture.mean(dim=1, keepdim=True)
            self._made = (hint, size, list(self.module(picture.to(self.device, self.dtype))))
        return self._made[2]

    def _check_company(self, company: Company | None) -> None:
        if company is None:
            return
        network = company.network
        widths: Sequence[int] = network.handle.config.get("block_out_channels", ()) if isinstance(network, UNet) else ()
        channels = list(self.handle.config["channels"])
        levels = min(len(widths), len(channels))
        if not levels or list(widths)[:levels] != channels[:levels]:
            got = f"{network.family.title} with levels of {list(widths)}" if widths else network.family.title
            raise ModelError(
                f"{self.handle.source.path}: this T2I-Adapter is for a U-Net with levels of {channels} channels, got {got}. "
                "Use one that was trained for the model's family."
            )


_LATENT = 8
"""Pixels a side of a latent pixel."""
