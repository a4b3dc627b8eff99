"""How ControlNets of Stable Diffusion 3 and 3.5 are called."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Final, cast

import msgspec
import torch

from engine.models.networks.added import Added
from engine.models.networks.control import LatentControl
from engine.models.networks.pooled import even
from engine.models.networks.sd3 import SD3Network

if TYPE_CHECKING:
    from torch import Tensor, nn

    from engine.models.network import Company

_EDGES: Final = 1
"""`control_type` of Stability AI's network for edges."""


def sd3_control_net(*, typed: bool = False, **config: Any) -> nn.Module:
    """Return the library's SD3ControlNetModel; with the number of its task where its file has one."""
    from diffusers.models.controlnets.controlnet_sd3 import SD3ControlNetModel

    made = cast("nn.Module", SD3ControlNetModel(**config))
    if typed:
        made.register_buffer("control_type", torch.zeros(1))
    return made


class SD3Control(LatentControl):
    """A ControlNet of Stable Diffusion 3 or 3.5: of two streams, for inpainting, or of the picture's stream alone.

    The latter takes the denoiser's own tokens. Those of two streams were trained without pooled text, and but for inpainting
    on latents without the shift.
    """

    steers: ClassVar[str] = "Stable Diffusion 3"

    @property
    def masked(self) -> bool:
        """Whether it takes a mask."""
        return bool(self.handle.config["extra_conditioning_channels"])

    def prepared(self, picture: Tensor) -> Tensor:
        """Return the picture (N, 3, H, W) as the VAE is given it; edges as Stability AI's code has them, far out of 0..1."""
        kind = getattr(self.module, "control_type", None)
        if kind is None or int(kind) != _EDGES:
            return picture
        return (picture * 127.5 + 0.5 + 1.0) / 2.0  # the VAE's input, -1..1 of others, is the first two terms

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
        """Return {"double": [Added]}, times `strength`, for x (B, C, h, w), t (B,) and context (B, T, D).

        `hint` (N, 3, H, W) in 0..1; `options`: what the denoiser's `inputs` made.

        Raises ModelError when the denoiser is not Stable Diffusion 3, for other widths, and where a VAE or a mask is missing.
        """
        beside, config = self.check(company, SD3Network), self.handle.config
        text = config["joint_attention_dim"]
        if text is not None:
            self.check_text(context, int(text))
        filled = even(x).to(self.device, self.dtype)
        space = beside.network.handle.latent
        blank = bool(config["force_zeros_for_pooled_projection"])
        if blank and not self.masked:
            space = msgspec.structs.replace(space, shift=0.0)
        pooled = (options or {})["pooled"].to(self.device, self.dtype)
        own = bool(config["use_pos_embed"])
        double = self.module(
            hidden_states=filled if own else cast("Any", beside.network.module).pos_embed(filled),
            controlnet_cond=self.seen(hint, beside, filled, space),
            conditioning_scale=strength,
            encoder_hidden_states=None if text is None else context.to(self.device, self.dtype),
            pooled_projections=torch.zeros_like(pooled) if blank else pooled,
            timestep=t.to(self.device, self.dtype),
            return_dict=False,
        )[0]
        return {"double": [Added(double)] if double else []}
