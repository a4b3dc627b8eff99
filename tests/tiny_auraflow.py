"""A tiny AuraFlow with random weights, in the layouts in which people have it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from engine.models import sd_keys
from tests.conftest import _save as save
from tests.families import Tiny, t5_tensors, t5_tokenizer, t5_words, vae

TEXT = 24
"""Width of the conditioning."""

_ENDS = {
    "pos_embed.proj": "init_x_linear",
    "pos_embed.pos_embed": "positional_encoding",
    "context_embedder": "cond_seq_linear",
    "time_step_proj.linear_1": "t_embedder.mlp.0",
    "time_step_proj.linear_2": "t_embedder.mlp.2",
    "norm_out.linear": "modF.1",
    "proj_out": "final_linear",
}
_FORWARD = {"linear_1": "c_fc1", "linear_2": "c_fc2", "out_projection": "c_proj"}
_PICTURE = {"attn.to_q": "w2q", "attn.to_k": "w2k", "attn.to_v": "w2v", "attn.to_out.0": "w2o"}
_TEXT = {"attn.add_q_proj": "w1q", "attn.add_k_proj": "w1k", "attn.add_v_proj": "w1v", "attn.to_add_out": "w1o"}


def aura_transformer(**told: Any) -> Any:
    from diffusers.models.transformers.auraflow_transformer_2d import AuraFlowTransformer2DModel

    sizes = {"num_mmdit_layers": 2, "num_single_dit_layers": 2, "attention_head_dim": 16, "num_attention_heads": 2}
    sizes |= {"joint_attention_dim": TEXT, "caption_projection_dim": 32, "pos_embed_max_size": 144}
    return AuraFlowTransformer2DModel(**(sizes | told))


def aura_to_original(state: dict[str, Any]) -> dict[str, Any]:
    """AuraFlow's own names; shift stands before scale in the last norm."""
    original = {}
    for name, value in state.items():
        path, kind = name, ""
        if name not in ("register_tokens", "pos_embed.pos_embed"):
            path, _, kind = name.rpartition(".")
        if "transformer_blocks" in path:
            group, number, rest = path.split(".", 2)
            double = group == "joint_transformer_blocks"
            if rest.startswith("attn."):
                rest = f"attn.{(_PICTURE | _TEXT)[rest]}" if double else f"attn.{_PICTURE[rest].replace('2', '1')}"
            elif rest.startswith("ff"):
                which, _, last = rest.partition(".")
                rest = f"{'mlpC' if 'context' in which else 'mlpX' if double else 'mlp'}.{_FORWARD[last]}"
            else:
                rest = "modC.1" if "context" in rest else "modX.1" if double else "modCX.1"
            path = f"{'double' if double else 'single'}_layers.{number}.{rest}"
        path = _ENDS.get(path, path)
        rows = torch.cat(value.chunk(2)[::-1]) if path == "modF.1" else value
        original[f"{path}.{kind}" if kind else path] = rows
    return original


def umt5(width: int) -> Any:
    """A tiny UMT5 encoder, and nothing of a decoder."""
    from transformers import UMT5Config, UMT5EncoderModel

    sizes = {"d_kv": 8, "d_ff": 32, "num_layers": 2, "num_heads": 3, "feed_forward_proj": "gated-gelu"}
    return UMT5EncoderModel(UMT5Config(vocab_size=t5_tokenizer().get_vocab_size(), d_model=width, **sizes))


def write_auraflow(base: Path) -> Tiny:
    """The network in both layouts, text encoder and VAE in files of their own, and all of it in a checkpoint."""
    torch.manual_seed(33)
    modules = {"transformer": aura_transformer(), "vae": vae(), "text_encoder": umt5(TEXT)}
    modules = {name: module.eval().requires_grad_(False) for name, module in modules.items()}
    words = t5_words(256)
    words.model_input_names = ["input_ids", "attention_mask"]
    tiny = Tiny(base, modules, {"tokenizer": words})
    path = tiny.file("text_encoders", "umt5") / "tokenizer.json"
    path.parent.mkdir(parents=True)
    path.write_text(t5_tokenizer().to_str())
    state = modules["transformer"].state_dict()
    original = aura_to_original(state)
    told = {"safelight.config": json.dumps({"unet": {"heads": 2}, "vae": {"norm_groups": 32}})}
    decoder = sd_keys.vae_to_original(modules["vae"].state_dict(), modules["vae"].config, "")
    save(tiny.file("diffusion_models", "auraflow.safetensors"), original, told)
    save(tiny.file("diffusion_models", "auraflow_diffusers.safetensors"), state, told)
    save(tiny.file("vae", "sdxl_vae.safetensors"), decoder, told)
    text = t5_tensors(modules["text_encoder"])
    save(tiny.file("text_encoders", "pile_t5xl.safetensors"), text, told)
    parts = {"model.": original, "vae.": decoder, "text_encoders.pile_t5xl.transformer.": text}
    whole = {f"{prefix}{name}": value for prefix, tensors in parts.items() for name, value in tensors.items()}
    save(tiny.file("checkpoints", "auraflow.safetensors"), whole, told)
    return tiny
