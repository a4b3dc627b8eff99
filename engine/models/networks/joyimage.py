"""How JoyImage Edit's transformer is called: squares of two by two latent pixels, of the picture and then of those to edit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch

from engine.models.errors import ModelError
from engine.models.layers import TURNED, Stack
from engine.models.network import Network
from engine.models.networks.pooled import even
from engine.models.networks.references import references_of
from engine.models.networks.widths import check_widths

if TYPE_CHECKING:
    from torch import Tensor

_REFERENCE = "reference "


class JoyImageNetwork(Network):
    """JoyAI-Image-Edit and Edit Plus (JD 2026) under text (B, T, D), with pictures to edit."""

    double_layers = Stack("double_blocks", TURNED)

    def inputs(self, options: Mapping[str, Any], latent: Tensor, positive: bool) -> dict[str, Any]:
        """Return `reference 0`… (b, C, h, w), pictures to edit, in network space."""
        space = self.handle.latent
        references = references_of(self, options)
        return {f"{_REFERENCE}{number}": _picture(space.to_network(one)) for number, one in enumerate(references)}

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
        """Return the velocity (B, C, h, w), or (B, C, 1, h, w), in the shape and dtype and on the device of `x`.

        `t` (B,) from 0 to 1000; `context` (B, T, D); `options` is what `inputs` made, with a row for each of B. Sides that are
        odd are filled up from the other side for the call.

        Raises ModelError when the widths of `x` or `context` are not the network's, or x has several frames.
        """
        check_widths(self, x, context, int(self.handle.config["text_dim"]))
        if x.ndim == 5 and x.shape[2] != 1:
            raise ModelError(
                f"{self.handle.source.path}: {self.family.title} makes pictures: expected a latent of one frame "
                f"(B, {x.shape[1]}, 1, h, w), got {list(x.shape)}. Take one frame of it, or make an empty latent of one."
            )
        references = [value for name, value in (options or {}).items() if name.startswith(_REFERENCE)]
        pictures = [even(one) for one in (_picture(x), *references)]
        sides = [(1, one.shape[-2] // 2, one.shape[-1] // 2) for one in pictures]
        velocity: Tensor = self.module(
            hidden_states=torch.cat([_squares(one) for one in pictures], dim=1).to(self.device, self.dtype),
            timestep=t.to(self.device),
            encoder_hidden_states=context.to(self.device, self.dtype),
            shape_list=[sides] * x.shape[0],
            return_dict=False,
        )[0]
        _, rows, columns = sides[0]
        own = torch.unflatten(velocity[:, : rows * columns, :, 0], 1, (rows, columns))
        made = own.permute(0, 3, 1, 4, 2, 5).flatten(4, 5).flatten(2, 3)
        return made[..., : x.shape[-2], : x.shape[-1]].reshape(x.shape).to(x)


def _picture(latent: Tensor) -> Tensor:
    """(B, C, 1, h, w) as (B, C, h, w); what has no frames as it is, and of several frames the first."""
    return latent[:, :, 0] if latent.ndim == 5 else latent


def _squares(x: Tensor) -> Tensor:
    """Return (B, C, h, w) as (B, h / 2 * w / 2, C, 1, 2, 2)."""
    squares = torch.unflatten(torch.unflatten(x, 3, (-1, 2)), 2, (-1, 2))
    return squares.permute(0, 2, 4, 1, 3, 5).flatten(1, 2)[:, :, :, None]
