"""How Anima's network is called: words in two spellings, from which an adapter makes what Cosmos Predict2's transformer reads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from engine.models.errors import ModelError
from engine.models.layers import Stack
from engine.models.network import Network
from engine.models.networks.cosmos import velocity
from engine.models.networks.pushed import pushed
from engine.models.networks.widths import check_widths

if TYPE_CHECKING:
    from torch import Tensor

IDS = "t5xxl_ids"
"""Option of a conditioning: the prompt as T5's tokens (1, N)."""
_MASK = "attention_mask"


class Anima(nn.Module):
    """The library's transformer of Cosmos Predict2, and the adapter before it."""

    def __init__(self, transformer: Mapping[str, Any], text_conditioner: Mapping[str, Any]) -> None:
        from diffusers.models.condition_embedders.condition_embedder_anima import AnimaTextConditioner
        from diffusers.models.transformers.transformer_cosmos import CosmosTransformer3DModel

        super().__init__()
        self.transformer = CosmosTransformer3DModel(**transformer)
        self.text_conditioner = AnimaTextConditioner(**text_conditioner)


class AnimaNetwork(Network):
    """Anima (CircleStone Labs 2026) under text (B, T, D) and T5's tokens of the same text."""

    double_layers = single_layers = Stack("transformer.transformer_blocks")

    def inputs(self, options: Mapping[str, Any], latent: Tensor, positive: bool) -> dict[str, Any]:
        """Return `t5xxl_ids` (1, N), and `attention_mask` (1, T) where a text is nothing but padding.

        Raises ModelError for a conditioning without T5's tokens.
        """
        if options.get(IDS) is None:
            raise ModelError(
                f"{self.handle.source.path}: Anima wants a conditioning with T5's tokens of the prompt, got none. Encode the "
                "prompt with its text encoder, Qwen3 0.6B."
            )
        return {name: options[name] for name in (IDS, _MASK) if options.get(name) is not None}

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
        """Return the velocity (B, C, h, w) or (B, C, T, h, w) in the shape and dtype and on the device of `x`.

        `t` (B,) from 0 to the schedule's number of timesteps; `context` (B, T, D); `options` is what `inputs` made, with a row
        for each of B. Sides that are odd are filled up from the other side for the call.

        Raises ModelError when the widths of `x` or `context` are not the network's.
        """
        check_widths(self, x, context, int(self.handle.config["text_conditioner"]["source_dim"]))
        given, module = options or {}, self._module
        mask = given.get(_MASK)
        source = context if mask is None else context * mask[..., None]
        text = module.text_conditioner(
            source_hidden_states=source.to(self.device, self.dtype),
            target_input_ids=given[IDS].to(self.device),
            source_attention_mask=None if mask is None else mask.to(self.device),
        )
        with pushed(module, control):
            return velocity(self, module.transformer, x, t / self.handle.parameterization.timesteps, text)

    @property
    def _module(self) -> Any:
        return self.module
