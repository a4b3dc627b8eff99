"""A page of a family that nobody has: a flow of two layers, under the text of Stable Diffusion 1's encoder."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from engine.datatypes.parameterization import LatentFormat, Parameterization
from engine.models.families.base import Family, Layout, NetworkKind, Tower
from engine.models.network import Network
from engine.models.shapes import Facts, Shapes


class Mixer(nn.Module):
    """x (B, C, h, w) and a text (B, T, D) → a velocity."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.mix = nn.Conv2d(channels, channels, 3, padding=1)
        self.text = nn.Linear(width, channels)

    def forward(self, x: Tensor, t: Tensor, context: Tensor, brightness: Tensor) -> Tensor:
        told = self.text(context.mean(dim=1)) * t[:, None] + brightness
        return self.mix(x) + told[:, :, None, None]


class MixerNetwork(Network):
    """How it is called: time from 0 to 1, and how bright the picture is."""

    def inputs(self, options: Mapping[str, Any], latent: Tensor, positive: bool) -> dict[str, Any]:
        return {"brightness": torch.full((1, 1), float(options.get("brightness", 0.5 if positive else 0.0)))}

    @torch.no_grad()
    def __call__(self, x: Tensor, t: Tensor, context: Tensor, **given: Any) -> Tensor:
        velocity: Tensor = self.module(x, t / 1000, context, given["options"]["brightness"])
        return velocity


def sizes(shapes: Shapes, hints: Facts, family: Family) -> dict[str, Any]:
    return {"channels": shapes["blend.weight"][0], "width": shapes["words.weight"][1]}


PATHS = {"mix": "blend", "text": "words"}


def renamed(tensors: Mapping[str, Tensor], config: Mapping[str, Any]) -> dict[str, Tensor]:
    ours = {original: module for module, original in PATHS.items()}
    split = (name.rpartition(".") for name in tensors)
    return {f"{ours[module]}.{kind}": tensors[f"{module}.{kind}"] for module, _, kind in split}


FAMILY = Family(
    name="made_up",
    title="Made Up",
    layouts=(Layout(name="original", has=("blend.weight", "words.weight")),),
    network=NetworkKind(
        title="mixer",
        module=f"{__name__}:Mixer",
        call=f"{__name__}:MixerNetwork",
        sizes=sizes,
        renamed=renamed,
        paths=lambda config: PATHS,
    ),
    parameterization=Parameterization(prediction="flow", schedule="flow", shift=3.0),
    latent=LatentFormat(channels=5, scale=0.5, shift=0.1),
    towers=(Tower(prefixes=("words.",), act="quick_gelu"),),
)
