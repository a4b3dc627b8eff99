"""Where things are in a U-Net of Stable Diffusion, by the layout that it was published in.

Input blocks 0 (the first convolution) and up, one for each residual block or downsampling; the middle; output blocks, one for
each residual block. Here these are modules of diffusers.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Attended:
    """A transformer block: its place, which transformer it is in, counted over the network, and which block of that.

    `within`: the transformer, which is given (B, C, h, w).
    """

    module: Any
    place: tuple[str, int]
    transformer: int
    index: int
    within: Any


@dataclass(frozen=True)
class Layout:
    """The modules at the places of a U-Net.

    `time` makes the embedding of the timestep; `width` is that of the first level. `inputs`: the first and the last module
    of each input block; `outputs`: the modules that hold output blocks, each with the number of its first.
    """

    time: nn.Module
    width: int
    inputs: list[tuple[Any, Any]] = field(default_factory=list)
    middle: list[nn.Module] = field(default_factory=list)
    outputs: list[tuple[Any, int]] = field(default_factory=list)
    attended: list[Attended] = field(default_factory=list)

    @classmethod
    def of(cls, unet: Any) -> Layout | None:
        """Return the layout of a U-Net, None for any other network."""
        if not all(hasattr(unet, name) for name in ("conv_in", "down_blocks", "mid_block", "up_blocks")):
            return None
        made = cls(unet.time_embedding, int(unet.conv_in.out_channels), inputs=[(unet.conv_in, unet.conv_in)])
        transformers: list[tuple[Any, tuple[str, int]]] = []
        for block in unet.down_blocks:
            for resnet, attention in pairs(block):
                transformers.append((attention, ("input", len(made.inputs))))
                made.inputs.append((resnet, resnet if attention is None else attention))
            for sampler in block.downsamplers or ():
                made.inputs.append((sampler, sampler))
        if unet.mid_block is not None:
            made.middle.append(unet.mid_block.resnets[0])
        transformers += [(attention, ("middle", 0)) for attention in getattr(unet.mid_block, "attentions", None) or ()]
        number = 0
        for block in unet.up_blocks:
            made.outputs.append((block, number))
            transformers += [(attention, ("output", number + i)) for i, (_, attention) in enumerate(pairs(block))]
            number += len(block.resnets)
        made._number([one for one in transformers if one[0] is not None])
        return made

    @property
    def skipped_channels(self) -> list[int]:
        """The channels of what comes over the skip connection to each output block."""
        return [int(last.out_channels if first is last else first.out_channels) for first, last in self.inputs][::-1]

    def joins(self) -> list[tuple[nn.Module, int]]:
        """The residual block that begins each output block, with how many of its channels come over the skip connection."""
        resnets = [resnet for block, _ in self.outputs for resnet in block.resnets]
        return list(zip(resnets, self.skipped_channels, strict=True))

    def _number(self, transformers: list[tuple[Any, tuple[str, int]]]) -> None:
        for number, (transformer, place) in enumerate(transformers):
            for index, module in enumerate(transformer.transformer_blocks):
                self.attended.append(Attended(module, place, number, index, transformer))


def pairs(block: Any) -> list[tuple[Any, Any]]:
    """The residual blocks of a block, each with the attention after it, or None."""
    attentions = list(getattr(block, "attentions", None) or [None] * len(block.resnets))
    return list(zip(block.resnets, attentions, strict=True))
