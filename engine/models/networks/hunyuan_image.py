"""How HunyuanImage's transformer is called: with text, what is written in the picture, and for a distilled one the next level."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch

from engine.models.layers import TURNED, Stack
from engine.models.network import Network, fill
from engine.models.networks.augment import mixed
from engine.models.networks.flux3 import next_below
from engine.models.networks.references import picture_beside
from engine.models.networks.widths import check_widths

if TYPE_CHECKING:
    from torch import Tensor

GLYPHS = "conditioning_byt5small"
"""Option of a conditioning: ByT5's tokens of what a prompt has in quotes (1, T, D)."""
_MASK, _GUIDANCE, _LEVELS = "attention_mask", "guidance", "levels"
_USUAL_GUIDANCE = 3.25
"""What a distilled network is told where no node says another: the library's."""


class HunyuanImageNetwork(Network):
    """HunyuanImage 2.1 (Tencent 2025) under text (B, T, D), and tokens of what is to be written."""

    double_layers = Stack("transformer_blocks", TURNED)
    single_layers = Stack("single_transformer_blocks", TURNED)

    def inputs(self, options: Mapping[str, Any], latent: Tensor, positive: bool) -> dict[str, Any]:
        """Return `conditioning_byt5small` (1, T, D) and `attention_mask` (1, T) where a conditioning has them.

        And of a distilled network `guidance` (1,), and `levels` (1, n + 1) of the run; of the refiner `concat` (1, C, h, w).
        """
        config = self.handle.config
        given = {name: options[name] for name in (GLYPHS, _MASK) if options.get(name) is not None}
        if not config["text_embed_2_dim"]:
            given.pop(GLYPHS, None)
        if config["guidance_embeds"]:
            given[_GUIDANCE] = torch.tensor([float(options.get(_GUIDANCE, _USUAL_GUIDANCE))])
        if config["use_meanflow"]:
            levels = options.get("run_levels")
            given[_LEVELS] = torch.zeros(1, 1) if levels is None else levels.float()[None]
        if self.handle.extra_channels:
            given["concat"] = self._beside(options, latent)
        return given

    def _beside(self, options: Mapping[str, Any], latent: Tensor) -> Tensor:
        """The picture that the refiner goes by (b, C, h, w), as the network sees it, with a share of noise of the run's seed."""
        beside = picture_beside(self, options, latent)
        rows, columns = latent.shape[-2:]
        picture = self.handle.latent.to_network(fill(beside.to(latent), rows, columns, mode="bilinear"))
        return mixed(picture, float(options.get("noise_augmentation", 0.0)), int(options.get("run_seed", 0)))

    @torch.no_grad()
    def __call__(
        self,
        x: Tensor,
        t: Tensor,
        context: Tensor,
        *,
        concat: Tensor | None = None,
        control: Mapping[str, Any] | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> Tensor:
        """Return the velocity (B, C, h, w) in the dtype and on the device of `x`.

        `t` (B,) from 0 to 1000; `context` (B, T, D); `concat` (B, C, h, w): what the refiner goes by; `options` is what
        `inputs` made, with a row for each of B. A network
        distilled to few steps is told the next level of the run below this one.

        Raises ModelError when the widths of `x` or `context` are not the network's.
        """
        beside = (options or {}).get("concat") if concat is None else concat
        whole = x if beside is None else torch.cat([x, beside.to(x)], dim=1)
        check_widths(self, whole, context, int(self.handle.config["text_embed_dim"]))
        has_frames = len(self.handle.config["patch_size"]) == 3
        given, steps = options or {}, self.handle.parameterization.timesteps
        mask = given.get(_MASK)
        arguments: dict[str, Any] = {}
        if (glyphs := given.get(GLYPHS)) is not None:
            arguments["encoder_hidden_states_2"] = glyphs.to(self.device, self.dtype)
            arguments["encoder_attention_mask_2"] = torch.ones(glyphs.shape[:2], dtype=torch.int64, device=self.device)
        if _GUIDANCE in given:
            arguments["guidance"] = (given[_GUIDANCE] * 1000.0).to(self.device, self.dtype)
        if _LEVELS in given:
            below = next_below(t / steps, given[_LEVELS])
            arguments["timestep_r"] = (below * steps).to(self.device, self.dtype)
        seen = torch.ones(context.shape[:2], dtype=torch.int64) if mask is None else mask
        velocity: Tensor = self.module(
            hidden_states=(whole[:, :, None] if has_frames else whole).to(self.device, self.dtype),
            timestep=t.to(self.device, self.dtype),
            encoder_hidden_states=context.to(self.device, self.dtype),
            encoder_attention_mask=seen.to(self.device),
            return_dict=False,
            **arguments,
        )[0]
        return (velocity[:, :, 0] if has_frames else velocity).to(x)
