"""How ControlNets of FLUX.1 are called."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Final, cast

import torch

from engine.models.network import fill, repeat_to
from engine.models.networks.added import Added
from engine.models.networks.control import LatentControl
from engine.models.networks.flux import FluxNetwork, packed, places
from engine.models.networks.pooled import even
from engine.models.networks.unguided import told_guidance

if TYPE_CHECKING:
    from torch import Tensor, nn

    from engine.models.network import Company

MODES: Final = {"canny": 0, "tile": 1, "depth": 2, "blur": 3, "openpose": 4}
"""Tasks of the unions (InstantX, Shakker Labs), by the names that SetUnionControlNetType has."""


def flux_control_net(extra_channels: int = 0, **config: Any) -> nn.Module:
    """Return the library's FluxControlNetModel, with so many more numbers in a token of the picture, for a mask."""
    from diffusers.models.controlnets.controlnet_flux import FluxControlNetModel

    made = FluxControlNetModel(**config)
    if extra_channels:
        made.controlnet_x_embedder = torch.nn.Linear(made.config.in_channels + extra_channels, made.inner_dim)
    return cast("nn.Module", made)


class FluxControl(LatentControl):
    """A ControlNet of FLUX.1: of one task or of several (its `mode`), for inpainting, or of XLabs, which takes pixels."""

    steers: ClassVar[str] = "FLUX.1"

    @property
    def masked(self) -> bool:
        """Whether it takes a mask."""
        return bool(self.handle.config["extra_channels"])

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
        """Return {"double": [Added], "single": [Added]}, times `strength`, for x (B, C, h, w), t (B,) and context (B, T, D).

        `hint` (N, 3, H, W) in 0..1; `options`: what the denoiser's `inputs` made. A union without a mode gets no token of one
        (inferred).

        Raises ModelError when the denoiser is not FLUX.1, for other widths, and where a VAE or a mask is missing.
        """
        beside, config = self.check(company, FluxNetwork), self.handle.config
        self.check_text(context, int(config["joint_attention_dim"]))
        filled, given, module = even(x), options or {}, cast("Any", self.module)
        hinted = config.get("conditioning_embedding_channels") is not None
        cond = self._pixels(hint, filled) if hinted else self._tokens(hint, beside, filled)
        mode = MODES.get(self.handle.mode) if config["num_mode"] else None
        module.union = mode is not None
        pooled = given["pooled"].to(self.device, self.dtype)
        told = given.get("guidance") if config["guidance_embeds"] else None
        with told_guidance(self.module, told, pooled, config["guidance_embeds"]) as guidance:
            double, single = module(
                hidden_states=packed(filled).to(self.device, self.dtype),
                controlnet_cond=cond,
                controlnet_mode=None if mode is None else torch.full((len(x), 1), mode, device=self.device),
                conditioning_scale=strength,
                encoder_hidden_states=context.to(self.device, self.dtype),
                pooled_projections=pooled,
                timestep=(t / beside.network.handle.parameterization.timesteps).to(self.device, self.dtype),
                img_ids=places(filled.shape[-2] // 2, filled.shape[-1] // 2).to(self.device, self.dtype),
                txt_ids=torch.zeros(context.shape[1], 3, device=self.device, dtype=self.dtype),
                guidance=guidance,
                return_dict=False,
            )
        found = {"double": [Added(double, repeats=hinted)] if double else []}
        return found | {"single": [Added(single)] if single else []}

    def _tokens(self, hint: Tensor, company: Company, x: Tensor) -> Tensor:
        return packed(self.seen(hint, company, x, company.network.handle.latent))

    def _pixels(self, hint: Tensor, x: Tensor) -> Tensor:
        picture = fill(hint, x.shape[-2] * 8, x.shape[-1] * 8) * 2.0 - 1.0
        return repeat_to(picture, x.shape[0]).to(self.device, self.dtype)
