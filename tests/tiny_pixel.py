"""Tiny networks without text, or of pictures themselves, with random weights, as people have them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from engine.models import sd_keys, vision_names
from tests.conftest import Bench
from tests.families import Tiny, clip_tokenizers, save, text_tower, vae

CLASSES = {"0": "tench, Tinca tinca", "1": "goldfish, Carassius auratus", "2": "great white shark, white shark"}


def bench_of(base: Path) -> Bench:
    from engine.models.manager import ModelManager
    from engine.paths import Paths

    return Bench(ModelManager("cpu", tokenizer_dirs=[base / "models" / "text_encoders"]), Paths(base))


def ddpm_unet(**told: Any) -> Any:
    """As Google's, with one level of attention."""
    from diffusers.models.unets.unet_2d import UNet2DModel

    usual: dict[str, Any] = {
        "sample_size": 16,
        "block_out_channels": (32, 64),
        "layers_per_block": 1,
        "down_block_types": ("DownBlock2D", "AttnDownBlock2D"),
        "up_block_types": ("AttnUpBlock2D", "UpBlock2D"),
        "attention_head_dim": None,
        "flip_sin_to_cos": False,
        "freq_shift": 1,
        "norm_eps": 1e-6,
        "downsample_padding": 0,
    }
    return UNet2DModel(**(usual | told)).eval().requires_grad_(False)


def write_folder(folder: Path, parts: dict[str, Any], index: dict[str, Any], scheduler: dict[str, Any]) -> Path:
    """A folder of the library's; a part called "" lies beside the index, as in Google's of DDPM, and so does its scheduler."""
    for name, part in parts.items():
        config = part.config.to_dict() if hasattr(part.config, "to_dict") else dict(part.config)
        place = folder / name
        place.mkdir(parents=True, exist_ok=True)
        (place / "config.json").write_text(json.dumps(config, default=str))
        file = "model" if name.startswith("text_encoder") else "diffusion_pytorch_model"
        save(place / f"{file}.safetensors", part.state_dict())
    (folder / "model_index.json").write_text(json.dumps(index))
    place = folder if "" in parts else folder / "scheduler"
    place.mkdir(exist_ok=True)
    (place / "scheduler_config.json").write_text(json.dumps(scheduler))
    return folder


def dit_transformer(**told: Any) -> Any:
    from diffusers.models.transformers.dit_transformer_2d import DiTTransformer2DModel

    usual = {
        "num_attention_heads": 2,
        "attention_head_dim": 16,
        "in_channels": 4,
        "out_channels": 8,
        "num_layers": 2,
        "sample_size": 8,
        "num_embeds_ada_norm": 1000,
    }
    return DiTTransformer2DModel(**(usual | told))


def dit_to_original(state: dict[str, Any], config: Any) -> dict[str, Any]:
    """DiT's own names: stacked rows, and once what the library has in every block."""
    from engine.models.networks.dit_sizes import _SHARED, fused, paths

    original: dict[str, Any] = {}
    for ours, theirs in paths(config).items():
        for kind in ("weight", "bias"):
            original[f"{theirs}.{kind}"] = state[f"{ours}.{kind}"]
    for theirs, parts in fused(config).items():
        for kind in ("weight", "bias"):
            original[f"{theirs}.{kind}"] = torch.cat([state[f"{part}.{kind}"] for part in parts])
    for ours, theirs in _SHARED.items():
        for kind in ("weight", "bias"):
            if (name := f"transformer_blocks.0.{ours}.{kind}") in state:
                original[f"{theirs}.{kind}"] = state[name]
    return original | {
        "pos_embed": state["pos_embed.proj.bias"].new_zeros(1, 16, state["pos_embed.proj.bias"].shape[0])
    }


def dit_parts() -> dict[str, Any]:
    """A transformer whose blocks share their embeddings, as trained ones do, and a VAE."""
    torch.manual_seed(21)
    transformer = dit_transformer()
    first = transformer.transformer_blocks[0].norm1.emb.state_dict()
    for block in transformer.transformer_blocks:
        block.norm1.emb.load_state_dict(first)
    made = vae()
    made.register_to_config(scaling_factor=0.18215)
    return {"transformer": transformer.eval().requires_grad_(False), "vae": made.eval().requires_grad_(False)}


def classed_unet(**told: Any) -> Any:
    """A U-Net of Stable Diffusion 2 with an embedding of a class, or of a vector in its place."""
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

    usual: dict[str, Any] = {
        "sample_size": 16,
        "block_out_channels": (32, 64, 64),
        "layers_per_block": 1,
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        "cross_attention_dim": 48,
        "attention_head_dim": 8,
        "use_linear_projection": True,
    }
    return UNet2DConditionModel(**(usual | told))


UNCLIP: dict[str, Any] = {"class_embed_type": "projection", "projection_class_embeddings_input_dim": 64}
"""What CLIP sees is 32 wide, and so is the level of its noise."""


def vision_tower() -> Any:
    """A CLIP vision tower of two heads."""
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    config = CLIPVisionConfig(
        hidden_size=16,
        intermediate_size=32,
        projection_dim=32,
        num_hidden_layers=3,
        num_attention_heads=2,
        image_size=28,
        patch_size=14,
    )
    return CLIPVisionModelWithProjection(config).eval().requires_grad_(False)


def vision_to_open_clip(state: dict[str, Any], prefix: str) -> dict[str, Any]:
    """In the names in which checkpoints of unCLIP have it: stacked rows, the projection turned."""
    text = {
        name.replace("vision_model.", "text_model.", 1): value
        for name, value in state.items()
        if ".encoder.layers." in name
    }
    back = {f"vision_model.{ours}": theirs for theirs, ours in vision_names.ENDS.items()}
    ends = {f"{prefix}{back[name]}": value for name, value in state.items() if name in back}
    return sd_keys.text_to_open_clip(text, prefix) | ends | {f"{prefix}proj": state["visual_projection.weight"].T}


UPSCALER: dict[str, Any] = {"in_channels": 7, "num_class_embeds": 1000, "only_cross_attention": (True, True, False)}


def smaller_vae() -> Any:
    """Of three levels, as the upscaler's: a latent pixel is four pixels a side."""
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL

    return AutoencoderKL(
        block_out_channels=(32, 32, 32),
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        latent_channels=4,
        scaling_factor=0.08333,
        force_upcast=False,
    )


def write_sd2(
    base: Path, clip_files: tuple[Path, Path], clip_json: str, family: str, modules: dict[str, Any], **more: Any
) -> Tiny:
    """A checkpoint in the original layout, with open_clip's text encoder, and `more` tensors."""
    words = len(json.loads(clip_json)["model"]["vocab"])
    whole = text_tower(words, 48, 3, "gelu").state_dict()
    modules["text_encoder"] = text_tower(
        words, 48, 2, "gelu"
    )  # the library's leaves out the last layer, which is not used
    modules["text_encoder"].load_state_dict({name: whole[name] for name in modules["text_encoder"].state_dict()})
    modules = {name: module.eval().requires_grad_(False) for name, module in modules.items()}
    tokenizer = clip_tokenizers(clip_files)["tokenizer_2"]
    tiny = Tiny(base, modules, {"tokenizer": tokenizer})
    unet, decoder = modules["unet"], modules["vae"]
    tensors = sd_keys.unet_to_original(unet.state_dict(), unet.config)
    tensors |= sd_keys.vae_to_original(decoder.state_dict(), decoder.config)
    projection = {"text_projection.weight": torch.eye(48)}
    tensors |= sd_keys.text_to_open_clip(whole | projection, "cond_stage_model.model.")
    facts = {
        "family": family,
        "unet": {"heads": 8},
        "vae": {"norm_groups": 32},
        "text": {"heads": 2},
        "vision": {"heads": 2},
    }
    told = {"safelight.config": json.dumps(facts), "safelight.tokenizer": clip_json}
    save(tiny.file("checkpoints", f"{family}.safetensors"), tensors | more.get("tensors", {}), told)
    return tiny


class Given:
    """Noise as it is handed over; runs draw more by its seed."""

    def __init__(self, noise: torch.Tensor, seed: int) -> None:
        self.noise, self.seed = noise, seed

    def generate_noise(self, latent: dict[str, Any]) -> torch.Tensor:
        return self.noise


def descend(
    bench: Any, guider: Any, sampler: str, timesteps: list[int], noise: torch.Tensor, seed: int
) -> dict[str, torch.Tensor]:
    """The end of a run down a pipeline's timesteps, from the noise that it starts with, which is x_t at the first of them."""
    import math

    from engine.sampling.noise_schedule import NoiseSchedule
    from nodes.custom_sampling import ksampler_select, sampler_custom_advanced

    schedule = NoiseSchedule.of(guider.model.parameterization)
    levels = [schedule.sigma(t) for t in timesteps]
    scale = 1.0 if schedule.is_maximal(levels[0]) else math.sqrt(1.0 + levels[0] ** 2) / levels[0]
    empty = {"samples": torch.zeros_like(noise)}
    sigmas = torch.tensor([*levels, 0.0])
    return sampler_custom_advanced(
        bench, Given(noise * scale, seed), guider, ksampler_select(sampler), sigmas, empty
    ).output


def if_unet(*, second: bool) -> Any:
    """A U-Net of DeepFloyd IF's first stage, or of its second, which takes the small picture beside."""
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

    told: dict[str, Any] = {
        "sample_size": 32 if second else 16,
        "in_channels": 6 if second else 3,
        "out_channels": 6,
        "block_out_channels": (32, 64),
        "layers_per_block": 1,
        "down_block_types": ("ResnetDownsampleBlock2D", "SimpleCrossAttnDownBlock2D"),
        "mid_block_type": "UNetMidBlock2DSimpleCrossAttn",
        "up_block_types": ("SimpleCrossAttnUpBlock2D", "ResnetUpsampleBlock2D"),
        "attention_head_dim": 8,
        "cross_attention_dim": 32,
        "encoder_hid_dim": 24,
        "addition_embed_type": "text",
        "addition_embed_type_num_heads": 2,
        "cross_attention_norm": "group_norm",
        "resnet_time_scale_shift": "scale_shift",
        "act_fn": "gelu",
    }
    if second:
        told |= {
            "class_embed_type": "timestep",
            "only_cross_attention": True,
            "resnet_skip_time_act": True,
            "resnet_out_scale_factor": 1.41421,
            "mid_block_scale_factor": 1.41421,
        }
    return UNet2DConditionModel(**told).eval().requires_grad_(False)


def cascade_stage(*, second: bool) -> Any:
    """A network of Stable Cascade: stage C of two levels, or stage B of two, the second of which attends."""
    from diffusers.models.unets.unet_stable_cascade import StableCascadeUNet

    told: dict[str, Any] = {
        "in_channels": 4 if second else 16,
        "out_channels": 4 if second else 16,
        "timestep_ratio_embedding_dim": 16,
        "patch_size": 2 if second else 1,
        "conditioning_dim": 32,
        "block_out_channels": (16, 32) if second else (32, 32),
        "num_attention_heads": (-1, 4) if second else (4, 4),
        "down_num_layers_per_block": (1, 2),
        "up_num_layers_per_block": (2, 1),
        "down_blocks_repeat_mappers": (1, 1),
        "up_blocks_repeat_mappers": (2, 1) if second else (1, 1),
        "clip_text_pooled_in_channels": 40,
    }
    both = ["SDCascadeResBlock", "SDCascadeTimestepBlock"]
    if second:
        told |= {
            "block_types_per_layer": (both, [*both, "SDCascadeAttnBlock"]),
            "effnet_in_channels": 16,
            "pixel_mapper_in_channels": 3,
            "timestep_conditioning_type": ("sca",),
        }
    else:
        told |= {
            "block_types_per_layer": ([*both, "SDCascadeAttnBlock"],) * 2,
            "clip_text_in_channels": 48,
            "clip_image_in_channels": 32,
            "switch_level": (False,),
        }
    made = StableCascadeUNet(**told)
    for parameter in made.parameters():  # what starts at zero, the last layer among it, would hide all before it
        if not torch.count_nonzero(parameter):
            torch.nn.init.normal_(parameter, std=0.02)
    return made.eval().requires_grad_(False)


def cascade_to_original(state: dict[str, Any], *, second: bool) -> dict[str, Any]:
    """Stability's names: stacked rows of attention, and stage B's mapper called otherwise."""
    found: dict[str, Any] = {}
    for name, value in state.items():
        if ".attention.to_q." in name:
            rows = [state[name.replace("to_q", f"to_{part}")] for part in "qkv"]
            found[name.replace("to_q.", "attn.in_proj_")] = torch.cat(rows)
        elif ".attention.to_out.0." in name:
            found[name.replace("to_out.0", "attn.out_proj")] = value
        elif ".attention.to_" not in name:
            found[name.replace("clip_txt_pooled_mapper", "clip_mapper") if second else name] = value
    return found


def paella() -> Any:
    from diffusers.pipelines.deprecated.wuerstchen.modeling_paella_vq_model import PaellaVQModel

    made = PaellaVQModel(bottleneck_blocks=2, embed_dim=32, num_vq_embeddings=16, scale_factor=0.43)
    for name, parameter in made.named_parameters():
        if name.endswith("gammas"):
            torch.nn.init.normal_(parameter, std=0.3)
    return made.eval().requires_grad_(False)


def unet_lora(unet: Any) -> dict[str, Any]:
    """A LoRA in kohya's names, for the attention of a U-Net."""
    torch.manual_seed(3)
    tensors: dict[str, Any] = {}
    for name, linear in unet.named_modules():
        if isinstance(linear, torch.nn.Linear) and "attn" in name:
            key = f"lora_unet_{name.replace('.', '_')}"
            tensors[f"{key}.lora_down.weight"] = torch.randn(4, linear.in_features) * 0.2
            tensors[f"{key}.lora_up.weight"] = torch.randn(linear.out_features, 4) * 0.2
            tensors[f"{key}.alpha"] = torch.tensor(2.0)
    return tensors
