"""BiRefNet (Zheng et al. 2024), which no library has: Swin at two sizes, and a decoder that looks at the picture once more.

In its last and usual form: features of a picture and of it at half size side by side, those of three stages joined to the
last, deformable convolutions of three sizes in every block of the decoder, patches of the picture beside what each block gets,
and a gate that the gradient of the mask has taught.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn import functional
from transformers import SwinConfig
from transformers.models.swin.modeling_swin import SwinBackbone

if TYPE_CHECKING:
    from torch import Tensor

_GATE = 16
"""Channels of a gate."""


class BiRefNet(nn.Module):
    """From pictures (B, 3, H, W), normalised, of sides that are multiples of 64, to logits of masks (B, 1, H, W).

    `swin`: arguments of SwinConfig; `inner`: channels within a block, `wide`: of each of its convolutions, `sizes`: their
    kernels, `looked`: channels of what the picture's patches become within.
    """

    def __init__(self, *, swin: dict[str, Any], inner: int, wide: int, sizes: Sequence[int], looked: int) -> None:
        super().__init__()
        self.bb = SwinBackbone(SwinConfig(**swin, out_indices=[1, 2, 3, 4]))
        self.bb.swin.layernorm = nn.Identity()  # each stage has a norm of its own
        channels = [2 * swin["embed_dim"] << stage for stage in (3, 2, 1, 0)]
        block: dict[str, Any] = {"inner": inner, "wide": wide, "sizes": tuple(sizes)}
        self.squeeze_module = nn.ModuleList([Block(sum(channels), channels[0], **block)])
        self.decoder = Decoder(channels, looked, block)

    def forward(self, pictures: Tensor) -> Tensor:
        """Return logits (B, 1, H, W)."""
        whole = self.bb(pixel_values=pictures).feature_maps
        half = self.bb(pixel_values=_resized(pictures, [side // 2 for side in pictures.shape[2:]])).feature_maps
        stages = [
            torch.cat([one, _resized(other, one.shape[2:])], dim=1) for one, other in zip(whole, half, strict=True)
        ]
        context = [_resized(stage, stages[3].shape[2:]) for stage in stages[:3]]
        last = self.squeeze_module[0](torch.cat([*context, stages[3]], dim=1))
        made: Tensor = self.decoder(pictures, [last, stages[2], stages[1], stages[0]])
        return made


class Decoder(nn.Module):
    """From the coarsest features to the finest: blocks, gates, and features of the backbone and patches of the picture added."""

    def __init__(self, channels: Sequence[int], looked: int, block: dict[str, Any]) -> None:
        super().__init__()
        gives = [*channels[1:], channels[-1] // 2]
        seen = [one // 8 for one in channels]
        for place in range(4):
            number = 4 - place
            self.add_module(
                f"decoder_block{number}", Block(channels[place] + seen[max(0, place - 1)], gives[place], **block)
            )
            self.add_module(f"ipt_blk{number + 1}", Look(3 * 4 ** (number + 1), looked, seen[max(0, place - 1)]))
            if number > 1:
                self.add_module(f"lateral_block{number}", Lateral(channels[place + 1], gives[place]))
                gate = nn.Sequential(nn.Conv2d(gives[place], _GATE, 3, padding=1), nn.BatchNorm2d(_GATE), nn.ReLU())
                self.add_module(f"gdt_convs_{number}", gate)
                self.add_module(f"gdt_convs_attn_{number}", nn.Sequential(nn.Conv2d(_GATE, 1, 1)))
        self.ipt_blk1 = Look(3, looked, seen[3])
        self.conv_out1 = nn.Sequential(nn.Conv2d(gives[3] + seen[3], 1, 1))

    def forward(self, pictures: Tensor, features: Sequence[Tensor]) -> Tensor:
        """Return logits (B, 1, H, W) of pictures and their features, the coarsest first."""
        parts: Any = self._modules
        x = features[0]
        for place, number in enumerate((4, 3, 2, 1)):
            x = torch.cat([x, parts[f"ipt_blk{number + 1}"](_patches(pictures, x.shape[2:]))], dim=1)
            x = parts[f"decoder_block{number}"](x)
            if number > 1:
                x = x * parts[f"gdt_convs_attn_{number}"](parts[f"gdt_convs_{number}"](x)).sigmoid()
                finer = features[place + 1]
                x = _resized(x, finer.shape[2:]) + parts[f"lateral_block{number}"](finer)
        x = _resized(x, pictures.shape[2:])
        made: Tensor = self.conv_out1(torch.cat([x, self.ipt_blk1(pictures)], dim=1))
        return made


class Block(nn.Module):
    """Two convolutions, and deformable ones of several sizes between them."""

    def __init__(self, takes: int, gives: int, *, inner: int, wide: int, sizes: Sequence[int]) -> None:
        super().__init__()
        self.conv_in = nn.Conv2d(takes, inner, 3, padding=1)
        self.bn_in = nn.BatchNorm2d(inner)
        self.dec_att = Pyramid(inner, wide, sizes)
        self.conv_out = nn.Conv2d(inner, gives, 3, padding=1)
        self.bn_out = nn.BatchNorm2d(gives)

    def forward(self, x: Tensor) -> Tensor:
        """Return what it makes of features (B, C, h, w)."""
        made: Tensor = self.bn_out(self.conv_out(self.dec_att(self.bn_in(self.conv_in(x)).relu())))
        return made


class Pyramid(nn.Module):
    """Deformable convolutions of several sizes and the mean of all, side by side."""

    def __init__(self, channels: int, wide: int, sizes: Sequence[int]) -> None:
        super().__init__()
        self.aspp1 = Deformed(channels, wide, 1)
        self.aspp_deforms = nn.ModuleList([Deformed(channels, wide, size) for size in sizes])
        self.global_avg_pool = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Conv2d(channels, wide, 1, bias=False), nn.BatchNorm2d(wide), nn.ReLU()
        )
        self.conv1 = nn.Conv2d(wide * (2 + len(sizes)), channels, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Return what it makes of features (B, C, h, w)."""
        mean = self.global_avg_pool(x).expand(-1, -1, *x.shape[2:])
        parts = [self.aspp1(x), *(part(x) for part in self.aspp_deforms), mean]
        made: Tensor = self.bn1(self.conv1(torch.cat(parts, dim=1))).relu()
        return made


class Deformed(nn.Module):
    """A deformable convolution with a norm."""

    def __init__(self, takes: int, gives: int, size: int) -> None:
        super().__init__()
        self.atrous_conv = DeformableConvolution(takes, gives, size)
        self.bn = nn.BatchNorm2d(gives)

    def forward(self, x: Tensor) -> Tensor:
        """Return what it makes of features (B, C, h, w)."""
        made: Tensor = self.bn(self.atrous_conv(x)).relu()
        return made


class DeformableConvolution(nn.Module):
    """A convolution whose taps are where, and weigh what, other convolutions say (Zhu et al. 2019, DCNv2)."""

    def __init__(self, takes: int, gives: int, size: int) -> None:
        super().__init__()
        around: dict[str, Any] = {"kernel_size": size, "padding": size // 2}
        self.offset_conv = nn.Conv2d(takes, 2 * size * size, **around)
        self.modulator_conv = nn.Conv2d(takes, size * size, **around)
        self.regular_conv = nn.Conv2d(takes, gives, **around, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return what it makes of features (B, C, h, w)."""
        weights = 2.0 * self.modulator_conv(x).sigmoid()
        return deformed(x, self.offset_conv(x), weights, self.regular_conv.weight)


def deformed(x: Tensor, offsets: Tensor, weights: Tensor, kernel: Tensor) -> Tensor:
    """Return the deformable convolution of x (B, C, h, w), of the same size: tap by tap, so that memory stays small.

    `offsets` (B, 2 K, h, w) in pixels, down and to the right for each of the K taps; `weights` (B, K, h, w); `kernel`
    (C', C, k, k) with K = k * k. Outside of the picture is 0.
    """
    height, width = x.shape[2:]
    size = kernel.shape[-1]
    rows = torch.arange(height, device=x.device, dtype=x.dtype)[:, None]
    columns = torch.arange(width, device=x.device, dtype=x.dtype)
    made = x.new_zeros(x.shape[0], kernel.shape[0], height, width)
    for tap in range(size * size):
        down, right = tap // size - size // 2, tap % size - size // 2
        y_at = (2.0 * (rows + down + offsets[:, 2 * tap]) + 1.0) / height - 1.0
        x_at = (2.0 * (columns + right + offsets[:, 2 * tap + 1]) + 1.0) / width - 1.0
        there = functional.grid_sample(x, torch.stack([x_at, y_at], dim=-1), mode="bilinear", align_corners=False)
        made += functional.conv2d(there * weights[:, tap : tap + 1], kernel[:, :, tap // size, tap % size, None, None])
    return made


class Look(nn.Module):
    """Two convolutions over patches of the picture."""

    def __init__(self, takes: int, inner: int, gives: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(takes, inner, 3, padding=1)
        self.conv_out = nn.Conv2d(inner, gives, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Return what it makes of patches (B, C, h, w)."""
        made: Tensor = self.conv_out(self.conv1(x))
        return made


class Lateral(nn.Module):
    """Features of the backbone to the width of the decoder's."""

    def __init__(self, takes: int, gives: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(takes, gives, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return what it makes of features (B, C, h, w)."""
        made: Tensor = self.conv(x)
        return made


def _resized(x: Tensor, size: Sequence[int]) -> Tensor:
    return functional.interpolate(x, size=list(size), mode="bilinear", align_corners=True)


def _patches(pictures: Tensor, size: Sequence[int]) -> Tensor:
    """A picture cut into as many pieces as its features are smaller, laid upon one another: (B, 3 * pieces, *size)."""
    rows, columns = pictures.shape[2] // size[0], pictures.shape[3] // size[1]
    batch, colours, height, width = pictures.shape
    cut = pictures.reshape(batch, colours, rows, height // rows, columns, width // columns)
    return cut.permute(0, 1, 2, 4, 3, 5).flatten(1, 3)
