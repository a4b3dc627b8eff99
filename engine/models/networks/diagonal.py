"""How transformers built as FLUX's are called that have no pooled text, and places along a diagonal for the tokens of text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch

from engine.models.layers import STREAMS, Stack
from engine.models.network import Network
from engine.models.networks.flux import packed, places, unpacked
from engine.models.networks.pooled import even
from engine.models.networks.references import references_of
from engine.models.networks.turns import Turns
from engine.models.networks.widths import check_widths

if TYPE_CHECKING:
    from torch import Tensor

_REFERENCE = "reference "


class _DiagonalNetwork(Network):
    """A transformer under text (B, T, D), over patches of two by two latent pixels."""

    double_layers = Stack("transformer_blocks", STREAMS)
    single_layers = Stack("single_transformer_blocks", STREAMS)

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
        odd are filled up from the other side for the call.

        Raises ModelError when the widths of `x` or `context` are not the network's.
        """
        check_widths(self, x, context, int(self.handle.config["joint_attention_dim"]))
        height, width = x.shape[-2:]
        filled, given = even(x), options or {}
        references = [value for name, value in given.items() if name.startswith(_REFERENCE)]
        own = packed(filled)
        length = context.shape[1]
        where = (
            self.places([filled, *references], length),
            torch.arange(length)[:, None] * torch.tensor([0.0, 1.0, 1.0]),
        )
        with Turns.of(self.module).at(*where, device=self.device) as (pictured, written):
            velocity: Tensor = self.module(
                hidden_states=torch.cat([own, *map(packed, references)], dim=1).to(self.device, self.dtype),
                encoder_hidden_states=self.seen(context, given).to(self.device, self.dtype),
                timestep=(t / self.handle.parameterization.timesteps).to(self.device, self.dtype),
                img_ids=pictured,
                txt_ids=written,
                return_dict=False,
            )[0]
        return unpacked(velocity[:, : own.shape[1]], filled.shape[-2], filled.shape[-1])[..., :height, :width].to(x)

    def seen(self, context: Tensor, given: Mapping[str, Any]) -> Tensor:
        """Return the text (B, T, D) that the network is given."""
        return context

    def places(self, pictures: Sequence[Tensor], length: int) -> Tensor:
        """Return where the tokens of the picture stand, then those of the pictures to go by: sheet, row, column."""
        raise NotImplementedError


class LongCatNetwork(_DiagonalNetwork):
    """LongCat-Image (Meituan 2025): pictures begin where the text's diagonal ends, each on a sheet of its own.

    LongCat-Image-Edit sees the picture to edit on a further sheet.
    """

    def inputs(self, options: Mapping[str, Any], latent: Tensor, positive: bool) -> dict[str, Any]:
        """Return `reference 0`… (1, C, h, w), pictures to go by, in network space."""
        space = self.handle.latent
        found = enumerate(references_of(self, options))
        return {f"{_REFERENCE}{number}": even((one - space.shift) * space.scale) for number, one in found}

    def places(self, pictures: Sequence[Tensor], length: int) -> Tensor:
        """Return where the tokens stand: on sheet 1, and for the pictures to go by 2, 3…; at `length` and beyond."""
        start = torch.tensor([0.0, length, length])
        found = [places(one.shape[-2] // 2, one.shape[-1] // 2) for one in pictures]
        return torch.cat([one + start + torch.tensor([sheet + 1.0, 0, 0]) for sheet, one in enumerate(found)])


class OvisNetwork(_DiagonalNetwork):
    """Ovis-Image (AIDC 2025): text and picture begin at the same place of the same sheet; padding of the text is zero."""

    def inputs(self, options: Mapping[str, Any], latent: Tensor, positive: bool) -> dict[str, Any]:
        """Return `mask` (1, T), 0 where the text is padding, for a conditioning that has some."""
        mask: Tensor | None = options.get("attention_mask")
        return {} if mask is None else {"mask": mask}

    def seen(self, context: Tensor, given: Mapping[str, Any]) -> Tensor:
        """Return the text with zeros for padding."""
        return context * given["mask"][..., None].to(context) if "mask" in given else context

    def places(self, pictures: Sequence[Tensor], length: int) -> Tensor:
        """Return where the tokens stand: from row and column 0 on."""
        return places(pictures[0].shape[-2] // 2, pictures[0].shape[-1] // 2)
