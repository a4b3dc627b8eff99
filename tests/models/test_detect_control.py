"""Full-size ControlNets of transformers, told by names and shapes alone."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from engine.models import controls
from engine.models.families.base import named
from tests.tiny_control import stability, xlabs

FLUX = {"attention_head_dim": 128, "num_attention_heads": 24, "joint_attention_dim": 4096, "pooled_projection_dim": 768}
SD3 = {"attention_head_dim": 64, "caption_projection_dim": 1536, "pos_embed_max_size": 192}
"""Of InstantX's and alimama's."""
LARGE = {
    "num_layers": 19,
    "num_attention_heads": 38,
    "joint_attention_dim": None,
    "use_pos_embed": False,
    "force_zeros_for_pooled_projection": False,
    "caption_projection_dim": 2432,
}
"""Of Stability AI's for 3.5 large."""
UNION = {
    "block_out_channels": [320, 640, 1280],
    "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"],
    "transformer_layers_per_block": [1, 2, 10],
    "cross_attention_dim": 2048,
    "attention_head_dim": [5, 10, 20],
    "use_linear_projection": True,
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 256,
    "projection_class_embeddings_input_dim": 2816,
    "conditioning_embedding_out_channels": [16, 32, 96, 256],
    "num_control_type": 8,
}
NEWER = {
    "control_refiner_layers_places": [0, 1],
    "control_in_dim": 33,
    "add_control_noise_refiner": "control_noise_refiner",
}

SIZES: dict[str, tuple[str, dict[str, Any]]] = {
    "InstantX's union of FLUX.1": ("flux", {**FLUX, "num_layers": 5, "num_single_layers": 10, "num_mode": 10}),
    "alimama's of FLUX.1": ("flux", {**FLUX, "num_layers": 6, "num_single_layers": 0, "extra_channels": 4}),
    "XLabs' of FLUX.1": (
        "flux",
        {**FLUX, "num_layers": 1, "num_single_layers": 0, "patch_size": 2, "conditioning_embedding_channels": 16},
    ),
    "InstantX's of Qwen-Image": ("qwen_image", {"num_layers": 5}),
    "InstantX's of Qwen-Image for inpainting": ("qwen_image", {"num_layers": 6, "extra_condition_channels": 4}),
    "InstantX's of SD 3": ("sd3", {**SD3, "num_layers": 6, "num_attention_heads": 24}),
    "alimama's of SD 3": (
        "sd3",
        {**SD3, "num_layers": 23, "num_attention_heads": 24, "extra_conditioning_channels": 1},
    ),
    "Stability AI's of SD 3.5": ("sd3", LARGE),
    "PhotoMaker's first version": (
        "photomaker",
        {
            "vision": {
                "hidden_size": 1024,
                "intermediate_size": 4096,
                "projection_dim": 768,
                "num_hidden_layers": 24,
                "num_attention_heads": 16,
                "image_size": 224,
                "patch_size": 14,
                "hidden_act": "quick_gelu",
            },
            "second": 1280,
        },
    ),
    "kohya's LLLite of XL": (
        "lllite",
        {
            "layers": {
                "lllite_unet_input_blocks_4_1_transformer_blocks_0_attn1_to_q": [
                    [[16, 3, 4], [32, 16, 4]],
                    640,
                    64,
                    False,
                ],
                "lllite_unet_middle_block_1_transformer_blocks_9_attn2_to_q": [
                    [[16, 3, 4], [16, 16, 4], [32, 16, 2]],
                    1280,
                    64,
                    False,
                ],
            }
        },
    ),
    "kohya's LLLite of Anima for inpainting": (
        "lllite_anima",
        {
            "layers": {f"lllite_dit_blocks_{i}_self_attn_q_proj": 2048 for i in range(28)},
            "rank": 64,
            "shown": 32,
            "width": 128,
            "channels": 4,
            "residual": 4,
            "dilations": [1, 2, 4, 8],
        },
    ),
    "DiffSynth's of Qwen-Image": ("qwen_image_blocks", {"layers": 60, "width": 3072, "channels": 64, "masked": False}),
    "DiffSynth's of Qwen-Image for inpainting": (
        "qwen_image_blocks",
        {"layers": 60, "width": 3072, "channels": 68, "masked": True},
    ),
    "Fun's of Qwen-Image": (
        "qwen_image_fun",
        {"places": [0, 12, 24, 36, 48], "width": 3072, "head": 128, "channels": 132},
    ),
    "USO's projector": ("uso", {"seen": 729, "made": 64, "dims": 1152, "width": 3072, "normed": True}),
    "ControlNet++'s union of SDXL": ("unet_union", UNION),
    "1.0 of Z-Image": ("z_image", {"control_layers_places": [0, 5, 10, 15, 20, 25], "control_in_dim": 16}),
    "2.1 of Z-Image": ("z_image", {"control_layers_places": list(range(0, 30, 2)), **NEWER}),
    "2.1 lite of Z-Image": ("z_image", {"control_layers_places": [0, 10, 20], **NEWER}),
}


def made(kind: str, config: dict[str, Any]) -> Any:
    with torch.device("meta"):
        return named(controls.kind_named(kind).MODULE)(**config)


@pytest.mark.parametrize("name", SIZES)
def test_a_full_size_controlnet_is_read_off_its_tensors(name):
    kind, config = SIZES[name]
    if kind == "flux":
        config = {"guidance_embeds": True, **config}
    module = made(kind, config)
    tensors = module.state_dict()
    if name.startswith("XLabs"):
        tensors = xlabs(tensors)
    if name.startswith("Stability"):
        tensors = stability(tensors, 1, LARGE["num_layers"])
    shapes = {name: tuple(value.shape) for name, value in tensors.items()}
    page = controls.kind_named(kind)
    assert controls.kind_in(shapes, patch=page.PATCH) == kind
    assert controls.kind_in(shapes, patch=not page.PATCH) is None
    found = page.config(shapes, {}, lambda _: 1.0)
    again = made(kind, found)
    expected = {name: tuple(value.shape) for name, value in again.state_dict().items()}
    renamed = page.renamed({name: torch.empty(shape, device="meta") for name, shape in shapes.items()}, found)
    assert {name: tuple(value.shape) for name, value in renamed.items()} == expected
    assert {name: found[name] for name in config if name in found} == {
        name: value for name, value in config.items() if name in found
    }


def test_what_is_of_no_kind_is_none():
    assert controls.kind_in({"controlnet_x_embedder.weight": (4, 4)}) is None
