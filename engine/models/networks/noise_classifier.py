"""A classifier of noisy pictures as a callable of tensors, through which gradients go (Dhariwal and Nichol 2021)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from diffusers.models.attention_processor import Attention
from diffusers.models.embeddings import TimestepEmbedding, Timesteps
from diffusers.models.resnet import ResnetBlock2D
from torch import Tensor, nn
from torch.nn import functional

from engine.models.errors import ModelError

if TYPE_CHECKING:
    from engine.models.handles import PerceptionHandle

_EPSILON = 1e-5


class HalfUNet(nn.Module):
    """The first half of a U-Net, and attention over its end: (B, C, S, S) and t (B,) to logits (B, K)."""

    def __init__(
        self,
        in_channels: int,
        time_channels: int,
        channels: Sequence[int],
        attends: Sequence[bool],
        depth: int,
        head: int,
        scaled: bool,
        image_size: int,
        classes: int,
    ) -> None:
        super().__init__()
        width = 4 * time_channels
        self.time_proj = Timesteps(time_channels, flip_sin_to_cos=True, downscale_freq_shift=0)
        self.time_embedding = TimestepEmbedding(time_channels, width)
        self.conv_in = nn.Conv2d(in_channels, channels[0], 3, padding=1)

        def residual(before: int, after: int, down: bool = False) -> Any:
            return ResnetBlock2D(
                in_channels=before,
                out_channels=after,
                temb_channels=width,
                groups=min(32, before),
                groups_out=min(32, after),
                eps=_EPSILON,
                time_embedding_norm="scale_shift" if scaled else "default",
                down=down,
            )

        self.blocks = nn.ModuleDict()
        for number in range(1, len(channels)):
            before, after = channels[number - 1], channels[number]
            layers = [residual(before, after, down=number % (depth + 1) == 0)]
            if attends[number]:
                layers.append(_attention(after, head))
            self.blocks[str(number)] = nn.ModuleList(layers)
        last = channels[-1]
        self.middle = nn.ModuleList([residual(last, last), _attention(last, head), residual(last, last)])
        self.norm_out = nn.GroupNorm(min(32, last), last, eps=_EPSILON)
        halvings = (len(channels) - 1) // (depth + 1)
        self.pool = _Pool((image_size >> halvings) ** 2, last, head, classes)

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        """Return the logits of x, noised as its network has it, at timesteps t."""
        told = self.time_embedding(self.time_proj(t).to(x.dtype))
        x = self.conv_in(x)
        lists: Any = (*self.blocks.values(), self.middle)
        for layers in lists:
            for layer in layers:
                x = layer(x, told) if isinstance(layer, ResnetBlock2D) else layer(x)
        made: Tensor = self.pool(functional.silu(self.norm_out(x)))
        return made


class _Pool(nn.Module):
    """Attention of the mean to all places, of which the mean's answer counts (Radford et al. 2021)."""

    def __init__(self, places: int, channels: int, head: int, classes: int) -> None:
        super().__init__()
        self.positional_embedding = nn.Parameter(torch.zeros(channels, places + 1))
        self.qkv_proj = nn.Conv1d(channels, 3 * channels, 1)
        self.c_proj = nn.Conv1d(channels, classes, 1)
        self._head = head

    def forward(self, x: Tensor) -> Tensor:
        x = x.flatten(2)
        x = torch.cat([x.mean(dim=2, keepdim=True), x], dim=2) + self.positional_embedding
        q, k, v = (part.unflatten(1, (-1, self._head)).mT for part in self.qkv_proj(x).chunk(3, dim=1))
        seen = functional.scaled_dot_product_attention(q[:, :, :1], k, v)
        made: Tensor = self.c_proj(seen.mT.flatten(1, 2))[:, :, 0]
        return made


def _attention(channels: int, head: int) -> Any:
    return Attention(
        channels,
        heads=channels // head,
        dim_head=head,
        bias=True,
        norm_num_groups=min(32, channels),
        eps=_EPSILON,
        residual_connection=True,
        _from_deprecated_attn_block=True,
    )


class NoiseClassifier:
    """A classifier on its device."""

    def __init__(self, module: nn.Module, handle: PerceptionHandle, device: torch.device, dtype: torch.dtype) -> None:
        self.module, self.handle, self.device, self.dtype = module, handle, device, dtype

    def __call__(self, x: Tensor, t: Tensor) -> Tensor:
        """Return the logits (B, K) of x (B, C, S, S) noised to the timesteps t (B,), on the device of x.

        Raises ModelError for an x of another shape.
        """
        config: Any = self.handle.config
        wanted = (config["in_channels"], config["image_size"], config["image_size"])
        if tuple(x.shape[1:]) != wanted:
            raise ModelError(
                f"{self.handle.source.path}: this classifier knows pictures or latents (B, {', '.join(map(str, wanted))}), got "
                f"{tuple(x.shape)}. Use a model and a size that it was trained for."
            )
        logits: Tensor = self.module(x.to(self.device, self.dtype), t.to(self.device))
        return logits.to(x)
