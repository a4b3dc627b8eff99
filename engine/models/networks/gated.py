"""Layers in a U-Net's transformer blocks, between the attentions, that look at further tokens (GLIGEN, Li et al. 2023)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from torch import nn

from engine.models.networks.unet_places import Layout

if TYPE_CHECKING:
    from torch import Tensor


class GatedLayers(nn.Module):
    """Its network: what makes a token of a text and its box, and a gated self-attention for each transformer block.

    `widths` of the blocks, from input to output; `text`: numbers of a text, `context` of a token.
    """

    def __init__(self, widths: Sequence[int], text: int, context: int, heads: int, frequencies: int) -> None:
        from diffusers.models.attention import GatedSelfAttentionDense
        from diffusers.models.embeddings import GLIGENTextBoundingboxProjection

        super().__init__()
        self.position = GLIGENTextBoundingboxProjection(text, context, fourier_freqs=frequencies)
        self.layers = nn.ModuleList(GatedSelfAttentionDense(one, context, heads, one // heads) for one in widths)


class Grounding:
    """Texts in boxes as tokens (B, 30, D), and the layers that look at them."""

    def __init__(self, layers: nn.ModuleList, tokens: Tensor) -> None:
        self.layers, self.tokens = layers, tokens


class _Given(nn.Module):
    """In the place of what makes tokens: gives those that there are."""

    def forward(self, objs: Any) -> Any:
        return objs


class _InTurn(nn.Module):
    """The layers of several for one transformer block, one after the other."""

    def __init__(self, layers: Sequence[nn.Module]) -> None:
        super().__init__()
        self.__dict__["_in_turn"] = list(layers)  # none of its own

    def forward(self, x: Tensor, objs: Sequence[Tensor]) -> Tensor:
        for layer, tokens in zip(self.__dict__["_in_turn"], objs, strict=True):
            x = layer(x, tokens)
        return x


@contextmanager
def grounded(unet: Any, groundings: Sequence[Grounding]) -> Iterator[dict[str, Any]]:
    """Let a U-Net's blocks have these layers in the block, which gives the arguments for the call."""
    layout = Layout.of(unet)
    assert layout is not None
    tokens = [one.tokens for one in groundings]
    with ExitStack() as held:
        for number, place in enumerate(layout.attended):
            place.module.fuser = _InTurn([one.layers[number] for one in groundings])
            held.callback(delattr, place.module, "fuser")
        unet.position_net = _Given()
        held.callback(delattr, unet, "position_net")
        yield {"cross_attention_kwargs": {"gligen": {"objs": tokens}}}
