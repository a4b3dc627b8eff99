"""The style model as a function of what an image encoder saw: further tokens of text (FLUX.1 Redux; Black Forest Labs 2024)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from engine.models.errors import ModelError

if TYPE_CHECKING:
    from torch import Tensor, nn

    from engine.models.handles import StyleModelHandle
    from engine.models.vision import Seen


class StyleModel:
    """Two layers between the tokens of SigLIP and those of T5."""

    def __init__(self, module: nn.Module, handle: StyleModelHandle, device: torch.device, dtype: torch.dtype) -> None:
        self.module: Any = module
        self.handle = handle
        self.device = device
        self.dtype = dtype

    @torch.no_grad()
    def tokens(self, seen: Seen) -> Tensor:
        """Return what stands for B pictures beside a text, (1, B * T, D), float32 on the CPU.

        Raises ModelError when the pictures were seen by an encoder of another width.
        """
        states, width = seen.last_hidden_state, int(self.handle.config["redux_dim"])
        if states.shape[-1] != width:
            raise ModelError(
                f"{self.handle.source.path}: expected what an image encoder of width {width} (SigLIP So400m) saw, got "
                f"{states.shape[-1]}. Load the image encoder that belongs to the style model."
            )
        made: Tensor = self.module(states.to(self.device, self.dtype)).image_embeds
        return made.flatten(0, 1)[None].float().cpu()
