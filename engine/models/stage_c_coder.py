"""Stable Cascade's stage C as a network between pictures and latents: EfficientNetV2 (Tan & Le 2021), and a small decoder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, cast

import torch
from torch import nn

from engine.models.autoencoder import Autoencoder
from engine.models.errors import ModelError

if TYPE_CHECKING:
    from torch import Tensor

_STRIDES: Final = (1, 2, 2, 2, 1, 2)
"""Of EfficientNetV2-S's stages (Tan & Le 2021, table 4)."""

_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of ImageNet's colours in 0..1, by which the encoder sees them."""


class StageCCoder(nn.Module):
    """An encoder and a decoder, of which either may be absent; sizes as `engine.models.autoencoders.stage_c` reads them."""

    def __init__(
        self,
        first: int,
        stages: Sequence[Sequence[int]],
        last: int,
        decoder: Sequence[Sequence[int]],
        latent_channels: int,
    ) -> None:
        super().__init__()
        if first:
            self.encoder = _Encoder(first, stages, last, latent_channels)
        if decoder:
            self.previewer = nn.Module()
            self.previewer.blocks = _decoder(decoder)

    def encode(self, images: Tensor) -> Tensor:
        """Return latents (B, C, H / 32, W / 32) of pictures (B, 3, H, W) in 0..1."""
        mean, deviation = (images.new_tensor(values).reshape(1, 3, 1, 1) for values in (_MEAN, _DEVIATION))
        return cast("Tensor", self.encoder((images - mean) / deviation))

    def decode(self, latent: Tensor) -> Tensor:
        """Return pictures (B, 3, 8 h, 8 w), about 0..1, of latents (B, C, h, w)."""
        return cast("Tensor", cast("Any", self.previewer).blocks(latent))


class StageCCodec(Autoencoder):
    """Stage C's coder on its device. Raises ModelError for the half that its file lacks."""

    def _encode(self, images: Tensor) -> Tensor:
        coder = self._with("encoder", "effnet_encoder")
        return coder.encode((images / 2 + 0.5).to(self.device, self.dtype)).float().cpu()

    def _decode(self, latent: Tensor) -> Tensor:
        coder = self._with("previewer", "previewer")
        return coder.decode(latent.to(self.device, self.dtype)).float().cpu() * 2 - 1

    def _with(self, half: str, file: str) -> StageCCoder:
        if not hasattr(self.module, half):
            raise ModelError(f"{self.handle.source.path}: has no {half}. Load {file}.safetensors as the VAE for this.")
        return cast("StageCCoder", self.module)


def efficient_net(first: int, stages: Sequence[Sequence[int]], last: int) -> nn.Sequential:
    """Return EfficientNetV2 without its classes: (B, `last`, H / 32, W / 32) of (B, 3, H, W)."""
    layers: list[nn.Module] = [_convolved(3, first, 3, stride=2)]
    width = first
    for (depth, out, expansion, squeezes), stride in zip(stages, _STRIDES):
        blocks = []
        for number in range(depth):
            blocks.append(_Block(width, out, expansion, stride if number == 0 else 1, squeezes=bool(squeezes)))
            width = out
        layers.append(nn.Sequential(*blocks))
    return nn.Sequential(*layers, _convolved(width, last, 1))


class _Encoder(nn.Module):
    def __init__(self, first: int, stages: Sequence[Sequence[int]], last: int, latent_channels: int) -> None:
        super().__init__()
        self.backbone = efficient_net(first, stages, last)
        self.mapper = nn.Sequential(
            nn.Conv2d(last, latent_channels, 1, bias=False), _Norm(latent_channels, affine=False)
        )

    def forward(self, x: Tensor) -> Tensor:
        return cast("Tensor", self.mapper(self.backbone(x)))


class _Block(nn.Module):
    """A block of EfficientNetV2: with a depthwise convolution and squeezed channels, or both fused into a plain one."""

    def __init__(self, width: int, out: int, expansion: int, stride: int, *, squeezes: bool) -> None:
        super().__init__()
        wide = width * expansion
        if squeezes:
            layers = [
                _convolved(width, wide, 1),
                _convolved(wide, wide, 3, stride=stride, groups=wide),
                _Squeeze(wide, max(1, width // 4)),
                _convolved(wide, out, 1, active=False),
            ]
        elif expansion == 1:
            layers = [_convolved(width, out, 3, stride=stride)]
        else:
            layers = [_convolved(width, wide, 3, stride=stride), _convolved(wide, out, 1, active=False)]
        self.block = nn.Sequential(*layers)
        self.adds = stride == 1 and width == out

    def forward(self, x: Tensor) -> Tensor:
        found = cast("Tensor", self.block(x))
        return found + x if self.adds else found


class _Norm(nn.Module):
    """Batch normalisation (Ioffe & Szegedy 2015) as it is after training: torch's also counts batches, which few files tell."""

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, width: int, eps: float = 1e-5, *, affine: bool = True) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(width)) if affine else None
        self.bias = nn.Parameter(torch.empty(width)) if affine else None
        self.register_buffer("running_mean", torch.zeros(width))
        self.register_buffer("running_var", torch.ones(width))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        statistics = self.running_mean, self.running_var
        return nn.functional.batch_norm(x, *statistics, self.weight, self.bias, False, 0.0, self.eps)


class _Squeeze(nn.Module):
    """Each channel times a share 0..1 that the means of all channels give (Hu et al. 2018)."""

    def __init__(self, wide: int, narrow: int) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Conv2d(wide, narrow, 1), nn.Conv2d(narrow, wide, 1)

    def forward(self, x: Tensor) -> Tensor:
        means = x.mean(dim=(2, 3), keepdim=True)
        share = self.fc2(nn.functional.silu(self.fc1(means)))
        return x * torch.sigmoid(share)


def _convolved(
    width: int, out: int, kernel: int, *, stride: int = 1, groups: int = 1, active: bool = True
) -> nn.Sequential:
    layers = [nn.Conv2d(width, out, kernel, stride, kernel // 2, groups=groups, bias=False), _Norm(out, eps=1e-3)]
    return nn.Sequential(*layers, *([nn.SiLU()] if active else []))


def _decoder(shapes: Sequence[Sequence[int]]) -> nn.Sequential:
    """Convolutions of the weights' shapes, with a norm after each but the last; kernels of 2 double the sides."""
    layers: list[nn.Module] = []
    for number, (a, b, kernel, _) in enumerate(shapes):
        width, out = (a, b) if kernel == 2 else (b, a)
        made = (
            nn.ConvTranspose2d(width, out, 2, 2) if kernel == 2 else nn.Conv2d(width, out, kernel, padding=kernel // 2)
        )
        layers += [made] if number == len(shapes) - 1 else [made, nn.GELU(), _Norm(out)]
    return nn.Sequential(*layers)
