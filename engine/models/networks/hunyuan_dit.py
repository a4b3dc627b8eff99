"""How HunyuanDiT's transformer is called: with what two encoders made of a text, of fixed lengths, and for old ones sizes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional

from engine.models.errors import ModelError
from engine.models.layers import Stack
from engine.models.network import Network
from engine.models.networks.pooled import even
from engine.models.networks.widths import check_widths

if TYPE_CHECKING:
    from torch import Tensor

T5, T5_MASK = "conditioning_mt5xl", "attention_mask_mt5xl"
"""Options of a conditioning: mT5's tokens (1, T, D), and which of them are none of the text's (1, T)."""
_MASK = "attention_mask"
_USUAL_SIDE = 1024
"""What an old network is told that a picture was, where no node says another: the library's."""
_BASE = 512 // 8
"""Latent pixels a side of the pictures whose places it learned."""


class HunyuanDiTNetwork(Network):
    """HunyuanDiT (Li et al. 2024) under BERT's tokens (B, T, D), and mT5's."""

    double_layers = single_layers = Stack("blocks")

    def inputs(self, options: Mapping[str, Any], latent: Tensor, positive: bool) -> dict[str, Any]:
        """Return mT5's tokens (1, T, D) and both masks (1, T), and of a network that knows sizes `sizes` (1, 6) in pixels.

        Raises ModelError for a conditioning without mT5's tokens.
        """
        told: Tensor | None = options.get(T5)
        width = int(self.handle.config["cross_attention_dim_t5"])
        if told is None or told.shape[-1] != width:
            got = "none" if told is None else f"some of width {told.shape[-1]}"
            raise ModelError(
                f"{self.handle.source.path}: {self.family.title} wants a conditioning with mT5's tokens of width {width}, got "
                f"{got}. Encode the prompt with its text encoders, BERT and mT5."
            )
        found = {T5: told, T5_MASK: options.get(T5_MASK)}
        if found[T5_MASK] is None:
            found[T5_MASK] = torch.ones(told.shape[:2], dtype=torch.int64)
        if options.get(_MASK) is not None:
            found[_MASK] = options[_MASK]
        if self.handle.config["use_style_cond_and_image_meta_size"]:
            pixels = [float(side * self.handle.latent.downscale) for side in latent.shape[-2:]]
            before = [float(options.get(name, _USUAL_SIDE)) for name in ("height", "width")]
            found["sizes"] = torch.tensor([[*before, *pixels, 0.0, 0.0]])
        return found

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
        """Return the prediction (B, C, h, w) in the dtype and on the device of `x`; what it learned of the variance is left out.

        `t` (B,) from 0 to 999; `context` (B, T, D), of which as many tokens are seen as the network learned; `options` is what
        `inputs` made, with a row for each of B. Sides that are odd are filled up from the other side for the call.

        Raises ModelError when the widths of `x` or `context` are not the network's.
        """
        config = self.handle.config
        check_widths(self, x, context, int(config["cross_attention_dim"]))
        given, (height, width) = dict(options or {}), x.shape[-2:]
        filled = even(x)
        seen = given.get(_MASK)
        seen = torch.ones(context.shape[:2], dtype=torch.int64) if seen is None else seen
        first, last = int(config["text_len"]), int(config["text_len_t5"])
        sizes = given.get("sizes")
        predicted: Tensor = self.module(
            filled.to(self.device, self.dtype),
            t.to(self.device, self.dtype),
            encoder_hidden_states=_long(context, first).to(self.device, self.dtype),
            text_embedding_mask=_long(seen[..., None], first)[..., 0].to(self.device),
            encoder_hidden_states_t5=_long(given[T5], last).to(self.device, self.dtype),
            text_embedding_mask_t5=_long(given[T5_MASK][..., None], last)[..., 0].to(self.device),
            image_meta_size=None if sizes is None else sizes.to(self.device, self.dtype),
            style=torch.zeros(len(x), dtype=torch.int64, device=self.device),
            image_rotary_emb=self._turns(*filled.shape[-2:]),
            return_dict=False,
        )[0]
        return predicted[:, : x.shape[1], :height, :width].to(x)

    def _turns(self, height: int, width: int) -> tuple[Tensor, Tensor]:
        """What queries and keys are turned by, for a latent of this size: places are those of a square that it is fitted into."""
        from diffusers.models.embeddings import get_2d_rotary_pos_embed

        patch = int(self.handle.config["patch_size"])
        rows, columns, side = height // patch, width // patch, _BASE // patch
        longer = max(rows, columns)
        fitted = [round(side / longer * one) for one in (rows, columns)]
        start = [round((side - one) / 2) for one in fitted]
        found: tuple[Tensor, Tensor] = get_2d_rotary_pos_embed(
            int(self.handle.config["attention_head_dim"]),
            (tuple(start), tuple(one + other for one, other in zip(start, fitted, strict=True))),
            (rows, columns),
            device=self.device,
            output_type="pt",
        )
        return found


def _long(tokens: Tensor, length: int) -> Tensor:
    """Return (B, T, D) with `length` tokens: cut, or filled up with zeros."""
    return functional.pad(tokens[:, :length], (0, 0, 0, max(0, length - tokens.shape[1])))
