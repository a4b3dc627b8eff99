"""Fun control networks of Qwen-Image (VideoX-Fun, Alibaba PAI): layers like the denoiser's, on the latent and the picture.

c₀ = B y + x of the picture's tokens y and the latent's x; layer by layer cᵢ₊₁ = f(cᵢ), and A cᵢ₊₁ is added after the denoiser's
layer that this one stands for (after VACE; Jiang et al. 2025).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, cast

import torch
from diffusers.models.transformers.transformer_qwenimage import QwenImageTransformerBlock
from torch import nn

from engine.models.errors import ModelError
from engine.models.networks.added import Placed
from engine.models.networks.control import LatentControl, sheet
from engine.models.networks.flux import packed
from engine.models.networks.qwen_image import QwenImageNetwork
from engine.models.networks.sheets import laid_out

if TYPE_CHECKING:
    from torch import Tensor

    from engine.models.network import Company

_SQUARE = 4
"""Latent pixels of a token."""


class _Block(QwenImageTransformerBlock):  # type: ignore[misc]
    """A layer of the denoiser's kind with what makes its contribution; the first one with what takes the picture in."""

    def __init__(self, width: int, head: int, *, first: bool) -> None:
        super().__init__(dim=width, num_attention_heads=width // head, attention_head_dim=head)
        if first:
            self.before_proj = nn.Linear(width, width)
        self.after_proj = nn.Linear(width, width)


class FunControl(nn.Module):
    """The network: a layer for each of the denoiser's layers `places`; `channels`: numbers of a token of the picture."""

    def __init__(self, places: Sequence[int], width: int, head: int, channels: int) -> None:
        super().__init__()
        self.places = list(places)
        self.control_img_in = nn.Linear(channels, width)
        self.control_blocks = nn.ModuleList([_Block(width, head, first=i == 0) for i in range(len(self.places))])


class QwenImageFun(LatentControl):
    """How it is called, with the embedders of the denoiser of the run."""

    steers: ClassVar[str] = "Qwen-Image"

    @torch.no_grad()
    def __call__(
        self,
        x: Tensor,
        t: Tensor,
        context: Tensor,
        hint: Tensor,
        strength: float = 1.0,
        options: Mapping[str, Any] | None = None,
        company: Company | None = None,
    ) -> dict[str, Any]:
        """Return {"double": [Placed]}, times `strength`, for x (B, C, h, w) or (B, C, 1, h, w), t (B,), context (B, T, D).

        `hint` (N, 3, H, W) in 0..1. The network's places for a mask and for a picture to fill are left empty.

        Raises ModelError when the denoiser is not Qwen-Image of this size, and where a VAE is missing.
        """
        beside = self.check(company, QwenImageNetwork)
        denoiser, module = cast("Any", beside.network.module), cast("FunControl", self.module)
        width = self.handle.config["width"]
        if denoiser.inner_dim != width or module.places[-1] >= len(denoiser.transformer_blocks):
            raise ModelError(
                f"{self.handle.source.path}: made for layers {module.places} of width {width}, the model has "
                f"{len(denoiser.transformer_blocks)} of {denoiser.inner_dim}. Use the model that it was trained for."
            )
        filled = sheet(x)
        seen = self.seen(hint, beside, filled, beside.network.handle.latent)
        rest = int(self.handle.config["channels"]) // _SQUARE - seen.shape[1]
        picture = torch.cat([seen, seen.new_zeros(len(seen), rest, *seen.shape[-2:])], dim=1)
        hidden = denoiser.img_in(packed(filled).to(self.device, self.dtype))
        text = denoiser.txt_in(denoiser.txt_norm(context.to(self.device, self.dtype)))
        time = (t / beside.network.handle.parameterization.timesteps).to(self.device, self.dtype)
        shapes = [laid_out([(filled.shape[-2] // 2, filled.shape[-1] // 2)], [], "index")] * len(x)
        told = {
            "encoder_hidden_states_mask": None,
            "temb": denoiser.time_text_embed(time, hidden),
            "image_rotary_emb": denoiser.pos_embed(shapes, max_txt_seq_len=text.shape[1], device=self.device),
        }
        blocks = cast("Sequence[Any]", module.control_blocks)
        state, found = blocks[0].before_proj(module.control_img_in(packed(picture))) + hidden, {}
        for place, block in zip(module.places, blocks, strict=True):
            text, state = block(hidden_states=state, encoder_hidden_states=text, **told)
            found[place] = block.after_proj(state) * strength
        return {"double": [Placed(found)]}
