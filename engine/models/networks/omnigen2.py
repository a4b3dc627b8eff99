"""How OmniGen2's network is called: with text and pictures to go by."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch

from engine.models.errors import ModelError
from engine.models.layers import Stack
from engine.models.network import Network
from engine.models.networks.pooled import even
from engine.models.networks.references import placing, references_of
from engine.models.networks.widths import check_widths

if TYPE_CHECKING:
    from torch import Tensor

_REFERENCE, _MASK = "reference ", "attention_mask"


class OmniGen2Network(Network):
    """OmniGen2 (Wu et al. 2025) under text (B, T, D): one stream of text, pictures to go by, and the picture that is made."""

    double_layers = single_layers = Stack("layers")

    def inputs(self, options: Mapping[str, Any], latent: Tensor, positive: bool) -> dict[str, Any]:
        """Return `reference 0`… (1, C, h, w) to go by, and `attention_mask` (1, T) where a text has padding.

        Raises ModelError for more pictures than the network tells apart, or where they are to be placed in another way.
        """
        found = references_of(self, options)
        most = int(self.handle.config["references"])
        if len(found) > most:
            raise ModelError(
                f"{self.handle.source.path}: OmniGen2 goes by {most} pictures at most, got {len(found)} by ReferenceLatent. "
                "Leave some out, or join pictures into one."
            )
        if found:
            placing(options, ("index",), "index", self.family.title)
        given = {f"{_REFERENCE}{number}": even(self.handle.latent.to_network(one)) for number, one in enumerate(found)}
        return given if options.get(_MASK) is None else {**given, _MASK: options[_MASK]}

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
        odd are filled up from the other side for the call. The network counts time from noise to picture, and so does what it
        predicts.

        Raises ModelError when the widths of `x` or `context` are not the network's.
        """
        check_widths(self, x, context, int(self.handle.config["text_feat_dim"]))
        given, (height, width) = options or {}, x.shape[-2:]
        mask = given.get(_MASK)
        velocity: Tensor = self.module(
            even(x).to(self.device, self.dtype),
            (self.handle.parameterization.timesteps - t).to(self.device),
            context.to(self.device, self.dtype),
            None if mask is None else mask.to(self.device),
            [one.to(self.device, self.dtype) for name, one in given.items() if name.startswith(_REFERENCE)],
        )
        return -velocity[..., :height, :width].to(x)
