"""A tiny Ovis-Image with random weights, in the layouts in which people have it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from engine.models import sd_keys
from tests.families import Tiny, flux_vae, save
from tests.tiny_towers import library_tokenizer, write_tokenizer
from tests.tiny_z_image import qwen3

TEXT = 32
"""Width of the conditioning."""

CHAT = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% if not enable_thinking %}<think>\n\n</think>\n\n{% endif %}{% endif %}"
)

_ENDS = {
    "timestep_embedder.linear_1": "time_in.in_layer",
    "timestep_embedder.linear_2": "time_in.out_layer",
    "context_embedder_norm": "semantic_txt_norm",
    "context_embedder": "semantic_txt_in",
    "x_embedder": "img_in",
    "norm_out.linear": "final_layer.adaLN_modulation.1",
    "proj_out": "final_layer.linear",
}
_DOUBLE = {
    "norm1.linear": "img_mod.lin",
    "norm1_context.linear": "txt_mod.lin",
    "attn.norm_q": "img_attn.norm.query_norm",
    "attn.norm_k": "img_attn.norm.key_norm",
    "attn.norm_added_q": "txt_attn.norm.query_norm",
    "attn.norm_added_k": "txt_attn.norm.key_norm",
    "attn.to_out.0": "img_attn.proj",
    "attn.to_add_out": "txt_attn.proj",
    "attn.to_q": "img_attn.qkv",
    "attn.add_q_proj": "txt_attn.qkv",
    "ff.net.2": "img_mlp.down_proj",
    "ff_context.net.2": "txt_mlp.down_proj",
}
_SINGLE = {
    "norm.linear": "modulation.lin",
    "attn.norm_q": "norm.query_norm",
    "attn.norm_k": "norm.key_norm",
    "attn.to_q": "linear1",
    "proj_out": "linear2",
}


def ovis_transformer(**told: Any) -> Any:
    from diffusers.models.transformers.transformer_ovis_image import OvisImageTransformer2DModel

    sizes = {"num_layers": 2, "num_single_layers": 2, "attention_head_dim": 16, "num_attention_heads": 2}
    return OvisImageTransformer2DModel(**(sizes | {"joint_attention_dim": TEXT, "axes_dims_rope": (2, 6, 8)} | told))


def ovis_to_original(state: dict[str, Any]) -> dict[str, Any]:
    """Its own names: queries, keys and values in one tensor, halves of gated layers in two, shift before scale."""
    original = {}
    for name, value in state.items():
        path, _, kind = name.rpartition(".")
        if path in _ENDS:
            rows = torch.cat(value.chunk(2)[::-1]) if path == "norm_out.linear" else value
            original[f"{_ENDS[path]}.{kind}"] = rows
            continue
        group, number, rest = path.split(".", 2)
        block = f"{'single' if 'single' in group else 'double'}_blocks.{number}"
        names = _SINGLE if "single" in group else _DOUBLE
        if rest.endswith(".net.0.proj"):
            up, gate = value.chunk(2)
            mlp = "txt_mlp" if "context" in rest else "img_mlp"
            original |= {f"{block}.{mlp}.up_proj.{kind}": up, f"{block}.{mlp}.gate_proj.{kind}": gate}
        elif rest in names:
            others = (
                [name.replace("_q", f"_{part}") for part in "kv"] if rest in ("attn.to_q", "attn.add_q_proj") else []
            )
            others += [f"{group}.{number}.proj_mlp.{kind}"] if names is _SINGLE and others else []
            original[f"{block}.{names[rest]}.{kind}"] = torch.cat([value, *(state[other] for other in others)])
    return original


def write_ovis(base: Path) -> Tiny:
    """The network in both layouts, the text encoder, and the VAE."""
    words = library_tokenizer(write_tokenizer(base, "qwen3", "qwen"), "<|endoftext|>", chat_template=CHAT)
    text = qwen3(len(words))
    torch.manual_seed(36)
    modules = {"transformer": ovis_transformer(), "vae": flux_vae(), "text_encoder": text}
    modules = {name: module.eval().requires_grad_(False) for name, module in modules.items()}
    tiny = Tiny(base, modules, {"tokenizer": words})
    state = modules["transformer"].state_dict()
    told = {"safelight.config": json.dumps({"unet": {"axes": [2, 6, 8]}, "vae": {"norm_groups": 32}})}
    save(tiny.file("diffusion_models", "ovis.safetensors"), ovis_to_original(state), told)
    save(tiny.file("diffusion_models", "ovis_diffusers.safetensors"), state, told)
    named = {f"model.{name}": value for name, value in text.state_dict().items()}
    save(tiny.file("text_encoders", "ovis_2.5.safetensors"), named)
    vae = sd_keys.vae_to_original(modules["vae"].state_dict(), modules["vae"].config, "")
    save(tiny.file("vae", "ae.safetensors"), vae, told)
    return tiny
