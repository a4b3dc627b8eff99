"""Tiny networks of model families with random weights, written in the layouts in which people have them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from engine.models import sd_keys
from tests.conftest import _save as save

TIMES = 8
"""Width of the embedding of one size in tiny networks of Stable Diffusion XL."""


@dataclass
class Tiny:
    """Modules of a tiny model, the tokenizers of the library's pipeline, and files that hold the modules."""

    base: Path
    modules: dict[str, Any]
    tokenizers: dict[str, Any]

    def file(self, folder: str, name: str) -> Path:
        return self.base / "models" / folder / name


def clip_tokenizers(files: tuple[Path, Path]) -> dict[str, Any]:
    """As pipelines with two CLIP towers have them: the second one pads with token 0."""
    from transformers import CLIPTokenizer

    vocabulary, merges = files
    pairs = [tuple(line.split()) for line in merges.read_text().splitlines()[1:]]
    known = json.loads(vocabulary.read_text())
    first = CLIPTokenizer(vocab=known, merges=pairs, model_max_length=77)
    second = CLIPTokenizer(vocab=known, merges=pairs, model_max_length=77, pad_token="!")
    return {"tokenizer": first, "tokenizer_2": second}


def text_tower(words: int, width: int, layers: int, act: str, *, projection: int = 0, positions: int = 77) -> Any:
    """A CLIP text tower of two heads, with or without projection."""
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    config = CLIPTextConfig(
        vocab_size=words,
        hidden_size=width,
        intermediate_size=2 * width,
        num_hidden_layers=layers,
        num_attention_heads=2,
        max_position_embeddings=positions,
        hidden_act=act,
        projection_dim=projection or width,
        bos_token_id=words - 2,
        eos_token_id=words - 1,
        pad_token_id=words - 1,
    )
    return CLIPTextModelWithProjection(config) if projection else CLIPTextModel(config)


def xl_unet(context: int, pooled: int, *, sizes: int, in_channels: int = 4) -> Any:
    """Three levels with attention of depth 2 at the last two, which is how depths differ in the full-size network."""
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

    return UNet2DConditionModel(
        sample_size=8,
        in_channels=in_channels,
        block_out_channels=(32, 64, 64),
        layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        transformer_layers_per_block=(1, 1, 2),
        cross_attention_dim=context,
        attention_head_dim=(2, 4, 4),
        use_linear_projection=True,
        addition_embed_type="text_time",
        addition_time_embed_dim=TIMES,
        projection_class_embeddings_input_dim=sizes * TIMES + pooled,
    )


def xl_controlnet(context: int, pooled: int) -> Any:
    """A ControlNet for `xl_unet`, whose output layers are not zero."""
    from diffusers.models.controlnets.controlnet import ControlNetModel

    control = ControlNetModel(
        block_out_channels=(32, 64, 64),
        layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        transformer_layers_per_block=(1, 1, 2),
        cross_attention_dim=context,
        attention_head_dim=(2, 4, 4),
        use_linear_projection=True,
        addition_embed_type="text_time",
        addition_time_embed_dim=TIMES,
        projection_class_embeddings_input_dim=6 * TIMES + pooled,
        conditioning_embedding_out_channels=(16, 32, 32, 32),
    )
    for parameter in control.parameters():
        if not torch.count_nonzero(parameter):
            torch.nn.init.normal_(parameter, std=0.05)
    return control.eval().requires_grad_(False)


def vae() -> Any:
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL

    return AutoencoderKL(
        block_out_channels=(32, 32, 32, 32),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        latent_channels=4,
        scaling_factor=0.13025,
        force_upcast=False,
    )


def write_xl(base: Path, tokenizer_files: tuple[Path, Path], tokenizer_json: str, *, refiner: bool = False) -> Tiny:
    """A checkpoint in the original layout, and its parts in files of their own."""
    torch.manual_seed(5)
    words = json.loads(tokenizer_json)["model"]["vocab"]
    first, second = text_tower(len(words), 32, 3, "quick_gelu"), text_tower(len(words), 48, 3, "gelu", projection=40)
    context = 48 if refiner else 80
    modules = {
        "unet": xl_unet(context, 40, sizes=5 if refiner else 6),
        "vae": vae(),
        "text_encoder": first,
        "text_encoder_2": second,
    }
    modules = {name: module.eval().requires_grad_(False) for name, module in modules.items()}
    tiny = Tiny(base, modules, clip_tokenizers(tokenizer_files))
    facts = {
        "family": "sdxl_refiner" if refiner else "sdxl",
        "unet": {"heads": [2, 4, 4], "size_width": TIMES},
        "vae": {"norm_groups": 32},
        "text": {"heads": 2},
        "text_2": {"heads": 2},
    }
    metadata = {"safelight.config": json.dumps(facts), "safelight.tokenizer": tokenizer_json}
    unet = modules["unet"]
    tensors = sd_keys.unet_to_original(unet.state_dict(), unet.config)
    tensors |= sd_keys.vae_to_original(modules["vae"].state_dict(), modules["vae"].config)
    second_prefix = "conditioner.embedders.0.model." if refiner else "conditioner.embedders.1.model."
    tensors |= sd_keys.text_to_open_clip(second.state_dict(), second_prefix)
    if not refiner:
        tensors |= sd_keys.text_to_original(first.state_dict(), prefix="conditioner.embedders.0.transformer.")
    save(tiny.file("checkpoints", "xl.safetensors"), tensors, metadata)
    towers = {name: json.dumps({"text": {"heads": 2}}) for name in ("clip_l", "clip_g")}
    for name, module in (("clip_l", first), ("clip_g", second)):
        told = {"safelight.config": towers[name], "safelight.tokenizer": tokenizer_json}
        save(
            tiny.file("text_encoders", f"{name}.safetensors"),
            sd_keys.text_to_original(module.state_dict(), prefix=""),
            told,
        )
    return tiny


def t5_tokenizer() -> Any:
    """A unigram tokenizer as T5's: pad 0, end 1, unknown 2, pieces that begin words with a bar; no token opens a row."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

    letters = [(letter, -5.0) for letter in "abcdefghijklmnopqrstuvwxyz▁.,"]
    words = [(f"▁{word}", -2.0) for word in ("a", "the", "red", "blue", "apple", "tree", "photo", "of", "on", "dog")]
    tokenizer = Tokenizer(models.Unigram([("<pad>", 0.0), ("</s>", 0.0), ("<unk>", -9.0), *letters, *words], unk_id=2))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()])
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.add_special_tokens(["<pad>", "</s>", "<unk>"])
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    return tokenizer


def flux_transformer(*, guidance: bool, in_channels: int = 64) -> Any:
    from diffusers.models.transformers.transformer_flux import FluxTransformer2DModel

    return FluxTransformer2DModel(
        in_channels=in_channels,
        out_channels=64,
        num_layers=2,
        num_single_layers=2,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=24,
        pooled_projection_dim=32,
        guidance_embeds=guidance,
        axes_dims_rope=(2, 6, 8),
    )


def flux_to_original(state: dict[str, Any], prefix: str) -> dict[str, Any]:
    """FLUX.1's own names, worked out from the library's converter's direction: fused rows, shift before scale."""
    from engine.models.networks.flux_sizes import paths

    config = {"num_layers": 2, "num_single_layers": 2}
    original: dict[str, Any] = {}
    for ours, theirs in paths(config).items():
        for kind in ("weight", "bias"):
            if (name := f"{ours}.{kind}") in state:
                value = state[name]
                original[f"{prefix}{theirs}.{'scale' if '_norm' in theirs else kind}"] = value
    for kind in ("weight", "bias"):
        scale, shift = state[f"norm_out.linear.{kind}"].chunk(2)
        original[f"{prefix}final_layer.adaLN_modulation.1.{kind}"] = torch.cat([shift, scale])
    for i in range(2):
        double, single = f"transformer_blocks.{i}.attn.", f"single_transformer_blocks.{i}."
        fused = {
            f"double_blocks.{i}.img_attn.qkv": [f"{double}to_{part}" for part in "qkv"],
            f"double_blocks.{i}.txt_attn.qkv": [f"{double}add_{part}_proj" for part in "qkv"],
            f"single_blocks.{i}.linear1": [*(f"{single}attn.to_{part}" for part in "qkv"), f"{single}proj_mlp"],
        }
        for theirs, parts in fused.items():
            for kind in ("weight", "bias"):
                original[f"{prefix}{theirs}.{kind}"] = torch.cat([state[f"{part}.{kind}"] for part in parts])
    return original


def flux_vae(scale: float = 0.3611, shift: float = 0.1159) -> Any:
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL

    return AutoencoderKL(
        block_out_channels=(32, 32, 32, 32),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        latent_channels=16,
        scaling_factor=scale,
        shift_factor=shift,
        use_quant_conv=False,
        use_post_quant_conv=False,
        force_upcast=False,
    )


def t5(width: int) -> Any:
    """A tiny T5 encoder, and nothing of a decoder."""
    from transformers import T5Config, T5EncoderModel

    sizes = {"d_kv": 8, "d_ff": 32, "num_layers": 2, "num_heads": 3, "feed_forward_proj": "gated-gelu"}
    return T5EncoderModel(T5Config(vocab_size=t5_tokenizer().get_vocab_size(), d_model=width, **sizes))


def t5_tensors(module: Any) -> dict[str, Any]:
    """As files have it: the table of tokens once."""
    return {name: value for name, value in module.state_dict().items() if name != "encoder.embed_tokens.weight"}


def t5_words(length: int) -> Any:
    """T5's tokenizer as the pipelines have it."""
    from transformers import PreTrainedTokenizerFast

    told = {"pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
    return PreTrainedTokenizerFast(tokenizer_object=t5_tokenizer(), model_max_length=length, **told)


def write_tokenizers(base: Path, clip_json: str) -> None:
    """Into the folders in which they are looked for."""
    for name, text in (("clip", clip_json), ("t5", t5_tokenizer().to_str())):
        folder = base / "models" / "text_encoders" / name
        folder.mkdir(parents=True)
        (folder / "tokenizer.json").write_text(text)


def write_flux(
    base: Path, clip_files: tuple[Path, Path], clip_json: str, *, guidance: bool = True, in_channels: int = 64
) -> Tiny:
    """An all-in-one checkpoint in the original layout, and every part in a file of its own."""
    torch.manual_seed(6)
    words = len(json.loads(clip_json)["model"]["vocab"])
    modules = {
        "transformer": flux_transformer(guidance=guidance, in_channels=in_channels),
        "vae": flux_vae(),
        "text_encoder": text_tower(words, 32, 2, "quick_gelu"),
        "text_encoder_2": t5(24),
    }
    modules = {name: module.eval().requires_grad_(False) for name, module in modules.items()}
    tokenizers = clip_tokenizers(clip_files) | {"tokenizer_2": t5_words(256)}
    tiny = Tiny(base, modules, tokenizers)
    write_tokenizers(base, clip_json)
    heads = json.dumps({"unet": {"axes": [2, 6, 8]}, "vae": {"norm_groups": 32}, "text": {"heads": 2}})
    metadata = {"safelight.config": heads, "safelight.tokenizer": clip_json}
    transformer = flux_to_original(modules["transformer"].state_dict(), "")
    parts = {
        "model.diffusion_model.": transformer,
        "vae.": sd_keys.vae_to_original(modules["vae"].state_dict(), modules["vae"].config, ""),
        "text_encoders.clip_l.transformer.": sd_keys.text_to_original(modules["text_encoder"].state_dict(), prefix=""),
        "text_encoders.t5xxl.transformer.": t5_tensors(modules["text_encoder_2"]),
    }
    whole = {f"{prefix}{name}": value for prefix, tensors in parts.items() for name, value in tensors.items()}
    save(tiny.file("checkpoints", "flux.safetensors"), whole, {"safelight.config": heads})
    save(tiny.file("diffusion_models", "flux.safetensors"), transformer, metadata)
    save(tiny.file("vae", "ae.safetensors"), parts["vae."], metadata)
    save(tiny.file("text_encoders", "clip_l.safetensors"), parts["text_encoders.clip_l.transformer."], metadata)
    save(tiny.file("text_encoders", "t5xxl.safetensors"), parts["text_encoders.t5xxl.transformer."])
    return tiny


def sd3_transformer(*, newer: bool, places: int = 12) -> Any:
    """`newer`: as 3.5 medium, with normed queries and keys and a second attention in the first block. `places`: of its table, a side."""
    from diffusers.models.transformers.transformer_sd3 import SD3Transformer2DModel

    return SD3Transformer2DModel(
        sample_size=16,
        patch_size=2,
        in_channels=16,
        num_layers=3,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=96,
        caption_projection_dim=32,
        pooled_projection_dim=72,
        out_channels=16,
        pos_embed_max_size=places,
        dual_attention_layers=(0,) if newer else (),
        qk_norm="rms_norm" if newer else None,
    )


def sd3_to_original(state: dict[str, Any], config: Any) -> dict[str, Any]:
    """Stable Diffusion 3's own names: stacked rows, and shift before scale where nothing follows."""
    from engine.models.networks.sd3_sizes import fused, paths

    original = {"pos_embed": state["pos_embed.pos_embed"]}
    for ours, theirs in paths(config).items():
        for kind in ("weight", "bias"):
            if f"{ours}.{kind}" in state:
                original[f"{theirs}.{kind}"] = state[f"{ours}.{kind}"]
    for theirs, parts in fused(config).items():
        for kind in ("weight", "bias"):
            values = [state[f"{part}.{kind}"] for part in parts]
            if len(values) == 1:
                scale, shift = values[0].chunk(2)
                values = [shift, scale]
            original[f"{theirs}.{kind}"] = torch.cat(values)
    return original


def write_sd3(base: Path, clip_files: tuple[Path, Path], clip_json: str, *, newer: bool, places: int = 12) -> Tiny:
    """An all-in-one checkpoint in the original layout, one without T5, and every part in a file of its own."""
    torch.manual_seed(7)
    words = len(json.loads(clip_json)["model"]["vocab"])
    first = text_tower(words, 32, 3, "quick_gelu", projection=32)
    torch.nn.init.eye_(first.text_projection.weight)  # as published: CLIP-L's pooled text is not projected
    modules = {
        "transformer": sd3_transformer(newer=newer, places=places),
        "vae": flux_vae(scale=1.5305, shift=0.0609),
        "text_encoder": first,
        "text_encoder_2": text_tower(words, 48, 3, "gelu", projection=40),
        "text_encoder_3": t5(96),
    }
    modules = {name: module.eval().requires_grad_(False) for name, module in modules.items()}
    tokenizers = clip_tokenizers(clip_files) | {"tokenizer_3": t5_words(77)}
    tiny = Tiny(base, modules, tokenizers)
    write_tokenizers(base, clip_json)
    towers = {
        "clip_l": {
            n: v for n, v in sd_keys.text_to_original(first.state_dict(), prefix="").items() if "projection" not in n
        },
        "clip_g": sd_keys.text_to_original(modules["text_encoder_2"].state_dict(), prefix=""),
        "t5xxl": t5_tensors(modules["text_encoder_3"]),
    }
    parts = {
        "model.diffusion_model.": sd3_to_original(modules["transformer"].state_dict(), modules["transformer"].config),
        "first_stage_model.": sd_keys.vae_to_original(modules["vae"].state_dict(), modules["vae"].config, ""),
    } | {f"text_encoders.{name}.transformer.": tensors for name, tensors in towers.items()}
    facts = {"unet": {"head_dim": 16}, "vae": {"norm_groups": 32}, "text": {"heads": 2}, "text_2": {"heads": 2}}
    told = {"safelight.config": json.dumps(facts)}
    whole = {f"{prefix}{name}": value for prefix, tensors in parts.items() for name, value in tensors.items()}
    save(tiny.file("checkpoints", "sd3.safetensors"), whole, told)
    save(tiny.file("checkpoints", "no_t5.safetensors"), {n: v for n, v in whole.items() if "t5xxl" not in n}, told)
    for name, tensors in towers.items():
        save(tiny.file("text_encoders", f"{name}.safetensors"), tensors, told)
    return tiny
