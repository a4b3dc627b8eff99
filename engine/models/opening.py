"""Files to handles: what a path holds, without loading any of it. Reads headers and configs only; no torch for safetensors.

A path is a single file (original or diffusers naming) or a diffusers folder.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from engine.datatypes.parameterization import Parameterization, Prediction, ScheduleKind
from engine.models import detect
from engine.models.checkpoints import (
    Component,
    Header,
    folder_component,
    is_diffusers_folder,
    read_header,
    read_json,
    spread,
)
from engine.models.detect import Detected, TextEncoderFacts
from engine.models.errors import CheckpointError, shortened
from engine.models.families import FAMILIES, SD1, Family
from engine.models.handles import (
    ClipHandle,
    ClipVisionHandle,
    ControlNetHandle,
    FileDigest,
    ModelHandle,
    Source,
    VaeHandle,
    digest_file,
)
from engine.models.sd_keys import CONTROLNET_PREFIX, UNET_PREFIX
from engine.models.tokenizer import tokenizer_file
from engine.models.vision_facts import vision_config

_OTHER_FAMILY = (
    "class_embed_type",
    "addition_embed_type",
    "encoder_hid_dim_type",
    "num_class_embeds",
    "time_embedding_dim",
)
_PREDICTIONS: dict[str, Prediction] = {"epsilon": "eps", "v_prediction": "v", "sample": "x0"}
_SCHEDULES: dict[str, ScheduleKind] = {
    "scaled_linear": "scaled_linear",
    "linear": "linear",
    "squaredcos_cap_v2": "cosine",
}


class Opened(NamedTuple):
    """The parts of a checkpoint; one that its file does not hold is None."""

    model: ModelHandle | None
    clip: ClipHandle | None
    vae: VaeHandle | None


def open_checkpoint(path: Path, files: FileDigest = digest_file) -> Opened:
    """Return the handles of a checkpoint file or diffusers folder. Raises CheckpointError, naming the file and what is wrong."""
    path = Path(path)
    if path.is_dir():
        return _open_folder(path, files)
    header = read_header(path)
    found = detect.detect(header.shapes, header.metadata, str(path), partial(spread, path))
    return _opened(found, *[Source(str(path), files(path))] * 3)


def _opened(found: Detected, unet: Source, text: Source, vae: Source, tokenizer: Source | None = None) -> Opened:
    family = found.family
    model = found.unet and ModelHandle(
        source=unet, family=family, config=found.unet, parameterization=found.parameterization, latent=found.latent
    )
    clip = found.text and _clip(text, family, found.text, tokenizer)
    return Opened(
        model or None,
        clip or None,
        VaeHandle(source=vae, family=family, config=found.vae, latent=found.latent) if found.vae else None,
    )


def _clip(source: Source, family: str, facts: TextEncoderFacts, tokenizer: Source | None = None) -> ClipHandle:
    return ClipHandle(
        source=source,
        family=family,
        config=facts.config,
        tokens=facts.tokens,
        tokenizer=tokenizer,
        stop_at=facts.stop_at,
        cut_layers=facts.cut_layers,
    )


def open_vae(path: Path, files: FileDigest = digest_file) -> VaeHandle:
    """Return the handle of a VAE: a file of its own, one inside a checkpoint, or a diffusers folder."""
    path = Path(path)
    if path.is_dir() and (path / "config.json").is_file():
        part = _required(folder_component(path, ""), path)
        facts = {"vae": _vae_hints(part.config)}
        header = read_header(part.weights)
        config, source = detect.vae_config(header.shapes, facts["vae"]), Source(str(part.weights), files(part.weights))
        latent = detect.latent_format(SD1, facts, None, config)
        return VaeHandle(source=source, family=SD1.name, config=config, latent=latent)
    vae = open_checkpoint(path, files).vae
    if vae is None:
        raise CheckpointError(f"{path}: holds no VAE. Expected decoder.* tensors, with or without first_stage_model.")
    return vae


def open_text_encoder(path: Path, files: FileDigest = digest_file) -> ClipHandle:
    """Return the handle of a text encoder: a file of its own, one inside a checkpoint, or a diffusers folder."""
    path = Path(path)
    if path.is_dir() and not is_diffusers_folder(path):
        part = _required(folder_component(path, ""), path)
        family = _text_family(part.config)
        facts = detect.text_facts(read_header(part.weights).shapes, _text_hints(part.config), family.text)
        return _clip(Source(str(part.weights), files(part.weights)), family.name, facts, _tokenizer(path, files))
    clip = open_checkpoint(path, files).clip
    if clip is None:
        raise CheckpointError(f"{path}: holds no text encoder. Expected text_model.* tensors.")
    beside = None if path.is_dir() or clip.tokenizer else _tokenizer(path.parent, files)
    return msgspec.structs.replace(clip, tokenizer=beside) if beside else clip


def open_denoiser(path: Path, files: FileDigest = digest_file) -> ModelHandle:
    """Return the handle of a U-Net: a file of its own, one inside a checkpoint, or a diffusers folder."""
    path = Path(path)
    header = None if path.is_dir() else read_header(path)
    if header is not None and "input_blocks.0.0.weight" in header.shapes:
        renamed = {f"{UNET_PREFIX}{name}": shape for name, shape in header.shapes.items()}
        source = Source(str(path), files(path))
        found = detect.detect(
            renamed, header.metadata, str(path), lambda name: spread(path, name.removeprefix(UNET_PREFIX))
        )
        model = _opened(found, source, source, source).model
    else:
        model = open_checkpoint(path, files).model
    if model is None:
        raise CheckpointError(f"{path}: holds no U-Net. Expected model.diffusion_model.* tensors.")
    return model


def open_controlnet(path: Path, files: FileDigest = digest_file) -> ControlNetHandle:
    """Return the handle of a ControlNet: original (`control_model.*` or bare) or diffusers naming, file or folder."""
    path = Path(path)
    part = folder_component(path, "") if path.is_dir() else None
    weights = part.weights if part else path
    header = read_header(weights)
    shapes = detect.part(header.shapes, CONTROLNET_PREFIX) or header.shapes
    if not any(name.startswith(("input_hint_block.", "controlnet_cond_embedding.")) for name in shapes):
        shown = shortened(list(header.shapes))
        raise CheckpointError(
            f"{weights}: not a ControlNet: expected input_hint_block.* or controlnet_cond_embedding.*, got {shown}."
        )
    if "label_emb.0.0.weight" in shapes or "add_embedding.linear_1.weight" in shapes:
        known = ", ".join(family.title for family in FAMILIES)
        raise CheckpointError(f"{weights}: a ControlNet of a family this version does not know. Known: {known}.")
    config = part.config if part else _config_beside(weights)
    hints = _unet_hints(config) if config else detect.metadata_facts(header.metadata, str(weights)).get("unet", {})
    try:
        family = detect.family_of_denoiser(shapes)
        kwargs = detect.controlnet_config(shapes, hints, family)
    except (KeyError, IndexError) as problem:
        raise CheckpointError(f"{weights}: looks like a ControlNet, but lacks tensor {problem}.") from problem
    return ControlNetHandle(source=Source(str(weights), files(weights)), family=family.name, config=kwargs)


def open_vision(path: Path, files: FileDigest = digest_file) -> ClipVisionHandle:
    """Return the handle of an image encoder: a file of its own in the naming of transformers, or a folder of theirs."""
    path = Path(path)
    part = folder_component(path, "") if path.is_dir() else None
    weights = part.weights if part else path
    header = read_header(weights)
    hints = detect.metadata_facts(header.metadata, str(weights)).get("vision", {})
    if part:
        known = {"heads": part.config.get("num_attention_heads"), "act": part.config.get("hidden_act")}
        hints = {**{name: value for name, value in known.items() if value is not None}, **hints}
    try:
        config = vision_config(header.shapes, hints)
    except (KeyError, ValueError) as problem:
        shown = shortened(list(header.shapes))
        raise CheckpointError(
            f"{weights}: not an image encoder: expected CLIP's vision_model.* and visual_projection.weight, "
            f"lacks {problem}, got {shown}. Use a file in the naming of transformers."
        ) from problem
    return ClipVisionHandle(source=Source(str(weights), files(weights)), family="clip", config=config)


def _config_beside(weights: Path) -> dict[str, Any]:
    config = weights.with_name("config.json")
    named_by_diffusers = weights.stem.startswith("diffusion_pytorch_model")
    return read_json(config) if named_by_diffusers and config.is_file() else {}


def _required(part: Component | None, path: Path) -> Component:
    if part is None:
        raise CheckpointError(f"{path}: there is no such folder.")
    return part


# --- diffusers folders ----------------------------------------------------------------------------------------------


def _open_folder(folder: Path, files: FileDigest) -> Opened:
    if not is_diffusers_folder(folder):
        raise CheckpointError(
            f"{folder}: a folder, but not a diffusers model: expected model_index.json and unet/config.json."
        )
    parts = {name: folder_component(folder, name) for name in ("unet", "vae", "text_encoder")}
    headers = {name: read_header(part.weights) for name, part in parts.items() if part}
    sources = {name: Source(str(part.weights), files(part.weights)) for name, part in parts.items() if part}
    try:
        found = _detect_parts(folder, {n: p.config for n, p in parts.items() if p}, headers)
    except (KeyError, IndexError) as problem:
        raise CheckpointError(f"{folder}: not a Stable Diffusion 1 or 2 model: lacks {problem}.") from problem
    anywhere = next(iter(sources.values()))
    unet, text, vae = (sources.get(name, anywhere) for name in ("unet", "text_encoder", "vae"))
    return _opened(found, unet, text, vae, _tokenizer(folder, files))


def _detect_parts(folder: Path, configs: Mapping[str, Mapping[str, Any]], headers: Mapping[str, Header]) -> Detected:
    if not headers:
        raise CheckpointError(f"{folder}: holds none of unet/, vae/, text_encoder/.")
    unet_config = configs.get("unet", {})
    if other := [name for name in _OTHER_FAMILY if unet_config.get(name)]:
        known = ", ".join(family.title for family in FAMILIES)
        raise CheckpointError(f"{folder}: a U-Net with {', '.join(other)}, of a family not known here. Known: {known}.")
    shapes = {name: header.shapes for name, header in headers.items()}
    family = (
        detect.family_of_denoiser(shapes["unet"]) if "unet" in shapes else _text_family(configs.get("text_encoder", {}))
    )
    unet = detect.unet_config(shapes["unet"], _unet_hints(unet_config), family) if "unet" in shapes else None
    vae_hints = _vae_hints(configs.get("vae", {}))
    vae = detect.vae_config(shapes["vae"], vae_hints) if "vae" in shapes else None
    text_hints = _text_hints(configs.get("text_encoder", {}))
    text = detect.text_facts(shapes["text_encoder"], text_hints, family.text) if "text_encoder" in shapes else None
    return Detected(
        family=family.name,
        parameterization=_folder_parameterization(folder, family, unet, headers.get("unet")),
        latent=detect.latent_format(family, {"vae": vae_hints}, unet, vae),
        unet=unet,
        vae=vae,
        text=text,
    )


def _unet_hints(config: Mapping[str, Any]) -> dict[str, Any]:
    heads = config.get("num_attention_heads") or config.get("attention_head_dim", 8)
    return {
        "heads": heads,
        "norm_groups": config.get("norm_num_groups", 32),
        "norm_eps": config.get("norm_eps", 1e-5),
        "act": config.get("act_fn", "silu"),
    }


def _vae_hints(config: Mapping[str, Any]) -> dict[str, Any]:
    hints = {"norm_groups": config.get("norm_num_groups", 32), "act": config.get("act_fn", "silu")}
    if (scale := config.get("scaling_factor")) is not None and scale != SD1.latent.scale:
        hints["scale_factor"] = scale
    if (shift := config.get("shift_factor")) is not None:
        hints["shift_factor"] = shift
    return hints


def _text_hints(config: Mapping[str, Any]) -> dict[str, Any]:
    names = {"heads": "num_attention_heads", "act": "hidden_act", "norm_eps": "layer_norm_eps"}
    return {ours: config[theirs] for ours, theirs in names.items() if theirs in config}


def _text_family(config: Mapping[str, Any]) -> Family:
    width = config.get("hidden_size")
    return next((family for family in FAMILIES if family.context_dim == width), SD1)


def _folder_parameterization(
    folder: Path, family: Family, unet: Mapping[str, Any] | None, header: Header | None
) -> Parameterization:
    """What the folder's scheduler says; without one, what the U-Net's own tensors tell."""
    path = folder / "scheduler" / "scheduler_config.json"
    base = family.parameterization
    if not path.is_file():
        if header is None:
            return base
        read = partial(spread, Path(header.path))
        return detect.with_prediction_by_spread(base, header.shapes, family, unet, read)
    config = read_json(path)
    return Parameterization(
        prediction=_PREDICTIONS.get(config.get("prediction_type", "epsilon"), base.prediction),
        schedule=_SCHEDULES.get(config.get("beta_schedule", "scaled_linear"), base.schedule),
        timesteps=int(config.get("num_train_timesteps", base.timesteps)),
        beta_start=float(config.get("beta_start", base.beta_start)),
        beta_end=float(config.get("beta_end", base.beta_end)),
        zero_terminal_snr=bool(config.get("rescale_betas_zero_snr", False)),
    )


def _tokenizer(folder: Path, files: FileDigest) -> Source | None:
    for place in (folder / "tokenizer", folder):
        if file := tokenizer_file(place):
            return Source(str(file), files(file))
    return None
