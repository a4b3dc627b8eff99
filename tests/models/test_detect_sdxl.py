"""Stable Diffusion XL in full size, by names and shapes alone: nothing missing, nothing unexpected, in each layout."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from engine.models import sd_keys, weights
from engine.models.detect import detect
from engine.models.errors import CheckpointError
from engine.models.families import families
from engine.models.manager import ModelManager
from tests.families import text_tower, vae, xl_unet
from tests.models.test_detect import shapes

BASE = {
    "block_out_channels": (320, 640, 1280),
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    "layers_per_block": 2,
    "transformer_layers_per_block": (1, 2, 10),
    "cross_attention_dim": 2048,
    "attention_head_dim": (5, 10, 20),
    "projection_class_embeddings_input_dim": 2816,
}
REFINER = {
    "block_out_channels": (384, 768, 1536, 1536),
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
    "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    "layers_per_block": 2,
    "transformer_layers_per_block": 4,
    "cross_attention_dim": 1280,
    "attention_head_dim": (6, 12, 24, 24),
    "projection_class_embeddings_input_dim": 2560,
}
SLIM = BASE | {  # SSD-1B (Gupta et al. 2024): other depths going up than going down, and no middle
    "transformer_layers_per_block": [1, [2, 2], [4, 4]],
    "reverse_transformer_layers_per_block": [[4, 4, 10], [2, 1, 1], 1],
    "mid_block_type": None,
}
KINDS = {
    "base": ("sdxl", BASE),
    "inpaint": ("sdxl", BASE | {"in_channels": 9}),
    "refiner": ("sdxl_refiner", REFINER),
    "slim": ("sdxl", SLIM),
}


def unet(config: dict[str, Any]) -> Any:
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

    told = {"use_linear_projection": True, "addition_embed_type": "text_time", "addition_time_embed_dim": 256}
    with torch.device("meta"):
        return UNet2DConditionModel(**(told | config))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("layout", ["checkpoint", "bare", "diffusers"])
def test_a_full_size_network_is_read_off_its_names_and_shapes(kind: str, layout: str) -> None:
    family, config = KINDS[kind]
    module = unet(config)
    state = module.state_dict()
    if layout != "diffusers":
        state = sd_keys.unet_to_original(state, module.config, sd_keys.UNET_PREFIX if layout == "checkpoint" else "")
    found = detect(shapes(state))
    assert found.family == family
    assert found.network is not None
    again = unet({name: tuple(value) if isinstance(value, list) else value for name, value in found.network.items()})
    assert shapes(again.state_dict()) == shapes(module.state_dict())
    renamed = sd_keys.unet_to_diffusers(state, found.network, found.network_prefix)
    assert shapes(renamed) == shapes(module.state_dict())
    assert (again.config.attention_head_dim, again.config.in_channels) == (
        config["attention_head_dim"],
        module.config.in_channels,
    )
    for name, depth in ((n, m.attn1.heads) for n, m in module.named_modules() if hasattr(m, "attn1")):
        assert again.get_submodule(name).attn1.heads == depth


def test_a_checkpoint_has_two_text_encoders_and_another_scale_of_latents() -> None:
    module = unet(BASE)
    state = sd_keys.unet_to_original(module.state_dict(), module.config)
    with torch.device("meta"):
        first, second = text_tower(49408, 768, 12, "quick_gelu"), text_tower(49408, 1280, 32, "gelu", projection=1280)
    state |= sd_keys.text_to_original(first.state_dict(), prefix="conditioner.embedders.0.transformer.")
    state |= sd_keys.text_to_open_clip(second.state_dict(), "conditioner.embedders.1.model.")
    found = detect(shapes(state))
    assert [
        (text.tower.name, text.config["hidden_size"], text.config["num_attention_heads"]) for text in found.texts
    ] == [
        ("clip_l", 768, 12),
        ("clip_g", 1280, 20),
    ]
    assert [(text.stop_at, text.tower.normed, text.tokens.pad) for text in found.texts] == [
        (-2, False, None),
        (-2, False, 0),
    ]
    assert (found.latent.scale, found.parameterization.prediction) == (0.13025, "eps")


def test_a_folder_of_diffusers_gives_what_a_file_gives(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    module = xl_unet(80, 40, sizes=6)
    parts = {
        "unet": module,
        "vae": vae(),
        "text_encoder": text_tower(300, 32, 3, "quick_gelu"),
        "text_encoder_2": text_tower(300, 48, 3, "gelu", projection=40),
    }
    (tmp_path / "model_index.json").write_text("{}")
    for name, part in parts.items():
        (tmp_path / name).mkdir()
        config = part.config.to_dict() if hasattr(part.config, "to_dict") else dict(part.config)
        (tmp_path / name / "config.json").write_text(json.dumps(config, default=str))
        file = "diffusion_pytorch_model" if name in ("unet", "vae") else "model"
        save_file(part.state_dict(), tmp_path / name / f"{file}.safetensors")
    model, clip, decoder = ModelManager().checkpoint(tmp_path)
    assert model is not None and clip is not None and decoder is not None  # noqa: PT018
    assert (model.family, [tower.tower for tower in clip.towers]) == ("sdxl", ["clip_l", "clip_g"])
    assert [tower.config["hidden_act"] for tower in clip.towers] == ["quick_gelu", "gelu"]
    assert model.latent.scale == 0.13025
    assert shapes(weights.empty_module(model).state_dict()) == shapes(module.state_dict())


def test_encoders_of_another_family_are_refused(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    for name, width in (("a", 768), ("b", 1024)):
        tensors = {
            "text_model.embeddings.token_embedding.weight": torch.zeros(49408, width, dtype=torch.float16),
            "text_model.embeddings.position_embedding.weight": torch.zeros(77, width),
            "text_model.encoder.layers.0.mlp.fc1.weight": torch.zeros(8, width),
        }
        save_file(tensors, tmp_path / f"{name}.safetensors")
    files = [tmp_path / "a.safetensors", tmp_path / "b.safetensors"]
    with pytest.raises(CheckpointError, match=r"width 768.*1280.*b\.safetensors holds CLIP.* of width 1024"):
        ModelManager().text_encoders(files, "sdxl")


def test_every_page_tells_a_family_that_its_files_can_name() -> None:
    names = [family.name for family in families()]
    assert len(set(names)) == len(names) >= 4
    assert all(family.title for family in families())
