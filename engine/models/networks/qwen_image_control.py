"""How ControlNets of Qwen-Image are called."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import torch

from engine.models.networks.added import Added
from engine.models.networks.control import LatentControl, sheet
from engine.models.networks.flux import packed
from engine.models.networks.qwen_image import QwenImageNetwork

if TYPE_CHECKING:
    from torch import Tensor

    from engine.models.network import Company


class QwenImageControl(LatentControl):
    """A ControlNet of Qwen-Image, of all tasks or for inpainting."""

    steers: ClassVar[str] = "Qwen-Image"

    @property
    def masked(self) -> bool:
        """Whether it takes a mask."""
        return bool(self.handle.config["extra_condition_channels"])

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
        """Return {"double": [Added]}, times `strength`, for x (B, C, h, w) or (B, C, 1, h, w), t (B,), context (B, T, D).

        `hint` (N, 3, H, W) in 0..1.

        Raises ModelError when the denoiser is not Qwen-Image, for other widths, and where a VAE or a mask is missing.
        """
        beside = self.check(company, QwenImageNetwork)
        self.check_text(context, int(self.handle.config["joint_attention_dim"]))
        filled = sheet(x)
        seen = self.seen(hint, beside, filled, beside.network.handle.latent)
        double = self.module(
            hidden_states=packed(filled).to(self.device, self.dtype),
            controlnet_cond=packed(seen),
            conditioning_scale=strength,
            encoder_hidden_states=context.to(self.device, self.dtype),
            timestep=(t / beside.network.handle.parameterization.timesteps).to(self.device, self.dtype),
            img_shapes=[[(1, filled.shape[-2] // 2, filled.shape[-1] // 2)]] * len(x),
            return_dict=False,
        )
        return {"double": [Added(double)] if double else []}
