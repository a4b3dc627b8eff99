"""Tiny Wan networks with random weights, in the layouts in which people have them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import torch

from tests import tiny_qwen_image
from tests.families import Tiny, save, t5_tensors, t5_tokenizer, t5_words
from tests.tiny_auraflow import umt5

TEXT = 20
"""Width of the conditioning."""
SEEN = 32
"""Width of what the tiny image encoder gives."""
_ORIGINAL = (
    ("condition_embedder.time_embedder.linear_1", "time_embedding.0"),
    ("condition_embedder.time_embedder.linear_2", "time_embedding.2"),
    ("condition_embedder.text_embedder.linear_1", "text_embedding.0"),
    ("condition_embedder.text_embedder.linear_2", "text_embedding.2"),
    ("condition_embedder.time_proj", "time_projection.1"),
    ("condition_embedder.image_embedder.pos_embed", "img_emb.emb_pos"),
    ("condition_embedder.image_embedder.norm1", "img_emb.proj.0"),
    ("condition_embedder.image_embedder.ff.net.0.proj", "img_emb.proj.1"),
    ("condition_embedder.image_embedder.ff.net.2", "img_emb.proj.3"),
    ("condition_embedder.image_embedder.norm2", "img_emb.proj.4"),
    (".norm2.", ".norm3."),
    (".attn1.", ".self_attn."),
    (".attn2.", ".cross_attn."),
    (".to_out.0.", ".o."),
    (".ffn.net.0.proj.", ".ffn.0."),
    (".ffn.net.2.", ".ffn.2."),
    (".add_k_proj.", ".k_img."),
    (".add_v_proj.", ".v_img."),
    (".norm_added_k.", ".norm_k_img."),
    (".proj_in.", ".before_proj."),
    (".proj_out.", ".after_proj."),
)


def transformer(**told: Any) -> Any:
    """A network of two layers, and with VACE's where `vace_layers` are told."""
    from engine.models.networks.wan_module import transformer as made

    sizes = {
        "patch_size": (1, 2, 2),
        "num_attention_heads": 2,
        "attention_head_dim": 16,
        "text_dim": TEXT,
        "freq_dim": 16,
        "ffn_dim": 40,
        "num_layers": 2,
    }
    if told.get("image_dim"):
        told = {"added_kv_proj_dim": 32, **told}
    return made(**sizes | told)


def autoencoder22() -> Any:
    """Wan 2.2's, of a few channels."""
    from diffusers.models.autoencoders.autoencoder_kl_wan import AutoencoderKLWan

    from engine.datatypes.latent_formats import WAN22

    return AutoencoderKLWan(
        base_dim=8,
        decoder_base_dim=12,
        z_dim=48,
        dim_mult=[1, 2, 2, 2],
        num_res_blocks=2,
        temperal_downsample=[False, True, True],
        is_residual=True,
        in_channels=12,
        out_channels=12,
        patch_size=2,
        scale_factor_spatial=16,
        latents_mean=list(WAN22.means),
        latents_std=list(WAN22.deviations),
    )


def to_original(state: dict[str, Any]) -> dict[str, Any]:
    """Wan's own names of a network."""
    original = {}
    for name, value in state.items():
        end = {"proj_out.weight": "head.head.weight", "proj_out.bias": "head.head.bias"}.get(name, name)
        end = "head.modulation" if name == "scale_shift_table" else end.replace(".scale_shift_table", ".modulation")
        for ours, theirs in _ORIGINAL:
            end = end.replace(ours, theirs)
        original[re.sub(r"\.to_([qkv])\.", r".\1.", end)] = value
    return original


def vision() -> Any:
    """CLIP's vision tower of two layers, which sees 256 patches."""
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    sizes = {"intermediate_size": 48, "num_hidden_layers": 3, "num_attention_heads": 2, "patch_size": 2}
    config = CLIPVisionConfig(hidden_size=SEEN, image_size=32, projection_dim=16, hidden_act="gelu", **sizes)
    return CLIPVisionModelWithProjection(config)


def write(base: Path, *, second: bool = False, sees: bool = False, **told: Any) -> Tiny:
    """The network in files of its own, its text encoder and its autoencoder: `second`, those of Wan 2.2 5B; `sees`: CLIP's vision.

    `told`: what makes the network another than that for text.
    """
    torch.manual_seed(51)
    channels = {"in_channels": 48, "out_channels": 48} if second else {}
    network = transformer(**channels | told)
    vae = autoencoder22() if second else wan_autoencoder()
    modules = {"transformer": network, "vae": vae, "text_encoder": umt5(TEXT)}
    if sees:
        modules["image_encoder"] = vision()
    modules = {name: module.eval().requires_grad_(False) for name, module in modules.items()}
    words = t5_words(512)
    words.model_input_names = ["input_ids", "attention_mask"]
    tiny = Tiny(base, modules, {"tokenizer": words})
    path = tiny.file("text_encoders", "umt5") / "tokenizer.json"
    path.parent.mkdir(parents=True)
    path.write_text(t5_tokenizer().to_str())
    facts = {"safelight.config": json.dumps({"unet": {"heads": 2}})}
    save(tiny.file("text_encoders", "umt5_xxl.safetensors"), t5_tensors(modules["text_encoder"]))
    state = network.state_dict()
    original = to_original(state)
    save(tiny.file("diffusion_models", "wan.safetensors"), original, facts)
    save(tiny.file("diffusion_models", "diffusers.safetensors"), state, facts)
    prefixed = {f"model.diffusion_model.{name}": value for name, value in original.items()}
    save(tiny.file("diffusion_models", "prefixed.safetensors"), prefixed, facts)
    named = vae.state_dict() if second else tiny_qwen_image.to_original(vae.state_dict())
    save(tiny.file("vae", "wan2.2_vae.safetensors" if second else "wan_2.1_vae.safetensors"), named)
    if sees:
        save(
            tiny.file("clip_vision", "clip_vision_h.safetensors"),
            modules["image_encoder"].state_dict(),
            {"safelight.config": json.dumps({"vision": {"heads": 2, "act": "gelu"}})},
        )
    return tiny


def wan_autoencoder() -> Any:
    """Wan 2.1's, of a few channels."""
    from diffusers.models.autoencoders.autoencoder_kl_wan import AutoencoderKLWan

    return AutoencoderKLWan(base_dim=8)
