"""A tiny HunyuanDiT with random weights, in the layouts in which people have it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from engine.models import sd_keys
from tests.families import Tiny, save, t5, t5_tensors, t5_tokenizer, t5_words, vae

TEXT, T5 = 20, 24
"""Widths of what BERT and mT5 give."""
SPECIALS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")


def transformer(*, old: bool, **told: Any) -> Any:
    from diffusers.models.transformers.hunyuan_transformer_2d import HunyuanDiT2DModel

    sizes: dict[str, Any] = {
        "num_attention_heads": 2,
        "attention_head_dim": 16,
        "in_channels": 4,
        "patch_size": 2,
        "hidden_size": 32,
        "num_layers": 4,
        "cross_attention_dim": TEXT,
        "cross_attention_dim_t5": T5,
        "pooled_projection_dim": 12,
        "use_style_cond_and_image_meta_size": old,
    }
    return HunyuanDiT2DModel(**sizes | told)


def to_original(state: dict[str, Any], config: Any) -> dict[str, Any]:
    """HunyuanDiT's own names, as the library's script has them, with stacked rows and more styles than one."""
    words = {
        "pos_embed.proj.": "x_embedder.proj.",
        "text_embedder.linear_1.": "mlp_t5.0.",
        "text_embedder.linear_2.": "mlp_t5.2.",
        "time_extra_emb.extra_embedder.linear_1.": "extra_embedder.0.",
        "time_extra_emb.extra_embedder.linear_2.": "extra_embedder.2.",
        "time_extra_emb.timestep_embedder.linear_1.": "t_embedder.mlp.0.",
        "time_extra_emb.timestep_embedder.linear_2.": "t_embedder.mlp.2.",
        "time_extra_emb.": "",
        "norm_out.linear.": "final_layer.adaLN_modulation.1.",
        "norm1.linear.": "default_modulation.1.",
        "norm1.norm.": "norm1.",
        ".to_out.0.": ".out_proj.",
        ".norm_q.": ".q_norm.",
        ".norm_k.": ".k_norm.",
        "attn2.to_q.": "attn2.q_proj.",
        "ff.net.0.proj.": "mlp.fc1.",
        "ff.net.2.": "mlp.fc2.",
    }
    original: dict[str, Any] = {}
    for name, value in state.items():
        theirs, rows = name, value
        if name.startswith("proj_out."):
            theirs = f"final_layer.linear.{name.removeprefix('proj_out.')}"
        if ".norm2." in name or ".norm3." in name:
            theirs = name.replace("norm2", "norm?").replace("norm3", "norm2").replace("norm?", "norm3")
        if name.startswith("norm_out."):
            rows = torch.cat(value.chunk(2)[::-1])
        if "style_embedder" in name:
            rows = torch.cat([value, torch.ones_like(value)])
        for first, parts, joined in (
            (".attn1.to_q.", "qkv", ".attn1.Wqkv."),
            (".attn2.to_k.", "kv", ".attn2.kv_proj."),
        ):
            if first in name:
                rows = torch.cat([state[name.replace(first, f"{first[:-2]}{part}.")] for part in parts])
                theirs = name.replace(first, joined)
        for ours, word in words.items():
            theirs = theirs.replace(ours, word)
        if ".to_" not in theirs:
            original[theirs] = rows
    return original


def bert_tokenizer() -> Any:
    """Pieces of words, as BERT has them: a word's further pieces begin with ##."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    letters = "abcdefghijklmnopqrstuvwxyz"
    words = [
        *SPECIALS,
        "red",
        "blue",
        "apple",
        "tree",
        "photo",
        "the",
        *letters,
        *(f"##{letter}" for letter in letters),
    ]
    table = {word: number for number, word in enumerate(words)}
    tokenizer = Tokenizer(models.WordPiece(table, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.add_special_tokens(list(SPECIALS))
    around = [("[CLS]", table["[CLS]"]), ("[SEP]", table["[SEP]"])]
    tokenizer.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=around)
    return tokenizer


def bert(words: int) -> Any:
    from transformers import BertConfig, BertModel

    sizes = {"hidden_size": TEXT, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    return BertModel(BertConfig(vocab_size=words, max_position_embeddings=96, **sizes))


def write(base: Path, *, old: bool = False) -> Tiny:
    """The network in both layouts in files of its own, and all of it in a checkpoint."""
    from transformers import PreTrainedTokenizerFast

    torch.manual_seed(47)
    pieces = bert_tokenizer()
    told = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    words = PreTrainedTokenizerFast(tokenizer_object=pieces, model_max_length=77, **told)
    modules = {
        "transformer": transformer(old=old),
        "vae": vae(),
        "text_encoder": bert(len(words)),
        "text_encoder_2": t5(T5),
    }
    modules = {name: module.eval().requires_grad_(False) for name, module in modules.items()}
    tiny = Tiny(base, modules, {"tokenizer": words, "tokenizer_2": t5_words(256)})
    for name, text in (("bert", pieces.to_str()), ("mt5", t5_tokenizer().to_str())):
        path = tiny.file("text_encoders", name) / "tokenizer.json"
        path.parent.mkdir(parents=True)
        path.write_text(text)
    facts = {"unet": {"heads": 2}, "vae": {"norm_groups": 32}, "text": {"heads": 2}}
    metadata = {"safelight.config": json.dumps(facts)}
    network = modules["transformer"]
    original = to_original(network.state_dict(), network.config)
    save(tiny.file("diffusion_models", "hunyuan_dit.safetensors"), original, metadata)
    save(tiny.file("diffusion_models", "hunyuan_dit_diffusers.safetensors"), network.state_dict(), metadata)
    parts = {
        "model.": original,
        "vae.": sd_keys.vae_to_original(modules["vae"].state_dict(), modules["vae"].config, ""),
        "text_encoders.hydit_clip.transformer.bert.": modules["text_encoder"].state_dict(),
        "text_encoders.mt5xl.transformer.": t5_tensors(modules["text_encoder_2"]),
    }
    whole = {f"{prefix}{name}": value for prefix, tensors in parts.items() for name, value in tensors.items()}
    save(tiny.file("checkpoints", "hunyuan_dit.safetensors"), whole, metadata)
    return tiny
