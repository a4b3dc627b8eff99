"""Files to handles: what a path holds, without loading any of it. Reads headers and configs only; no torch for safetensors.

A path is a single file (original or diffusers naming) or a diffusers folder.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from itertools import zip_longest
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from engine.datatypes.parameterization import Parameterization, Prediction, ScheduleKind
from engine.models import autoencoders, detect
from engine.models.checkpoints import (
    Component,
    folder_component,
    is_diffusers_folder,
    read_json,
    spread,
)
from engine.models.detect import Detected
from engine.models.errors import CheckpointError, shortened
from engine.models.families import families, families_of_type, family_of, titles
from engine.models.families.base import Family, Tower
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
from engine.models.header import Header
from engine.models.networks.unet_sizes import controlnet_config
from engine.models.packed import read_header
from engine.models.sd_keys import CONTROLNET_PREFIX
from engine.models.shapes import part as part_of
from engine.models.tokenizer import tokenizer_file
from engine.models.towers import kind_named
from engine.models.towers.clip import TextEncoderFacts
from engine.models.vision_facts import vision_config

_DENOISERS = ("unet", "transformer")
"""What a diffusers folder calls a network, by its kind."""

_NETWORK = "network"
"""What either is called here."""

_UNKNOWN_PARTS = ("class_embed_type", "encoder_hid_dim_type", "num_class_embeds", "time_embedding_dim")
"""What a U-Net's config tells of parts that no family here has."""

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
    source = Source(str(path), files(path))
    return _opened(found, source, [source] * len(found.texts), source)


def _opened(
    found: Detected,
    unet: Source,
    texts: Sequence[Source],
    vae: Source,
    tokenizers: Sequence[Source | None] = (),
) -> Opened:
    family = found.family
    model = found.network and ModelHandle(
        source=unet,
        family=family,
        config=found.network,
        prefix=found.network_prefix,
        parameterization=found.parameterization,
        latent=found.latent,
    )
    towers = [
        _tower(source, family, facts, tokenizer)
        for source, facts, tokenizer in zip_longest(texts, found.texts, tokenizers[: len(found.texts)])
    ]
    return Opened(
        model or None,
        towers[0].with_towers(towers) if towers else None,
        VaeHandle(
            source=vae,
            family=family,
            kind=found.vae_kind,
            config=found.vae,
            prefix=found.vae_prefix,
            latent=found.latent,
        )
        if found.vae
        else None,
    )


def _tower(source: Source, family: str, facts: TextEncoderFacts, tokenizer: Source | None = None) -> ClipHandle:
    return ClipHandle(
        source=source,
        family=family,
        tower=facts.tower.name,
        config=facts.config,
        prefix=facts.prefix,
        tokens=facts.tokens,
        tokenizer=tokenizer,
        stop_at=facts.stop_at,
        normed=facts.tower.normed,
        cut_layers=facts.cut_layers,
    )


def open_vae(path: Path, files: FileDigest = digest_file) -> VaeHandle:
    """Return the handle of a VAE: a file of its own, one inside a checkpoint, or a diffusers folder."""
    path = Path(path)
    if path.is_dir() and (path / "config.json").is_file():
        part = _required(folder_component(path, ""), path)
        facts = {"vae": _vae_hints(part.config)}
        kind, config = _vae_facts(part.weights, read_header(part.weights).shapes, facts["vae"])
        source, family = Source(str(part.weights), files(part.weights)), detect.family_of_text_width(0)
        latent = detect.latent_format(family, facts, None, config, kind)
        return VaeHandle(source=source, family=family.name, kind=kind, config=config, latent=latent)
    vae = open_checkpoint(path, files).vae
    if vae is None:
        raise CheckpointError(f"{path}: holds no VAE. Expected decoder.* tensors, with or without first_stage_model.")
    return vae


def _vae_facts(
    path: Path, shapes: Mapping[str, tuple[int, ...]], hints: Mapping[str, Any]
) -> tuple[str, dict[str, Any]]:
    """Return the kind and the library's arguments of the VAE that is alone in a folder's weights."""
    kind = autoencoders.kind_in(shapes)
    if kind is None:
        raise CheckpointError(
            f"{path}: a VAE of a kind not known here (tensors: {shortened(list(shapes))}). "
            f"Known: {', '.join(autoencoders.kinds())}."
        )
    return kind, autoencoders.kind_named(kind).config(shapes, hints)


def open_text_encoder(path: Path, files: FileDigest = digest_file) -> ClipHandle:
    """Return the handle of a text encoder: a file of its own, one inside a checkpoint, or a diffusers folder."""
    path = Path(path)
    if path.is_dir() and not is_diffusers_folder(path):
        part = _required(folder_component(path, ""), path)
        family = detect.family_of_text_width(part.config.get("hidden_size", 0))
        tower = family.towers[0]
        facts = kind_named(tower.kind).text_facts(read_header(part.weights).shapes, _text_hints(part.config), tower)
        return _tower(Source(str(part.weights), files(part.weights)), family.name, facts, _tokenizer(path, files))
    clip = open_checkpoint(path, files).clip
    if clip is None:
        raise CheckpointError(f"{path}: holds no text encoder. Expected text_model.* tensors.")
    beside = None if path.is_dir() or clip.tokenizer else _tokenizer(path.parent, files)
    return msgspec.structs.replace(clip, tokenizer=beside) if beside else clip


def open_text_encoders(paths: Sequence[Path], kind: str, files: FileDigest = digest_file) -> ClipHandle:
    """Return the handle of a family's text encoders, each in a file of its own, in any order.

    `kind`: what loaders call the family. Raises CheckpointError naming the files where one is not the family's.
    """
    found = families_of_type(kind, len(paths))
    if not found:
        raise CheckpointError(f"no family with {len(paths)} text encoders is called {kind!r}. Known: {titles()}.")
    headers = [read_header(path) for path in paths]
    towers = []
    for tower, header in _paired(found[0], headers):
        hints = detect.metadata_facts(header.metadata, header.path).get("text", {})
        try:
            facts = kind_named(tower.kind).text_facts(header.shapes, hints, tower)
        except (KeyError, IndexError) as problem:
            raise CheckpointError(
                f"{header.path}: expected the text encoder {tower.name}, lacks {problem}."
            ) from problem
        path = Path(header.path)
        towers.append(_tower(Source(str(path), files(path)), found[0].name, facts))
    got = tuple(sorted(_text_width(header) for header in headers))
    wanted = tuple(sorted(tower.width for tower in found[0].towers))
    others = {tower.width for family in families() for tower in family.towers} - set(wanted)
    if others & set(got):  # encoders of unknown widths are somebody's own
        named = ", ".join(path.name for path in paths)
        raise CheckpointError(f"{named}: text encoders of widths {got}, where {found[0].title} has {wanted}.")
    return towers[0].with_towers(towers)


def _paired(family: Family, headers: Sequence[Header]) -> list[tuple[Tower, Header]]:
    """The towers of a family, each with its file: of its kind, and of several of a kind the narrower with the narrower."""
    pairs: dict[str, Header] = {}
    for kind in {tower.kind for tower in family.towers}:
        towers = sorted((tower for tower in family.towers if tower.kind == kind), key=lambda tower: tower.width)
        alike = sorted((header for header in headers if kind_named(kind).is_there(header.shapes)), key=_text_width)
        if len(alike) != len(towers):
            named = ", ".join(Path(header.path).name for header in alike) or "none"
            raise CheckpointError(
                f"{', '.join(Path(header.path).name for header in headers)}: {family.title} wants "
                f"{' and '.join(tower.name for tower in towers)}, got {named} of that kind."
            )
        pairs |= {tower.name: header for tower, header in zip(towers, alike, strict=True)}
    return [(tower, pairs[tower.name]) for tower in family.towers]


def _text_width(header: Header) -> int:
    tables = ("token_embedding.weight", "shared.weight", "embed_tokens.weight")
    return next((shape[1] for name, shape in header.shapes.items() if name.endswith(tables)), 0)


def open_denoiser(path: Path, files: FileDigest = digest_file) -> ModelHandle:
    """Return the handle of a U-Net: a file of its own, one inside a checkpoint, or a diffusers folder."""
    path = Path(path)
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
    shapes = part_of(header.shapes, CONTROLNET_PREFIX) or header.shapes
    if not any(name.startswith(("input_hint_block.", "controlnet_cond_embedding.")) for name in shapes):
        shown = shortened(list(header.shapes))
        raise CheckpointError(
            f"{weights}: not a ControlNet: expected input_hint_block.* or controlnet_cond_embedding.*, got {shown}."
        )
    config = part.config if part else _config_beside(weights)
    hints = _network_hints(config) if config else detect.metadata_facts(header.metadata, str(weights)).get("unet", {})
    try:
        family = detect.family_of_denoiser(shapes)
        kwargs = controlnet_config(shapes, hints, family)
    except (KeyError, IndexError) as problem:
        raise CheckpointError(f"{weights}: looks like a ControlNet, but lacks tensor {problem}.") from problem
    prefix = CONTROLNET_PREFIX if part_of(header.shapes, CONTROLNET_PREFIX) else ""
    return ControlNetHandle(
        source=Source(str(weights), files(weights)), family=family.name, config=kwargs, prefix=prefix
    )


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
    names = (*_DENOISERS, "vae", *(tower.folder for tower in _most_towers()))
    parts = {name: part for name in names if (part := folder_component(folder, name))}
    parts = {_NETWORK if name in _DENOISERS else name: part for name, part in parts.items()}
    headers = {name: read_header(part.weights) for name, part in parts.items()}
    sources = {name: Source(str(part.weights), files(part.weights)) for name, part in parts.items()}
    try:
        found = _detect_parts(folder, {name: part.config for name, part in parts.items()}, headers)
    except (KeyError, IndexError) as problem:
        raise CheckpointError(f"{folder}: not a model of a known family ({titles()}): lacks {problem}.") from problem
    anywhere = next(iter(sources.values()))
    towers = [facts.tower for facts in found.texts]
    return _opened(
        found,
        sources.get(_NETWORK, anywhere),
        [sources[tower.folder] for tower in towers],
        sources.get("vae", anywhere),
        [_tokenizer(folder, files, tower.tokenizer_folder) for tower in towers],
    )


def _most_towers() -> tuple[Tower, ...]:
    return max((family.towers for family in families()), key=len)


def _detect_parts(folder: Path, configs: Mapping[str, Mapping[str, Any]], headers: Mapping[str, Header]) -> Detected:
    if not headers:
        raise CheckpointError(f"{folder}: holds none of unet/, transformer/, vae/, text_encoder/.")
    config = configs.get(_NETWORK, {})
    if other := [name for name in _UNKNOWN_PARTS if config.get(name)]:
        raise CheckpointError(
            f"{folder}: a U-Net with {', '.join(other)}, of a family not known here. Known: {titles()}."
        )
    shapes = {name: header.shapes for name, header in headers.items()}
    family = _folder_family(folder, configs, shapes)
    unet = family.network.sizes(shapes[_NETWORK], _network_hints(config), family) if _NETWORK in shapes else None
    vae_hints = _vae_hints(configs.get("vae", {}), family)
    kind, vae = _vae_facts(folder / "vae", shapes["vae"], vae_hints) if "vae" in shapes else ("kl", None)
    texts = tuple(
        kind_named(tower.kind).text_facts(shapes[tower.folder], _text_hints(configs[tower.folder]), tower)
        for tower in family.towers
        if tower.folder in shapes
    )
    return Detected(
        family=family.name,
        parameterization=_folder_parameterization(folder, family, unet, headers.get(_NETWORK)),
        latent=detect.latent_format(family, {"vae": vae_hints}, unet, vae, kind),
        network=unet,
        vae=vae,
        vae_kind=kind,
        texts=texts,
    )


def _folder_family(
    folder: Path, configs: Mapping[str, Mapping[str, Any]], shapes: Mapping[str, Mapping[str, tuple[int, ...]]]
) -> Family:
    if _NETWORK not in shapes:
        return detect.family_of_text_width(configs.get("text_encoder", {}).get("hidden_size", 0))
    if (family := family_of(shapes[_NETWORK])) is None:
        raise CheckpointError(f"{folder}: a network of a family not known here. Known: {titles()}.")
    return family


def _network_hints(config: Mapping[str, Any]) -> dict[str, Any]:
    heads = config.get("num_attention_heads") or config.get("attention_head_dim", 8)
    return {
        "heads": heads,
        "norm_groups": config.get("norm_num_groups", 32),
        "norm_eps": config.get("norm_eps", 1e-5),
        "act": config.get("act_fn", "silu"),
        "size_width": config.get("addition_time_embed_dim") or 256,
        "axes": config.get("axes_dims_rope"),
    }


def _vae_hints(config: Mapping[str, Any], family: Family | None = None) -> dict[str, Any]:
    told = {name: value for name, value in config.items() if value is not None}
    hints = {**told, "norm_groups": config.get("norm_num_groups", 32), "act": config.get("act_fn", "silu")}
    usual = (family or detect.family_of_text_width(0)).latent.scale
    if (scale := config.get("scaling_factor")) is not None and scale != usual:
        hints["scale_factor"] = scale
    if (shift := config.get("shift_factor")) is not None:
        hints["shift_factor"] = shift
    return hints


def _text_hints(config: Mapping[str, Any]) -> dict[str, Any]:
    names = {"heads": "num_attention_heads", "act": "hidden_act", "norm_eps": "layer_norm_eps"}
    return {ours: config[theirs] for ours, theirs in names.items() if theirs in config}


def _folder_parameterization(
    folder: Path, family: Family, unet: Mapping[str, Any] | None, header: Header | None
) -> Parameterization:
    """What the folder's scheduler says; without one, what the U-Net's own tensors tell."""
    path = folder / "scheduler" / "scheduler_config.json"
    base = family.parameterization
    if not path.is_file() or base.prediction == "flow":  # a flow's shift is the family's
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


def _tokenizer(folder: Path, files: FileDigest, part: str = "tokenizer") -> Source | None:
    for place in (folder / part, folder):
        if file := tokenizer_file(place):
            return Source(str(file), files(file))
    return None
