"""Tiny networks that see, of the library's classes with random weights, written into the folders in which loaders look."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from engine.models.manager import ModelManager
from engine.paths import Paths
from engine.testing import RecordingContext
from tests.conftest import _save as save


@dataclass
class Seeing:
    """A base directory of files of its own, and a context in it."""

    base: Path
    context: RecordingContext

    def file(
        self, folder: str, name: str, tensors: dict[str, torch.Tensor], config: dict[str, Any] | None = None
    ) -> str:
        """Write a file, with a config.json beside it where there is one."""
        path = self.base / "models" / folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        save(path, {key: value.clone().contiguous() for key, value in tensors.items()})
        if config is not None:
            path.with_name("config.json").write_text(json.dumps(config))
        return name


def seeing(base: Path) -> Seeing:
    """An empty base directory."""
    paths = Paths(base)
    for folder in ("diffusion_models", "checkpoints", "background_removal", "geometry_estimation", "detection"):
        (base / "models" / folder).mkdir(parents=True, exist_ok=True)
    context = RecordingContext()
    context.paths, context.models = paths, ModelManager("cpu", tokenizer_dirs=paths.folders("text_encoders"))
    return Seeing(base, context)


def random(module: nn.Module, seed: int = 5, scale: float = 1.0) -> nn.Module:
    """A module with weights that keep the size of what passes, and statistics of batches that are no constants."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        kept = module.state_dict()
        for name, value in [*module.named_parameters(), *module.named_buffers()]:
            if name not in kept or not value.is_floating_point():  # what it computes when it is made
                continue
            drawn = torch.randn(value.shape, generator=generator)
            if name.endswith("running_var"):
                value.copy_(drawn.abs() * 0.5 + 0.5)
            elif name.endswith("running_mean") or value.ndim < 2:
                value.copy_(0.1 * drawn + (name.endswith("weight") and "norm" in name))
            else:
                value.copy_(drawn * scale / max(1.0, value[0].numel()) ** 0.5)
    return module.eval()


def tiny_detector(kinds: int = 80) -> nn.Module:
    """D-FINE of a few channels and two layers."""
    from transformers import DFineConfig, DFineForObjectDetection, HGNetV2Config

    stages = {
        "stage_in_channels": [8, 8, 16, 16], "stage_mid_channels": [4, 4, 8, 8], "stage_out_channels": [8, 16, 16, 24],
        "stage_num_blocks": [1, 1, 2, 1], "stage_numb_of_layers": [2] * 4, "hidden_sizes": [8, 16, 16, 24], "depths": [1] * 4,
    }  # fmt: skip
    backbone = HGNetV2Config(stem_channels=[3, 8, 8], out_indices=[2, 3, 4], **stages)
    config = DFineConfig(
        backbone_config=backbone, encoder_hidden_dim=16, encoder_in_channels=[16, 16, 24], encoder_ffn_dim=32, d_model=16,
        encoder_attention_heads=2, num_queries=12, decoder_in_channels=[16] * 3, decoder_ffn_dim=24, decoder_layers=2,
        decoder_n_points=[3, 6, 3], decoder_attention_heads=2, num_denoising=0, num_labels=kinds, tie_word_embeddings=False,
    )  # fmt: skip
    module = DFineForObjectDetection(config)
    module.model.decoder.class_embed, module.model.decoder.bbox_embed = module.class_embed, module.bbox_embed
    computed = {name: value.clone() for name, value in module.named_buffers() if "num_points" in name}
    kept = {"model.decoder.up": 0.5, "model.decoder.reg_scale": 4.0}
    random(module)
    with torch.no_grad():
        for name, value in [*module.named_parameters(), *module.named_buffers()]:
            if name in kept or name in computed:
                value.copy_(computed.get(name, torch.tensor([kept.get(name, 0.0)])))
    return module


_BACK = [
    (r"^model\.backbone\.model\.embedder\.", "backbone.stem."),
    (r"^model\.backbone\.model\.encoder\.", "backbone."),
    (r"(^backbone\..*)\.convolution\.", r"\1.conv."),
    (r"(^backbone\..*)\.normalization\.", r"\1.bn."),
    (r"^model\.encoder_input_proj\.(\d)\.0", r"encoder.input_proj.\1.conv"),
    (r"^model\.encoder_input_proj\.(\d)\.1", r"encoder.input_proj.\1.norm"),
    (r"^model\.encoder\.aifi", "encoder.encoder"),
    (r"^model\.encoder\.", "encoder."),
    (r"(_blocks\.\d)\.conv([14])\.", r"\1.cv\2."),
    (r"(_blocks\.\d)\.conv([23])\.", r"\1.cv\2.1."),
    (r"(_blocks\.\d)\.csp_rep1\.", r"\1.cv2.0."),
    (r"(_blocks\.\d)\.csp_rep2\.", r"\1.cv3.0."),
    (r"(downsample_convs\.\d)\.conv([12])\.", r"\1.0.cv\2."),
    (r"^model\.enc_output\.0", "decoder.enc_output.proj"),
    (r"^model\.enc_output\.1", "decoder.enc_output.norm"),
    (r"^model\.enc_", "decoder.enc_"),
    (r"^model\.decoder\.(layers|lqe)", r"decoder.decoder.\1"),
    (r"^model\.decoder\.", "decoder."),
    (r"^class_embed", "decoder.dec_score_head"),
    (r"^bbox_embed", "decoder.dec_bbox_head"),
    (r"\.encoder_attn\.", ".cross_attn."),
    (r"\.self_attn_layer_norm", ".norm1"),
    (r"(decoder\.layers\.\d)\.final_layer_norm", r"\1.norm3"),
    (r"\.final_layer_norm", ".norm2"),
    (r"(layers\.\d)\.mlp\.layers\.0", r"\1.linear1"),
    (r"(layers\.\d)\.mlp\.layers\.1", r"\1.linear2"),
    (r"\.o_proj\.", ".out_proj."),
]


def in_names_of_dfine(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The tensors of a detector as D-FINE, DEIM and RT-DETRv4 write them."""
    found: dict[str, torch.Tensor] = {}
    for name, value in state.items():
        if name.startswith(("model.decoder.class_embed", "model.decoder.bbox_embed")):
            continue
        for pattern, place in _BACK:
            name = re.sub(pattern, place, name)
        if "q_proj" in name:
            others = [state_of(state, value, part) for part in "kv"]
            found[name.replace("q_proj.", "in_proj_")] = torch.cat([value, *others])
        elif not re.search("[kv]_proj", name):
            found[name] = value
    return found


def state_of(state: dict[str, torch.Tensor], query: torch.Tensor, part: str) -> torch.Tensor:
    """The key's or value's tensor beside a query's."""
    name = next(name for name, value in state.items() if value is query)
    return state[name.replace("q_proj", f"{part}_proj")]


def tiny_sam3(tokens: int = 1000) -> nn.Module:
    """SAM 3 with its tracker and its reader of texts, of a few channels, for pictures of 112 pixels."""
    from transformers.models.sam3_video.configuration_sam3_video import Sam3VideoConfig
    from transformers.models.sam3_video.modeling_sam3_video import Sam3VideoModel

    backbone = {
        "model_type": "sam3_vit_model", "hidden_size": 32, "intermediate_size": 40, "num_hidden_layers": 2,
        "num_attention_heads": 2, "image_size": 112, "patch_size": 14, "window_size": 4, "global_attn_indexes": [1],
        "pretrain_image_size": 56,
    }  # fmt: skip
    vision = {
        "model_type": "sam3_vision_model", "backbone_config": backbone, "fpn_hidden_size": 128,
        "backbone_feature_sizes": [[32, 32], [16, 16], [8, 8]],
    }  # fmt: skip
    text = {
        "model_type": "clip_text_model", "hidden_size": 24, "intermediate_size": 32, "num_hidden_layers": 2, "projection_dim": 24,
        "num_attention_heads": 2, "vocab_size": tokens, "max_position_embeddings": 32, "bos_token_id": 0, "eos_token_id": 1,
    }  # fmt: skip
    wide = {"hidden_size": 128, "num_attention_heads": 2, "intermediate_size": 48}
    detector = {
        "model_type": "sam3", "vision_config": vision, "text_config": text, "geometry_encoder_config": {**wide, "num_layers": 1},
        "detr_encoder_config": {**wide, "num_layers": 2}, "detr_decoder_config": {**wide, "num_layers": 2, "num_queries": 7},
        "mask_decoder_config": {"hidden_size": 128, "num_attention_heads": 2},
    }  # fmt: skip
    tracker = {
        "model_type": "sam3_tracker_video", "vision_config": vision, "image_size": 112, "num_maskmem": 3,
        "prompt_encoder_config": {"hidden_size": 128, "image_size": 112, "patch_size": 14, "mask_input_channels": 8},
        "mask_decoder_config": {
            "hidden_size": 128, "mlp_dim": 40, "num_attention_heads": 2, "iou_head_hidden_dim": 128,
        },
        "memory_attention_hidden_size": 128, "memory_attention_num_layers": 2, "memory_attention_rope_feat_sizes": [8, 8],
        "memory_attention_feed_forward_hidden_size": 40, "memory_encoder_hidden_size": 128, "memory_encoder_output_channels": 64,
        "mask_downsampler_embed_dim": 128, "memory_fuser_embed_dim": 128, "memory_fuser_intermediate_dim": 40,
    }  # fmt: skip
    config = Sam3VideoConfig(detector_config=detector, tracker_config=tracker, low_res_mask_size=32)
    module = Sam3VideoModel(config)
    return random(module, seed=11)


def write_detector(base: Path) -> None:
    """A detector in the names of D-FINE, `diffusion_models/detector.safetensors`."""
    _write(
        base / "models/diffusion_models/detector.safetensors",
        in_names_of_dfine(tiny_detector().state_dict()),
        {"heads": 2, "num_queries": 12, "act": "relu"},
    )


def write_sam3(base: Path) -> None:
    """SAM 3 with its vocabulary, `checkpoints/sam3.safetensors`, which tells its own sizes."""
    from tests.conftest import _tokenizer_json, _vocabulary, _write_tokenizer

    module: Any = tiny_sam3(len(_vocabulary()))
    text = _tokenizer_json(_write_tokenizer(base / "vocabulary"))
    _write(base / "models/checkpoints/sam3.safetensors", module.state_dict(), module.config.to_dict(), text)


def _write(path: Path, tensors: dict[str, torch.Tensor], told: dict[str, Any], vocabulary: str = "") -> None:
    from safetensors.torch import save_file

    path.parent.mkdir(parents=True, exist_ok=True)
    facts = {
        "safelight.config": json.dumps({"perception": told}),
        **({"safelight.tokenizer": vocabulary} if vocabulary else {}),
    }
    save_file({name: value.contiguous().clone() for name, value in tensors.items()}, path, facts)
