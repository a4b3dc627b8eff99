"""How the transformer of Z-Image is called."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

import torch

from engine.models.layers import Stack
from engine.models.network import Network
from engine.models.networks import z_image_omni
from engine.models.networks.added import by_layer, refined
from engine.models.networks.pooled import even
from engine.models.networks.widths import check_widths

if TYPE_CHECKING:
    from torch import Tensor


_OMNI = "siglip_feat_dim"


class ZImageNetwork(Network):
    """Z-Image (Tongyi Lab 2025) under text (B, T, D): one stream of pictures' and text's tokens, each filled up to 32.

    Omni's network is told the text in pieces, between which pictures to go by stand.
    """

    double_layers = Stack("layers", ("x",))
    single_layers = Stack("layers", ("x",))

    def inputs(self, options: Mapping[str, Any], latent: Tensor, positive: bool) -> dict[str, Any]:
        """Return {}; of Omni's network what `engine.models.networks.z_image_omni.inputs` does."""
        return z_image_omni.inputs(self, options) if self.handle.config.get(_OMNI) else {}

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

        `t` (B,) from 0 to 1000; `context` (B, T, D), without padding; `control` is what control networks add ("layers",
        "refiner"). Sides that are odd are filled up from the other side for
        the call. The network counts time from noise to picture, and so does what it predicts.

        Raises ModelError when the widths of `x` or `context` are not the network's.
        """
        check_widths(self, x, context, int(self.handle.config["cap_feat_dim"]))
        height, width = x.shape[-2:]
        pictures = even(x).to(self.device, self.dtype)[:, :, None]
        share = t / self.handle.parameterization.timesteps
        if self.handle.config.get(_OMNI):
            made = z_image_omni.predicted(self, pictures, 1.0 - share, context, options or {}, control)
            return -made[:, :, 0, :height, :width].to(x)
        with refined(cast("Any", self.module).noise_refiner, control):
            found: list[Tensor] = self.module(
                list(pictures),
                (1.0 - share).to(self.device),
                list(context.to(self.device, self.dtype)),
                controlnet_block_samples=by_layer(control, pictures),
                return_dict=False,
            )[0]
        return -torch.stack(found)[:, :, 0, :height, :width].to(x)
