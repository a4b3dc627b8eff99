"""What transformers under text and a pooled text have in common."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from torch.nn import functional

from engine.models.network import Network
from engine.models.networks.widths import check_widths

if TYPE_CHECKING:
    from torch import Tensor


class PooledTextNetwork(Network):
    """A transformer under text (B, T, D) and a pooled text (B, P), over patches of two by two latent pixels."""

    def inputs(self, options: Mapping[str, Any], latent: Tensor, positive: bool) -> dict[str, Any]:
        """Return `pooled` (1, P). Raises ModelError for a conditioning whose pooled text is not of this family."""
        return {"pooled": self.pooled(options, int(self.handle.config["pooled_projection_dim"]))}

    def check(self, x: Tensor, context: Tensor) -> None:
        """Raise ModelError when the widths of `x` (B, C, h, w) or `context` (B, T, D) are not the network's."""
        check_widths(self, x, context, int(self.handle.config["joint_attention_dim"]))


def even(x: Tensor) -> Tensor:
    """Return (B, C, h, w) with odd sides filled up from the other side, as the field does it."""
    height, width = x.shape[-2:]
    return functional.pad(x, (0, width % 2, 0, height % 2), mode="circular") if height % 2 or width % 2 else x
