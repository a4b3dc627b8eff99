"""A tiny Anima with random weights, in the layouts in which people have it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from tests import tiny_qwen_image
from tests.families import Tiny, save, t5_tokenizer
from tests.tiny_towers import library_tokenizer, write_tokenizer
from tests.tiny_z_image import qwen3

WORDS = 48
"""Rows of the adapter's table of T5's tokens."""


def transformer(**told: Any) -> Any:
    """Cosmos Predict2's, as the library's Anima has it: it makes the channel that says where there is no picture itself."""
    from diffusers.models.transformers.transformer_cosmos import CosmosTransformer3DModel

    sizes = {
        "in_channels": 16,
        "out_channels": 16,
        "num_attention_heads": 2,
        "attention_head_dim": 16,
        "num_layers": 2,
        "text_embed_dim": 20,
        "adaln_lora_dim": 8,
        "rope_scale": (1.0, 4.0, 4.0),
        "extra_pos_embed_type": None,
    }
    return CosmosTransformer3DModel(**sizes | told)


def text_conditioner(**told: Any) -> Any:
    from diffusers.models.condition_embedders.condition_embedder_anima import AnimaTextConditioner

    sizes = {"target_dim": 20, "model_dim": 20, "num_layers": 2, "num_attention_heads": 2, "target_vocab_size": WORDS}
    return AnimaTextConditioner(**sizes | told)


def to_original(transformer: dict[str, Any], text_conditioner: dict[str, Any]) -> dict[str, Any]:
    """Anima's own names, by the words in which they differ."""
    words = {
        "patch_embed.proj.": "x_embedder.proj.1.",
        "time_embed.t_embedder.": "t_embedder.1.",
        "time_embed.norm.": "t_embedding_norm.",
        "norm_out.linear_": "final_layer.adaln_modulation.",
        "proj_out.": "final_layer.linear.",
        "transformer_blocks.": "blocks.",
        ".norm1.linear_": ".adaln_modulation_self_attn.",
        ".norm2.linear_": ".adaln_modulation_cross_attn.",
        ".norm3.linear_": ".adaln_modulation_mlp.",
        ".attn1.": ".self_attn.",
        ".attn2.": ".cross_attn.",
        ".to_q.": ".q_proj.",
        ".to_k.": ".k_proj.",
        ".to_v.": ".v_proj.",
        ".to_out.0.": ".output_proj.",
        ".norm_q.": ".q_norm.",
        ".norm_k.": ".k_norm.",
        ".ff.net.0.proj.": ".mlp.layer1.",
        ".ff.net.2.": ".mlp.layer2.",
    }
    original = {f"llm_adapter.{name}": value for name, value in text_conditioner.items()}
    for name, value in transformer.items():
        theirs = name
        for ours, word in words.items():
            theirs = theirs.replace(ours, word)
        original[theirs] = value
    return original


def both(transformer: Any, text_conditioner: Any) -> dict[str, Any]:
    """The two networks' tensors as one module of ours has them."""
    parts = {"transformer": transformer, "text_conditioner": text_conditioner}
    return {f"{part}.{name}": value for part, module in parts.items() for name, value in module.state_dict().items()}


def write(base: Path) -> Tiny:
    """The network in files of its own, with prefixes and without, its text encoder and its autoencoder."""
    from transformers import PreTrainedTokenizerFast

    words = library_tokenizer(write_tokenizer(base, "qwen3", "qwen"), "<|endoftext|>")
    spelling = base / "models" / "text_encoders" / "t5" / "tokenizer.json"
    spelling.parent.mkdir()
    spelling.write_text(t5_tokenizer().to_str())
    text = qwen3(len(words))
    torch.manual_seed(41)
    vae = tiny_qwen_image.autoencoder()
    adapter = text_conditioner(source_dim=text.config.hidden_size)
    modules = {"transformer": transformer(), "text_conditioner": adapter, "vae": vae, "text_encoder": text}
    modules = {name: module.eval().requires_grad_(False) for name, module in modules.items()}
    t5 = PreTrainedTokenizerFast(tokenizer_file=str(spelling), pad_token="<pad>", eos_token="</s>")
    tiny = Tiny(base, modules, {"tokenizer": words, "t5_tokenizer": t5})
    save(
        tiny.file("text_encoders", "qwen_3_06b_base.safetensors"),
        {f"model.{n}": v for n, v in text.state_dict().items()},
    )
    save(tiny.file("vae", "qwen_image_vae.safetensors"), tiny_qwen_image.to_original(vae.state_dict()))
    original = to_original(modules["transformer"].state_dict(), adapter.state_dict())
    for name, prefix in (("anima", ""), ("net", "net."), ("prefixed", "model.diffusion_model.")):
        save(tiny.file("diffusion_models", f"{name}.safetensors"), {f"{prefix}{n}": v for n, v in original.items()})
    return tiny
