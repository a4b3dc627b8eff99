"""How HunyuanVideo 1.5's transformer is called: videos (B, C, T, h, w), under text and what is written in them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch

from engine.models.layers import TURNED, Stack
from engine.models.network import Network
from engine.models.networks.hunyuan_image import GLYPHS
from engine.models.networks.widths import check_widths

if TYPE_CHECKING:
    from torch import Tensor

_MASK = "attention_mask"


class HunyuanVideo15Network(Network):
    """HunyuanVideo 1.5 (Tencent 2025) from text (B, T, D): the picture that it can go by, and its mask, are zeros."""

    double_layers = single_layers = Stack("transformer_blocks", TURNED)

    def inputs(self, options: Mapping[str, Any], latent: Tensor, positive: bool) -> dict[str, Any]:
        """Return `conditioning_byt5small` (1, T, D) and `attention_mask` (1, T) where a conditioning has them.

        And `concat` (1, C', T, h, w), zeros: nothing is known of the video before.
        """
        given = {name: options[name] for name in (GLYPHS, _MASK) if options.get(name) is not None}
        given["concat"] = latent.new_zeros(1, self.handle.extra_channels, *latent.shape[2:])
        return given

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
        """Return the velocity (B, C, T, h, w), or of one frame (B, C, h, w), in the shape and dtype and on the device of `x`.

        `t` (B,) from 0 to 1000; `context` (B, T, D); `options` is what `inputs` made, with a row for each of B.

        Raises ModelError when the widths of `x` or `context` are not the network's.
        """
        config, given = self.handle.config, options or {}
        video = x if x.ndim == 5 else x[:, :, None]
        rows = video.shape[0]
        if concat is None:
            concat = video.new_zeros(rows, self.handle.extra_channels, *video.shape[2:])
        beside = concat if concat.ndim == 5 else concat[:, :, None]
        whole = torch.cat([video, beside.to(video)], dim=1)
        check_widths(self, whole, context, int(config["text_embed_dim"]))
        mask, glyphs = given.get(_MASK), given.get(GLYPHS)
        seen = torch.ones(context.shape[:2], dtype=torch.int64) if mask is None else mask
        # Without words to write one token stands there that no other sees, and likewise for the picture: zeros mean none.
        written = torch.zeros(rows, 1, int(config["text_embed_2_dim"])) if glyphs is None else glyphs
        is_written = torch.full(written.shape[:2], int(glyphs is not None), dtype=torch.int64, device=self.device)
        velocity: Tensor = self.module(
            hidden_states=whole.to(self.device, self.dtype),
            timestep=t.to(self.device, self.dtype),
            encoder_hidden_states=context.to(self.device, self.dtype),
            encoder_attention_mask=seen.to(self.device),
            encoder_hidden_states_2=written.to(self.device, self.dtype),
            encoder_attention_mask_2=is_written,
            image_embeds=torch.zeros(rows, 1, int(config["image_embed_dim"]), device=self.device, dtype=self.dtype),
            return_dict=False,
        )[0]
        return velocity.reshape(x.shape).to(x)
