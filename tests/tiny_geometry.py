"""Tiny networks for mattes, depth and geometry, in the names in which their authors write them, and files of them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import torch

from engine.models.networks.birefnet_module import BiRefNet
from engine.models.networks.depth_module import DepthNetwork
from engine.models.networks.moge_first_module import FirstMoGeNetwork
from engine.models.networks.moge_module import MoGeNetwork
from tests.tiny_seeing import random

EYE = {"width": 32, "layers": 4, "heads": 2, "patch": 14, "grid": 5, "inner": 128, "gated": False}
WIDTHS = [8, 8, 6, 6, 4]


SIDE = 64
"""Pixels that the tiny BiRefNet sees a picture in."""

_BACK = [
    (r"^bb\.swin\.embeddings\.patch_embeddings\.projection\.", "bb.patch_embed.proj."),
    (r"^bb\.swin\.embeddings\.norm\.", "bb.patch_embed.norm."),
    (r"^bb\.swin\.encoder\.layers\.", "bb.layers."),
    (r"\.layernorm_before\.", ".norm1."),
    (r"\.layernorm_after\.", ".norm2."),
    (r"\.attention\.o_proj\.", ".attn.proj."),
    (r"\.attention\.relative_position_bias\.", ".attn."),
]


def tiny_birefnet() -> BiRefNet:
    swin = {
        "embed_dim": 8,
        "patch_size": 4,
        "depths": [2, 2, 2, 2],
        "num_heads": [1, 2, 2, 4],
        "window_size": 2,
        "mlp_ratio": 2.0,
    }
    module = BiRefNet(swin=swin, inner=6, wide=10, sizes=[1, 3, 7], looked=5)
    random(module, seed=3)
    return module


def birefnet_as_written(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The tensors under the names of BiRefNet's authors."""
    found: dict[str, torch.Tensor] = {}
    for name, value in state.items():
        if number := re.match(r"bb\.hidden_states_norms\.stage(\d)\.", name):
            found[f"bb.norm{int(number[1]) - 1}.{name.rpartition('.')[2]}"] = value
            continue
        place = name
        for pattern, theirs in _BACK:
            place = re.sub(pattern, theirs, place)
        if "q_proj" in name:
            stacked = torch.cat([state[name.replace("q_proj", f"{part}_proj")] for part in "qkv"])
            found[place.replace(".attention.q_proj.", ".attn.qkv.")] = stacked
        elif not re.search(r"[kv]_proj", name):
            found[place] = value
    return found


def tiny_depth() -> DepthNetwork:
    module = DepthNetwork(eye=EYE, taken=[0, 1, 2, 3], channels=[6, 8, 10, 12], fused=8, last=4)
    random(module, seed=9)
    return module


def depth_as_written(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The tensors under the names of Depth Anything's authors."""
    found: dict[str, torch.Tensor] = {}
    for name, value in state.items():
        place = re.sub(r"^backbone\.proj\.", "backbone.patch_embed.proj.", name)
        place = re.sub(r"^backbone\.layers\.", "backbone.blocks.", place)
        place = re.sub(r"\.layer_scale([12])\.lambda1$", r".ls\1.gamma", place).replace("attention.o_proj", "attn.proj")
        if "q_proj" in place:
            stacked = torch.cat([state[name.replace("q_proj", f"{part}_proj")] for part in "qkv"])
            place, value = place.replace("attention.q_proj", "attn.qkv"), stacked
        elif re.search(r"[kv]_proj", place):
            continue
        found[f"model.{place.replace('backbone.', 'backbone.pretrained.', 1)}"] = value
    return found


def stack(takes: list[int], gives: list[int], blocks: list[int]) -> dict[str, Any]:
    grows = ["conv_transpose", "pixel_shuffle", "conv_transpose", "bilinear"]
    return {
        "takes": takes,
        "gives": gives,
        "widths": WIDTHS,
        "blocks": blocks,
        "grows": grows,
        "inner": 2,
        "norms": ["layer", ""],
    }


def tiny_moge() -> MoGeNetwork:
    heads = {name: stack(WIDTHS, [0, 0, 0, 0, gives], [0, 1, 1, 1, 0]) for name, gives in
             (("points_head", 3), ("normal_head", 3), ("mask_head", 1))}  # fmt: skip
    stacks = {"neck": stack([12, 2, 2, 2, 2], [0] * 5, [0, 2, 1, 1, 0]), **heads}
    module = MoGeNetwork(eye=EYE, taken=[0, 1, 2, 3], projected=10, stacks=stacks, scale=[32, 6, 1])
    random(module, seed=2)
    with torch.no_grad():
        module.points_head.output_blocks[4].weight.mul_(0.1)
    return module


def tiny_first_moge() -> FirstMoGeNetwork:
    module = FirstMoGeNetwork(
        eye=EYE, taken=[1, 2, 3], projected=10, grows=[64, 32, 32], blocks=1, last=[32, 1, 3], inner=1
    )
    random(module, seed=4)
    with torch.no_grad():
        for end in module.head.output_block:
            end[-1].weight.mul_(0.1)
        module.head.output_block[1][-1].bias.fill_(0.6)
    return module


def moge_as_written(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The tensors under the names of MoGe's authors."""
    first = "head.projects.0.weight" in state
    found: dict[str, torch.Tensor] = {"image_mean" if first else "encoder.image_mean": torch.zeros(1, 3, 1, 1)}
    for name, value in state.items():
        place = re.sub(r"^((encoder\.)?backbone)\.proj\.", r"\1.patch_embed.proj.", name)
        place = re.sub(r"^((encoder\.)?backbone)\.layers\.", r"\1.blocks.", place)
        place = re.sub(r"\.layer_scale([12])\.lambda1$", r".ls\1.gamma", place).replace("attention.o_proj", "attn.proj")
        if "q_proj" in place:
            stacked = torch.cat([state[name.replace("q_proj", f"{part}_proj")] for part in "qkv"])
            place, value = place.replace("attention.q_proj", "attn.qkv"), stacked
        elif re.search(r"[kv]_proj", place):
            continue
        found[place] = value
    return found


def write_birefnet(target: Path, network: Path | None = None) -> None:
    _write(target, birefnet_as_written(tiny_birefnet().state_dict()), size=SIDE)


def write_depth(target: Path, network: Path | None = None) -> None:
    _write(target, depth_as_written(tiny_depth().state_dict()), head=16, taken=[0, 1, 2, 3])


def write_first_moge(target: Path, network: Path | None = None) -> None:
    _write(target, moge_as_written(tiny_first_moge().state_dict()), head=16, tokens=[8, 26])


def write_moge(target: Path, network: Path | None = None) -> None:
    _write(target, moge_as_written(tiny_moge().state_dict()), head=16, taken=[0, 1, 2, 3], tokens=[8, 26])


def _write(target: Path, tensors: dict[str, torch.Tensor], **told: Any) -> None:
    from safetensors.torch import save_file

    written = {name: value.contiguous().clone() for name, value in tensors.items()}
    save_file(written, target, {"safelight.config": json.dumps({"perception": told})})
