"""Wan's transformers as the library has them, with any number of text tokens, and with the parts of those of Wan Fun."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

import torch
from diffusers.models.attention_dispatch import dispatch_attention_fn
from diffusers.models.transformers.transformer_wan import WanAttnProcessor, WanImageEmbedding, WanTransformer3DModel
from diffusers.models.transformers.transformer_wan_vace import WanVACETransformer3DModel
from torch import nn
from torch.nn import functional

if TYPE_CHECKING:
    from torch import Tensor


def transformer(
    *,
    vace_layers: list[int] | None = None,
    vace_in_channels: int = 96,
    reference_channels: int = 0,
    camera_channels: int = 0,
    camera_blocks: int = 1,
    **sizes: Any,
) -> nn.Module:
    """Make Wan's transformer of the library's `sizes`, with VACE's layers, or with the parts of Wan Fun's.

    `reference_channels`: of a picture to go by, 0 for a network without one; `camera_channels`: numbers of a camera's path that
    fall to a latent pixel.
    """
    module: Any
    if vace_layers:
        module = WanVACETransformer3DModel(**sizes, vace_layers=list(vace_layers), vace_in_channels=vace_in_channels)
    else:
        module = WanTransformer3DModel(**sizes)
    made = module.config  # with the library's defaults for sizes that are not given
    width = int(made["num_attention_heads"]) * int(made["attention_head_dim"])
    _, high, wide = made["patch_size"]
    patch = (int(high), int(wide))
    if reference_channels:
        module.ref_conv = nn.Conv2d(reference_channels, width, kernel_size=patch, stride=patch)
    if camera_channels:
        module.control_adapter = CameraAdapter(camera_channels, width, patch, camera_blocks)
    if image := sizes.get("image_dim"):
        module.condition_embedder.image_embedder = SeenEmbedding(image, width, sizes.get("pos_embed_seq_len"))
        tokens: dict[str, int] = {}
        module.seen_tokens = tokens
        for block in (*module.blocks, *getattr(module, "vace_blocks", ())):
            block.attn2.set_processor(TextAndPicture(tokens))
    return cast("nn.Module", module)


class SeenEmbedding(WanImageEmbedding):  # type: ignore[misc]
    """How the tokens that CLIP gives of one picture or two are embedded: there may be fewer than places."""

    def forward(self, tokens: Tensor) -> Tensor:
        """Return (B, T, W) of tokens (B, T, D)."""
        if self.pos_embed is not None:
            tokens = tokens + self.pos_embed[:, : tokens.shape[1]]
        return cast("Tensor", self.norm2(self.ff(self.norm1(tokens))))


class TextAndPicture(WanAttnProcessor):  # type: ignore[misc]
    """Attention to text, and to what CLIP saw, which stands before it.

    The library's takes the last 512 tokens for the text; here the picture's are counted (`{"count": n}`), and the text is of
    any length.
    """

    def __init__(self, tokens: Mapping[str, int]) -> None:
        super().__init__()
        self._tokens = tokens

    def __call__(
        self,
        attn: Any,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        rotary_emb: Any = None,
    ) -> Tensor:
        """Return (B, N, W) of what queries (B, N, W) find in tokens (B, T, W)."""
        assert encoder_hidden_states is not None
        seen = self._tokens.get("count", 0)
        query = attn.norm_q(attn.to_q(hidden_states)).unflatten(2, (attn.heads, -1))
        text, picture = encoder_hidden_states[:, seen:], encoder_hidden_states[:, :seen]
        found = self._attended(attn.norm_k(attn.to_k(text)), attn.to_v(text), query)
        if seen:
            key = attn.norm_added_k(attn.add_k_proj(picture))
            found = found + self._attended(key, attn.add_v_proj(picture), query)
        made: Tensor = attn.to_out[1](attn.to_out[0](found))
        return made

    def _attended(self, key: Tensor, value: Tensor, query: Tensor) -> Tensor:
        heads = query.shape[2]
        key, value = (torch.unflatten(one, 2, (heads, -1)) for one in (key, value))
        found: Tensor = dispatch_attention_fn(query, key, value, backend=self._attention_backend, parallel_config=None)
        return found.flatten(2, 3).type_as(query)


class CameraAdapter(nn.Module):
    """What is added to Wan Fun's tokens for the path of a camera (Alibaba PAI 2025, Apache 2.0, `SimpleAdapter`)."""

    def __init__(self, channels: int, width: int, patch: tuple[int, int], blocks: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, width, kernel_size=patch, stride=patch)
        self.residual_blocks = nn.Sequential(*(CameraBlock(width) for _ in range(blocks)))

    def forward(self, path: Tensor) -> Tensor:
        """Return (B, W, T, h / 2, w / 2) of a path (B, C, T, h, w), the pixels of a latent pixel among its channels."""
        frames = self.residual_blocks(self.conv(path.movedim(2, 1).flatten(0, 1)))
        return cast("Tensor", frames.unflatten(0, (path.shape[0], path.shape[2])).movedim(1, 2))


class CameraBlock(nn.Module):
    """Two convolutions whose result is added to what they are given."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width, width, kernel_size=3, padding=1)
        self.conv2 = nn.Conv2d(width, width, kernel_size=3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, W, h, w) of the same."""
        return cast("Tensor", x + self.conv2(functional.relu(self.conv1(x))))
