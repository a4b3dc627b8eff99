"""The style model as a function of what an image encoder saw: further tokens of text.

FLUX.1 Redux (Black Forest Labs 2024), and the style adapter of T2I-Adapter (Mou et al. 2023).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from engine.models.errors import ModelError
from engine.models.handles import REDUX

if TYPE_CHECKING:
    from torch import Tensor, nn

    from engine.models.handles import StyleModelHandle
    from engine.models.vision import Seen


_ENCODERS = {True: "SigLIP So400m", False: "CLIP ViT-L"}


class StyleModel:
    """What stands between the tokens of an image encoder and those of a text."""

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
        redux = self.handle.family == REDUX
        states, width = seen.last_hidden_state, int(self.handle.config["redux_dim" if redux else "width"])
        if states.shape[-1] != width:
            raise ModelError(
                f"{self.handle.source.path}: expected what an image encoder of width {width} ({_ENCODERS[redux]}) saw, got "
                f"{states.shape[-1]}. Load the image encoder that belongs to the style model."
            )
        found = self.module(states.to(self.device, self.dtype))
        made: Tensor = found.image_embeds if redux else found
        return made.flatten(0, 1)[None].float().cpu()
