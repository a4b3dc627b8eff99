"""A tiny Z-Image with random weights, in the layouts in which people have it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from engine.models import sd_keys
from tests.conftest import _save as save
from tests.families import Tiny, flux_vae
from tests.tiny_towers import library_tokenizer, tiny, write_tokenizer

TEXT = 32
"""Width of the conditioning."""

CHAT = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def z_transformer(**told: Any) -> Any:
    from diffusers.models.transformers.transformer_z_image import ZImageTransformer2DModel

    sizes = {"dim": 64, "n_layers": 2, "n_refiner_layers": 1, "n_heads": 2, "n_kv_heads": 2, "cap_feat_dim": TEXT}
    return ZImageTransformer2DModel(**(sizes | {"axes_dims": [8, 12, 12]} | told))


def z_to_original(state: dict[str, Any]) -> dict[str, Any]:
    """Z-Image's own names: query, key and value in one tensor, and no size in the names of both ends."""
    names = {"all_x_embedder.2-1": "x_embedder", "all_final_layer.2-1": "final_layer"}
    names |= {"attention.to_out.0": "attention.out", "norm_q": "q_norm", "norm_k": "k_norm"}
    original = {}
    for name, value in state.items():
        if ".to_q." in name:
            rows = [state[name.replace(".to_q.", f".to_{part}.")] for part in "qkv"]
            original[name.replace(".to_q.", ".qkv.")] = torch.cat(rows)
        elif ".to_k." not in name and ".to_v." not in name:
            for ours, theirs in names.items():
                name = name.replace(ours, theirs)
            original[name] = value
    return original


def qwen3(vocabulary: int) -> Any:
    """A language model of four layers, without a head."""
    from transformers import Qwen3Config, Qwen3Model

    rope = {"rope_type": "default", "rope_theta": 1e6}
    return tiny(Qwen3Config, Qwen3Model, vocabulary, head_dim=16, rope_parameters=rope)


def siglip2() -> Any:
    """An image encoder of pictures of any shape, which sees 25 patches at most."""
    from transformers import Siglip2VisionConfig, Siglip2VisionModel

    sizes = {"hidden_size": 24, "intermediate_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2}
    return Siglip2VisionModel(Siglip2VisionConfig(**sizes, patch_size=8, num_patches=25))


def write_z_image_omni(base: Path) -> Tiny:
    """Omni's network in both layouts, with the image encoder."""
    torch.manual_seed(49)
    seeing = siglip2().eval().requires_grad_(False)
    made = write_z_image(base, siglip_feat_dim=24)
    made.modules["siglip"] = seeing
    named = {f"vision_model.{name}": value for name, value in seeing.state_dict().items()}
    told = {"safelight.config": json.dumps({"vision": {"heads": 2}})}
    save(made.file("clip_vision", "siglip2.safetensors"), named, told)
    return made


def write_z_image(base: Path, **told_network: Any) -> Tiny:
    """The network in both layouts, the text encoder, and the VAE."""
    words = library_tokenizer(write_tokenizer(base, "qwen3", "qwen"), "<|endoftext|>", chat_template=CHAT)
    text = qwen3(len(words))
    torch.manual_seed(31)
    modules = {"transformer": z_transformer(**told_network), "vae": flux_vae(), "text_encoder": text}
    for token in ("x_pad_token", "cap_pad_token", *(["siglip_pad_token"] if told_network else [])):
        torch.nn.init.normal_(getattr(modules["transformer"], token))
    modules = {name: module.eval().requires_grad_(False) for name, module in modules.items()}
    made = Tiny(base, modules, {"tokenizer": words})
    state = modules["transformer"].state_dict()
    told = {"safelight.config": json.dumps({"vae": {"norm_groups": 32}})}
    save(made.file("diffusion_models", "z_image.safetensors"), z_to_original(state))
    save(made.file("diffusion_models", "z_image_diffusers.safetensors"), state)
    named = {f"model.{name}": value for name, value in text.state_dict().items()}
    save(made.file("text_encoders", "qwen_3_4b.safetensors"), named)
    vae = sd_keys.vae_to_original(modules["vae"].state_dict(), modules["vae"].config, "")
    save(made.file("vae", "ae.safetensors"), vae, told)
    return made
