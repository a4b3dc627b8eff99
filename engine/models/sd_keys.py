"""Tensor names of Stable Diffusion 1, 2 and XL: original single-file layout <-> module names of diffusers and transformers.

Nothing here depends on full-size widths: the tables are derived from the number of levels, the residual blocks per
level and where attention stands, all read off the `config` (a diffusers / transformers config, or a mapping with the
same fields). `config` fields used:

- U-Net, ControlNet: `down_block_types`, `up_block_types`, `layers_per_block`, `mid_block_type`, `class_embed_type`,
  `num_class_embeds`
- VAE: `down_block_types` (or `block_out_channels`), `layers_per_block`
- text encoder: none

`*_to_original` takes a module's `state_dict()` and returns original names with the prefix that a single-file checkpoint
has; `*_to_diffusers` takes tensors with or without that prefix (others are ignored when the prefix is present) and
returns what `load_state_dict` wants. Values are views of the input tensors wherever the layout allows it: nothing is
copied but the query/key/value rows that open_clip stores stacked (only when writing).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

UNET_PREFIX = "model.diffusion_model."
VAE_PREFIX = "first_stage_model."
CLIP_PREFIX = "cond_stage_model.transformer."
OPEN_CLIP_PREFIX = "cond_stage_model.model."
CONTROLNET_PREFIX = "control_model."
DIFFERENCE = "difference"
"""A tensor of ControlNets that are kept as the difference to the U-Net that they were copied from."""


_RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}
_EMBEDDINGS = {
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "conv_in": "input_blocks.0.0",
    "add_embedding.linear_1": "label_emb.0.0",
    "add_embedding.linear_2": "label_emb.0.2",
}
_VAE_ENDS = {"conv_in": "conv_in", "conv_norm_out": "norm_out", "conv_out": "conv_out"}
_VAE_RESNET = {"norm1": "norm1", "conv1": "conv1", "norm2": "norm2", "conv2": "conv2", "conv_shortcut": "nin_shortcut"}
_VAE_ATTENTION = {"group_norm": "norm", "to_q": "q", "to_k": "k", "to_v": "v", "to_out.0": "proj_out"}
_VAE_OLD_NAMES = {".query.": ".to_q.", ".key.": ".to_k.", ".value.": ".to_v.", ".proj_attn.": ".to_out.0."}
_OPEN_CLIP_LAYER = {
    "layer_norm1": "ln_1",
    "layer_norm2": "ln_2",
    "self_attn.out_proj": "attn.out_proj",
    "mlp.fc1": "mlp.c_fc",
    "mlp.fc2": "mlp.c_proj",
}


# --- U-Net and ControlNet -------------------------------------------------------------------------------------------


def unet_names(config: Mapping[str, Any]) -> dict[str, str]:
    """Return {module path in diffusers: module path in the original layout} for every block that holds weights."""
    names = _EMBEDDINGS | _classes(config) | {"conv_norm_out": "out.0", "conv_out": "out.2"}
    names |= _down_names(config) | _mid_names(config) | _up_names(config)
    return names


def _classes(config: Mapping[str, Any]) -> dict[str, str]:
    """The embedding of a class, or of a vector in its place, where a U-Net takes one."""
    if config.get("class_embed_type") == "projection":
        return {"class_embedding.linear_1": "label_emb.0.0", "class_embedding.linear_2": "label_emb.0.2"}
    return {"class_embedding": "label_emb"} if config.get("num_class_embeds") else {}


def controlnet_names(config: Mapping[str, Any], hint_blocks: int = 6) -> dict[str, str]:
    """As `unet_names`, for a ControlNet with `hint_blocks` convolutions between the ends of its hint encoder."""
    down = _down_names(config)
    names = dict(_EMBEDDINGS) | down | _mid_names(config)
    inputs = 1 + len({original.split(".")[1] for original in down.values()})
    names |= {f"controlnet_down_blocks.{i}": f"zero_convs.{i}.0" for i in range(inputs)}
    names |= {"controlnet_mid_block": "middle_block_out.0", "controlnet_cond_embedding.conv_in": "input_hint_block.0"}
    names |= {f"controlnet_cond_embedding.blocks.{i}": f"input_hint_block.{2 * i + 2}" for i in range(hint_blocks)}
    names["controlnet_cond_embedding.conv_out"] = f"input_hint_block.{2 * hint_blocks + 2}"
    return names


def _layers(config: Mapping[str, Any]) -> list[int]:
    per_block = config["layers_per_block"]
    levels = len(config["down_block_types"])
    return [int(per_block)] * levels if isinstance(per_block, int) else [int(n) for n in per_block]


def _down_names(config: Mapping[str, Any]) -> dict[str, str]:
    names: dict[str, str] = {}
    index, layers = 1, _layers(config)
    for level, kind in enumerate(config["down_block_types"]):
        for layer in range(layers[level]):
            names |= _resnet_names(f"down_blocks.{level}.resnets.{layer}", f"input_blocks.{index}.0")
            if "Attn" in kind:
                names[f"down_blocks.{level}.attentions.{layer}"] = f"input_blocks.{index}.1"
            index += 1
        if level + 1 < len(layers):
            names[f"down_blocks.{level}.downsamplers.0.conv"] = f"input_blocks.{index}.0.op"
            index += 1
    return names


def _mid_names(config: Mapping[str, Any]) -> dict[str, str]:
    names = _resnet_names("mid_block.resnets.0", "middle_block.0")
    if "Attn" not in str(config.get("mid_block_type", "UNetMidBlock2DCrossAttn")):
        return names | _resnet_names("mid_block.resnets.1", "middle_block.1")
    names["mid_block.attentions.0"] = "middle_block.1"
    return names | _resnet_names("mid_block.resnets.1", "middle_block.2")


def _up_names(config: Mapping[str, Any]) -> dict[str, str]:
    names: dict[str, str] = {}
    index, layers = 0, _layers(config)[::-1]
    for level, kind in enumerate(config["up_block_types"]):
        for layer in range(layers[level] + 1):
            names |= _resnet_names(f"up_blocks.{level}.resnets.{layer}", f"output_blocks.{index}.0")
            if "Attn" in kind:
                names[f"up_blocks.{level}.attentions.{layer}"] = f"output_blocks.{index}.1"
            index += 1
        if level + 1 < len(layers):
            slot = 2 if "Attn" in kind else 1
            names[f"up_blocks.{level}.upsamplers.0.conv"] = f"output_blocks.{index - 1}.{slot}.conv"
    return names


def _resnet_names(diffusers: str, original: str) -> dict[str, str]:
    return {f"{diffusers}.{ours}": f"{original}.{theirs}" for ours, theirs in _RESNET.items()}


def unet_to_original(
    state: Mapping[str, Tensor], config: Mapping[str, Any], prefix: str = UNET_PREFIX
) -> dict[str, Tensor]:
    """Rename the `state_dict()` of a UNet2DConditionModel; raises KeyError for a tensor this family does not have."""
    return _renamed(state, unet_names(config), prefix)


def unet_to_diffusers(
    state: Mapping[str, Tensor], config: Mapping[str, Any], prefix: str = UNET_PREFIX
) -> dict[str, Tensor]:
    """Rename original U-Net tensors for UNet2DConditionModel; names without a counterpart are kept as they are."""
    return _renamed_back(without_prefix(state, prefix), unet_names(config))


def controlnet_to_original(
    state: Mapping[str, Tensor], config: Mapping[str, Any], prefix: str = CONTROLNET_PREFIX
) -> dict[str, Tensor]:
    """Rename the `state_dict()` of a ControlNetModel; raises KeyError for a tensor this family does not have."""
    hints = len({name.split(".")[2] for name in state if name.startswith("controlnet_cond_embedding.blocks.")})
    return _renamed(state, controlnet_names(config, hints), prefix)


def controlnet_to_diffusers(
    state: Mapping[str, Tensor], config: Mapping[str, Any], prefix: str = CONTROLNET_PREFIX
) -> dict[str, Tensor]:
    """Rename original ControlNet tensors (with `control_model.` or bare) for ControlNetModel."""
    bare = without_prefix(state, prefix)
    hints = len({name.split(".")[1] for name in bare if name.startswith("input_hint_block.")}) - 2
    return _renamed_back(bare, controlnet_names(config, max(hints, 0)))


# --- VAE ------------------------------------------------------------------------------------------------------------


def vae_names(config: Mapping[str, Any]) -> dict[str, str]:
    """Return {module path in AutoencoderKL: module path in the original layout}."""
    levels = len(config.get("block_out_channels") or config["down_block_types"])
    layers = int(config["layers_per_block"])
    names = {"quant_conv": "quant_conv", "post_quant_conv": "post_quant_conv"}
    for half in ("encoder", "decoder"):
        names |= {f"{half}.{ours}": f"{half}.{theirs}" for ours, theirs in _VAE_ENDS.items()}
        for i in range(2):
            names |= _vae_resnet(f"{half}.mid_block.resnets.{i}", f"{half}.mid.block_{i + 1}")
        attention = f"{half}.mid_block.attentions.0", f"{half}.mid.attn_1"
        names |= {f"{attention[0]}.{ours}": f"{attention[1]}.{theirs}" for ours, theirs in _VAE_ATTENTION.items()}
    for level in range(levels):
        down, up, mirrored = f"encoder.down_blocks.{level}", f"decoder.up_blocks.{level}", levels - 1 - level
        for i in range(layers):
            names |= _vae_resnet(f"{down}.resnets.{i}", f"encoder.down.{level}.block.{i}")
        for i in range(layers + 1):
            names |= _vae_resnet(f"{up}.resnets.{i}", f"decoder.up.{mirrored}.block.{i}")
        names[f"{down}.downsamplers.0.conv"] = f"encoder.down.{level}.downsample.conv"
        names[f"{up}.upsamplers.0.conv"] = f"decoder.up.{mirrored}.upsample.conv"
    return names


def _vae_resnet(diffusers: str, original: str) -> dict[str, str]:
    return {f"{diffusers}.{ours}": f"{original}.{theirs}" for ours, theirs in _VAE_RESNET.items()}


def vae_to_original(
    state: Mapping[str, Tensor], config: Mapping[str, Any], prefix: str = VAE_PREFIX
) -> dict[str, Tensor]:
    """Rename the `state_dict()` of an AutoencoderKL; its attention matrices become 1x1 convolutions (C, C, 1, 1)."""
    renamed = _renamed(vae_modern_names(state), vae_names(config), prefix)
    return {name: _as_conv(value) if _is_vae_projection(name) else value for name, value in renamed.items()}


def vae_to_diffusers(
    state: Mapping[str, Tensor], config: Mapping[str, Any], prefix: str = VAE_PREFIX
) -> dict[str, Tensor]:
    """Rename original VAE tensors (or old diffusers ones: query, key, value, proj_attn) for AutoencoderKL."""
    renamed = _renamed_back(vae_modern_names(without_prefix(state, prefix)), vae_names(config))
    return {name: _as_linear(value) if _is_vae_projection(name) else value for name, value in renamed.items()}


def vae_modern_names(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename the attention of diffusers VAEs older than 0.15; other names pass."""
    return {_modern_vae_name(name): value for name, value in state.items()}


def _modern_vae_name(name: str) -> str:
    for old, new in _VAE_OLD_NAMES.items():
        name = name.replace(old, new) if ".attentions." in name else name
    return name


def _is_vae_projection(name: str) -> bool:
    return (
        re.search(r"\.(mid\.attn_1\.(q|k|v|proj_out)|attentions\.0\.(to_q|to_k|to_v|to_out\.0))\.weight$", name)
        is not None
    )


def _as_conv(weight: Tensor) -> Tensor:
    return weight[:, :, None, None] if weight.ndim == 2 else weight


def _as_linear(weight: Tensor) -> Tensor:
    return weight.reshape(weight.shape[0], weight.shape[1]) if weight.ndim > 2 else weight


# --- text encoder ---------------------------------------------------------------------------------------------------


def text_to_original(
    state: Mapping[str, Tensor], config: Mapping[str, Any] | None = None, prefix: str = CLIP_PREFIX
) -> dict[str, Tensor]:
    """Rename the `state_dict()` of a CLIPTextModel (with or without its `text_model.` level) for Stable Diffusion 1."""
    return {
        f"{prefix}{_with_text_model(name)}": value for name, value in state.items() if not name.endswith("position_ids")
    }


def text_to_diffusers(
    state: Mapping[str, Tensor], config: Mapping[str, Any] | None = None, prefix: str | None = None
) -> dict[str, Tensor]:
    """Rename text encoder tensors to `text_model.*` (+ `text_projection.weight`).

    Takes the names of Stable Diffusion 1 (`cond_stage_model.transformer.`), of open_clip as Stable Diffusion 2 has them
    (`cond_stage_model.model.`, stacked query/key/value rows split), or bare ones; `prefix` overrides these two.
    """
    for known in (prefix,) if prefix is not None else (OPEN_CLIP_PREFIX, CLIP_PREFIX):
        if any(name.startswith(known) for name in state):
            state = without_prefix(state, known)
            break
    if is_open_clip(state):
        return open_clip_to_diffusers(state)
    return {_with_text_model(name): value for name, value in state.items() if not name.endswith("position_ids")}


def without_text_model(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Drop the `text_model.` level, which CLIPTextModel lost in transformers 5."""
    return {name.removeprefix("text_model."): value for name, value in state.items()}


def is_open_clip(names: Iterable[str]) -> bool:
    """Tell open_clip's naming (prefix removed) from that of transformers."""
    return any(name.startswith(("transformer.resblocks.", "positional_embedding")) for name in names)


def open_clip_to_diffusers(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename open_clip's text tower (no prefix); (3D, D) `in_proj` becomes three (D, D) views."""
    renamed: dict[str, Tensor] = {}
    for name, value in state.items():
        renamed |= from_open_clip(name, value)
    return renamed


def text_to_open_clip(state: Mapping[str, Tensor], prefix: str = OPEN_CLIP_PREFIX) -> dict[str, Tensor]:
    """Rename the `state_dict()` of a CLIPTextModel[WithProjection] to open_clip's names (Stable Diffusion 2)."""
    import torch

    tower = {_with_text_model(name): value for name, value in state.items() if not name.endswith("position_ids")}
    renamed: dict[str, Tensor] = {}
    for name, value in tower.items():
        if ".k_proj." in name or ".v_proj." in name:
            continue
        if ".q_proj." in name:
            rows = [tower[name.replace(".q_proj.", f".{part}_proj.")] for part in "qkv"]
            renamed[prefix + _to_open_clip(name.replace(".q_proj.", ".in_proj_"))] = torch.cat(rows)
        elif name == "text_projection.weight":
            renamed[f"{prefix}text_projection"] = value.T
        else:
            renamed[prefix + _to_open_clip(name)] = value
    return renamed


_OPEN_CLIP_ENDS = {
    "text_model.embeddings.token_embedding.weight": "token_embedding.weight",
    "text_model.embeddings.position_embedding.weight": "positional_embedding",
    "text_model.final_layer_norm.weight": "ln_final.weight",
    "text_model.final_layer_norm.bias": "ln_final.bias",
}
_OPEN_CLIP_ENDS_BACK = {theirs: ours for ours, theirs in _OPEN_CLIP_ENDS.items()}


def _to_open_clip(name: str) -> str:
    if name in _OPEN_CLIP_ENDS:
        return _OPEN_CLIP_ENDS[name]
    name = name.replace("text_model.encoder.layers.", "transformer.resblocks.").replace(
        ".self_attn.in_proj_", ".attn.in_proj_"
    )
    for ours, theirs in _OPEN_CLIP_LAYER.items():
        name = name.replace(f".{ours}.", f".{theirs}.")
    return name


def from_open_clip(name: str, value: Tensor) -> dict[str, Tensor]:
    """Return one of open_clip's tensors (no prefix) under `text_model.*`, stacked rows as three; {} for another's."""
    if name in _OPEN_CLIP_ENDS_BACK:
        return {_OPEN_CLIP_ENDS_BACK[name]: value}
    if name == "text_projection":
        return {"text_projection.weight": value.T}
    if not name.startswith("transformer.resblocks."):
        return {}
    name = name.replace("transformer.resblocks.", "text_model.encoder.layers.")
    if ".attn.in_proj_" in name:
        width = value.shape[0] // 3
        names = [name.replace(".attn.in_proj_", f".self_attn.{part}_proj.") for part in "qkv"]
        return {name: value[i * width : (i + 1) * width] for i, name in enumerate(names)}
    for ours, theirs in _OPEN_CLIP_LAYER.items():
        name = name.replace(f".{theirs}.", f".{ours}.")
    return {name: value}


def _with_text_model(name: str) -> str:
    return name if name.startswith(("text_model.", "text_projection.")) else f"text_model.{name}"


# --- renaming -------------------------------------------------------------------------------------------------------


def without_prefix(state: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Keep the tensors under `prefix`, without it; when none has it, all of them."""
    stripped = {name[len(prefix) :]: value for name, value in state.items() if name.startswith(prefix)}
    return stripped or dict(state)


def renamer(names: Mapping[str, str]) -> Callable[[str], str | None]:
    """Return a function from a tensor name to its new name by the longest module path in `names`, or None."""

    def rename(name: str) -> str | None:
        path = name
        while path:
            if path in names:
                return names[path] + name[len(path) :]
            path = path.rpartition(".")[0]
        return None

    return rename


def _renamed(state: Mapping[str, Tensor], names: Mapping[str, str], prefix: str) -> dict[str, Tensor]:
    rename = renamer(names)
    renamed = {}
    for name, value in state.items():
        new = rename(name)
        if new is None:
            raise KeyError(f"{name!r} has no name in the Stable Diffusion 1/2 layout for a config of this depth")
        renamed[prefix + new] = value
    return renamed


def _renamed_back(state: Mapping[str, Tensor], names: Mapping[str, str]) -> dict[str, Tensor]:
    rename = renamer({original: ours for ours, original in names.items()})
    return {rename(name) or name: value for name, value in state.items()}
