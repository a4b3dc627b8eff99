"""How the transformer of HiDream-I1 and HiDream-E1 is called."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch

from engine.models.errors import ModelError
from engine.models.layers import TURNED, Stack
from engine.models.networks.flux import places
from engine.models.networks.pooled import PooledTextNetwork, even
from engine.models.networks.widths import check_widths

if TYPE_CHECKING:
    from torch import Tensor

LAYERS = "conditioning_llama3"
"""The option of a conditioning that has what each layer of the language model gave, (1, layers, T, D)."""


class HiDreamNetwork(PooledTextNetwork):
    """HiDream-I1 (HiDream.ai 2025) under T5's tokens (B, T, D), the layers of a language model, and a pooled text (B, P).

    HiDream-E1, which has the same network, sees the picture to edit at the right of the one that it makes.
    """

    double_layers = Stack("double_stream_blocks", TURNED)
    single_layers = Stack("single_stream_blocks")

    def inputs(self, options: Mapping[str, Any], latent: Tensor, positive: bool) -> dict[str, Any]:
        """Return `pooled` (1, P), `layers` (1, L, T, D), and `picture` (1, C, h, w) in network space where there is one.

        Raises ModelError for a conditioning that was not made by this family's text encoders, or a picture of another size.
        """
        config = self.handle.config
        given: dict[str, Any] = {"pooled": self.pooled(options, int(config["text_emb_dim"]))}
        layers: Tensor | None = options.get(LAYERS)
        needed, width = max(config["llama_layers"]) + 1, int(config["caption_channels"][1])
        if layers is None or layers.shape[1] < needed or layers.shape[-1] != width:
            got = "none" if layers is None else f"{layers.shape[1]} of width {layers.shape[-1]}"
            raise ModelError(
                f"{self.handle.source.path}: {self.family.title} wants a conditioning with {needed} layers of width {width} of a "
                f"language model, got {got}. Load its text encoders, Llama 3.1 8B among them, with QuadrupleCLIPLoader."
            )
        picture: Tensor | None = options.get("concat_latent_image")
        if picture is not None:
            if picture.shape[1:] != latent.shape[1:]:
                raise ModelError(
                    f"{self.handle.source.path}: expected a picture to edit of the size of the one to be made, a latent of "
                    f"{tuple(latent.shape[1:])}, got {tuple(picture.shape[1:])}. Use the latent of InstructPixToPixConditioning."
                )
            given["picture"] = (picture - self.handle.latent.shift) * self.handle.latent.scale
        return {**given, "layers": layers}

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

        `t` (B,) from 0 to 1000; `context` (B, T, D); `options` is what `inputs` made, with a row for each of B. Sides that are
        odd are filled up from the other side for the call. What the network predicts leads from noise to picture.

        Raises ModelError when the widths of `x` or `context` are not the network's.
        """
        check_widths(self, x, context, int(self.handle.config["caption_channels"][0]))
        given = options or {}
        height, width = x.shape[-2:]
        seen = even(torch.cat([x, given["picture"]], dim=-1) if "picture" in given else x)
        rows, columns = seen.shape[-2] // 2, seen.shape[-1] // 2
        tokens = _packed(seen).to(self.device, self.dtype)
        # The library fills up pictures that are not square with tokens that it does not quite mask, unless it is told a mask.
        velocity: Tensor = self.module(
            hidden_states=tokens,
            timesteps=t.to(self.device),
            encoder_hidden_states_t5=context.to(self.device, self.dtype),
            encoder_hidden_states_llama3=given["layers"].transpose(0, 1).to(self.device, self.dtype),
            pooled_embeds=given["pooled"].to(self.device, self.dtype),
            img_ids=places(rows, columns).to(self.device).expand(len(x), -1, -1),
            img_sizes=[(rows, columns)] * len(x),
            hidden_states_masks=torch.ones(tokens.shape[:2], device=self.device, dtype=self.dtype),
            return_dict=False,
        )[0]
        return -velocity[..., :height, :width].to(x)


def _packed(x: Tensor) -> Tensor:
    """Return (B, C, h, w) as tokens (B, h / 2 * w / 2, 4 C): the four pixels of each square one after the other."""
    batch, channels, height, width = x.shape
    squares = x.reshape(batch, channels, height // 2, 2, width // 2, 2).permute(0, 2, 4, 3, 5, 1)
    return squares.reshape(batch, (height // 2) * (width // 2), channels * 4)
