"""Files to handles: what a path holds, without loading any of it. Reads headers and configs only; no torch for safetensors.

A path is a single file (original or diffusers naming) or a diffusers folder.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import zip_longest
from pathlib import Path
from typing import Any, NamedTuple, TypeVar, cast

import msgspec

from engine.datatypes.latent_formats import PIXELS, same_space
from engine.models import controls, detect, folders, vision_names
from engine.models.autoencoders import pixel
from engine.models.checkpoints import (
    Component,
    folder_component,
    is_diffusers_folder,
    read_json,
    spread,
)
from engine.models.detect import Detected
from engine.models.errors import CheckpointError, shortened
from engine.models.families import titles
from engine.models.handles import (
    REDUX,
    STYLE_ADAPTER,
    ClipHandle,
    ClipVisionHandle,
    ControlNetHandle,
    FileDigest,
    ModelHandle,
    ModelPatchHandle,
    PerceptionHandle,
    Source,
    StyleModelHandle,
    UpscaleHandle,
    VaeHandle,
    digest_file,
)
from engine.models.held import held
from engine.models.labels import OPTION
from engine.models.packed import read_header
from engine.models.perceiving import open_seeing
from engine.models.sd_keys import CONTROLNET_PREFIX, DIFFERENCE
from engine.models.shapes import count
from engine.models.shapes import part as part_of
from engine.models.text_files import config_hints, open_writer, tower_handle
from engine.models.tokenizer_files import tokenizer_file
from engine.models.towers import kind_named
from engine.models.vision_facts import SIGLIP, SIGLIP2, siglip2_config, siglip_config, vision_config, vision_kind
from engine.models.weights import parameter_shapes

AControl = TypeVar("AControl", bound=ControlNetHandle)


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
    try:
        found = detect.detect(header.shapes, header.metadata, str(path), partial(spread, path))
    except CheckpointError:
        if seeing := open_seeing(path, files, header):
            return Opened(*cast("tuple[Any, Any]", seeing), None)
        raise
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
        tower_handle(source, family, facts, tokenizer)
        for source, facts, tokenizer in zip_longest(texts, found.texts, tokenizers[: len(found.texts)])
    ]
    return Opened(
        model or None,
        towers[0].with_towers(towers) if towers else None,
        _vae(found, vae),
    )


def _vae(found: Detected, source: Source) -> VaeHandle | None:
    """The VAE that is there, or that which does nothing where the network denoises pictures."""
    if found.vae:
        return VaeHandle(
            source=source,
            family=found.family,
            kind=found.vae_kind,
            config=found.vae,
            prefix=found.vae_prefix,
            latent=found.latent,
            beside_network=found.network is not None,
        )
    return pixel.HANDLE if found.network is not None and same_space(found.latent, PIXELS) else None


def open_vae(path: Path, files: FileDigest = digest_file) -> VaeHandle:
    """Return the handle of a VAE: a file of its own, one inside a checkpoint, or a diffusers folder."""
    path = Path(path)
    if path.is_dir() and (path / "config.json").is_file():
        part = _required(folder_component(path, ""), path)
        facts = {"vae": folders.vae_hints(part.config)}
        kind, config = folders.vae_facts(part.weights, read_header(part.weights).shapes, facts["vae"])
        source, family = Source(str(part.weights), files(part.weights)), detect.family_of_text_width(0)
        latent = detect.latent_format(family, facts, None, config, kind)
        return VaeHandle(source=source, family=family.name, kind=kind, config=config, latent=latent)
    opened = open_checkpoint(path, files)
    if opened.vae is None:
        raise CheckpointError(
            f"{path}: holds no VAE. Expected decoder.* tensors, with or without first_stage_model.{held(*opened)}"
        )
    return opened.vae


def open_text_encoder(path: Path, files: FileDigest = digest_file) -> ClipHandle:
    """Return the handle of a text encoder: a file of its own, one inside a checkpoint, or a diffusers folder.

    A language model that no family knows is there to write.
    """
    path = Path(path)
    if path.is_dir() and not is_diffusers_folder(path):
        part = _required(folder_component(path, ""), path)
        shapes = read_header(part.weights).shapes
        family = detect.family_of_text(shapes)
        tower = family.towers[0]
        facts = kind_named(tower.kind).text_facts(shapes, config_hints(part.config), tower)
        return tower_handle(Source(str(part.weights), files(part.weights)), family.name, facts, _tokenizer(path, files))
    try:
        opened = open_checkpoint(path, files)
    except CheckpointError:
        if not path.is_dir() and (writer := open_writer(path, files)) is not None:
            return writer
        raise
    clip = opened.clip
    if clip is None:
        raise CheckpointError(f"{path}: holds no text encoder. Expected text_model.* tensors.{held(*opened)}")
    if isinstance(clip, PerceptionHandle):
        return clip
    beside = None if path.is_dir() or clip.tokenizer else _tokenizer(path.parent, files)
    return msgspec.structs.replace(clip, tokenizer=beside) if beside else clip


def open_denoiser(path: Path, files: FileDigest = digest_file) -> ModelHandle:
    """Return the handle of a U-Net: a file of its own, one inside a checkpoint, or a diffusers folder."""
    path = Path(path)
    opened = open_checkpoint(path, files)
    if opened.model is None:
        raise CheckpointError(f"{path}: holds no U-Net. Expected model.diffusion_model.* tensors.{held(*opened)}")
    return opened.model


def open_controlnet(path: Path, files: FileDigest = digest_file, base: ModelHandle | None = None) -> ControlNetHandle:
    """Return the handle of a ControlNet of a kind that is known, in any of its namings: file or folder.

    `base`: the denoiser that a ControlNet kept as a difference is added to; of no use to others. CheckpointError without it.
    """
    handle = _open_control(Path(path), files, ControlNetHandle)
    if DIFFERENCE not in read_header(Path(handle.source.path)).shapes:
        return handle
    if base is None:
        raise CheckpointError(
            f"{handle.source.path}: this ControlNet is kept as the difference to a model. Load it by DiffControlNetLoader, with "
            "the model that it is to steer."
        )
    return msgspec.structs.replace(handle, base=base.weights_alone())


def open_model_patch(path: Path, files: FileDigest = digest_file) -> ModelPatchHandle:
    """Return the handle of a network that works within a denoiser, in a file of its own."""
    return _open_control(Path(path), files, ModelPatchHandle)


def _open_control(path: Path, files: FileDigest, handle: type[AControl]) -> AControl:
    part = folder_component(path, "") if path.is_dir() else None
    weights = part.weights if part else path
    header = read_header(weights)
    prefix = CONTROLNET_PREFIX if part_of(header.shapes, CONTROLNET_PREFIX) else ""
    shapes = part_of(header.shapes, prefix) if prefix else header.shapes
    patch = issubclass(handle, ModelPatchHandle)
    name = controls.kind_in(shapes, patch=patch)
    if name is None:
        what, known = ("model patch" if patch else "ControlNet"), ", ".join(controls.titles(patch=patch))
        other = controls.kind_in(shapes, patch=not patch)
        hint = f" It is a {controls.kind_named(other).TITLE}: load it by {_LOADERS[not patch]}." if other else ""
        raise CheckpointError(
            f"{weights}: not a {what} of a kind that is known ({known}), its tensors are "
            f"{shortened(list(header.shapes))}.{hint}"
        )
    kind = controls.kind_named(name)
    config = part.config if part else _config_beside(weights)
    hints = (
        folders.network_hints(config)
        if config
        else {**header.metadata, **detect.metadata_facts(header.metadata, str(weights)).get("unet", {})}
    )
    try:
        family, kwargs = kind.family(shapes), kind.config(shapes, hints, lambda one: spread(weights, f"{prefix}{one}"))
    except CheckpointError as problem:
        raise problem if str(weights) in str(problem) else CheckpointError(f"{weights}: {problem}") from problem
    except (KeyError, IndexError) as problem:
        raise CheckpointError(f"{weights}: looks like a {kind.TITLE}, but lacks tensor {problem}.") from problem
    source = Source(str(weights), files(weights))
    return handle(source=source, family=family, config=kwargs, prefix=prefix, kind=name)


_LOADERS = {False: "ControlNetLoader", True: "ModelPatchLoader"}


def open_vision(path: Path, files: FileDigest = digest_file) -> ClipVisionHandle:
    """Return the handle of an image encoder: a file of its own, one inside an unCLIP checkpoint, or a folder of transformers."""
    path = Path(path)
    part = folder_component(path, "") if path.is_dir() else None
    weights = part.weights if part else path
    header = read_header(weights)
    hints = detect.metadata_facts(header.metadata, str(weights)).get("vision", {})
    if part:
        told = {"heads": "num_attention_heads", "act": "hidden_act", "image_size": "image_size"}
        known = {ours: part.config.get(theirs) for ours, theirs in told.items()}
        hints = {**{name: value for name, value in known.items() if value is not None}, **hints}
    first = ("conv1.weight", "vision_model.embeddings.class_embedding")
    prefix = next((one for one in vision_names.PREFIXES if any(f"{one}{name}" in header.shapes for name in first)), "")
    kind = vision_kind(header.shapes)
    handle = ClipVisionHandle(source=Source(str(weights), files(weights)), family=kind, prefix=prefix)
    try:
        if kind == SIGLIP:
            config = siglip_config(header.shapes, hints)
        elif kind == SIGLIP2:
            config = siglip2_config(header.shapes, hints)
        else:
            config = vision_config(parameter_shapes(handle, header), hints)
    except (KeyError, ValueError) as problem:
        shown = shortened(list(header.shapes))
        raise CheckpointError(
            f"{weights}: not an image encoder: expected CLIP's vision_model.* and visual_projection.weight, or SigLIP's, "
            f"lacks {problem}, got {shown}. Use a file in the naming of transformers or of open_clip."
        ) from problem
    return msgspec.structs.replace(handle, config=config)


_STYLE_HEAD = 128
"""Numbers of a head of T2I-Adapter's style adapter."""


def open_style_model(path: Path, files: FileDigest = digest_file) -> StyleModelHandle:
    """Return the handle of a style model, in a file of its own: FLUX.1 Redux, or T2I-Adapter's."""
    path = Path(path)
    shapes = read_header(path).shapes
    if all(name in shapes for name in ("style_embedding", "ln_pre.weight", "proj")):
        (_, tokens, width), text = shapes["style_embedding"], shapes["proj"][1]
        sizes = {"width": width, "text": text, "tokens": tokens, "layers": count(shapes, "transformer_layes.")}
        sizes["heads"] = max(1, width // _STYLE_HEAD)
        return StyleModelHandle(source=Source(str(path), files(path)), family=STYLE_ADAPTER, config=sizes)
    try:
        (_, seen), (width, _) = shapes["redux_up.weight"], shapes["redux_down.weight"]
    except KeyError as problem:
        raise CheckpointError(
            f"{path}: not a style model that is known: expected FLUX.1 Redux or T2I-Adapter's style adapter, lacks "
            f"{problem}, got {shortened(list(shapes))}."
        ) from problem
    config = {"redux_dim": seen, "txt_in_features": width}
    return StyleModelHandle(source=Source(str(path), files(path)), family=REDUX, config=config)


def open_upscale_model(path: Path, files: FileDigest = digest_file) -> UpscaleHandle:
    """Return the handle of a network that makes pictures larger. Raises ModelError without the library that reads it."""
    from engine.models.upscaling import check_library

    check_library()
    read_header(Path(path))
    return UpscaleHandle(source=Source(str(path), files(Path(path))))


def _config_beside(weights: Path) -> dict[str, Any]:
    config = weights.with_name("config.json")
    named_by_diffusers = weights.stem.startswith("diffusion_pytorch_model")
    return read_json(config) if named_by_diffusers and config.is_file() else {}


def _required(part: Component | None, path: Path) -> Component:
    if part is None:
        raise CheckpointError(f"{path}: there is no such folder.")
    return part


def _open_folder(folder: Path, files: FileDigest) -> Opened:
    if not is_diffusers_folder(folder):
        raise CheckpointError(
            f"{folder}: a folder, but not a diffusers model: expected model_index.json and unet/config.json."
        )
    parts = folders.parts_of(folder)
    headers = {name: read_header(part.weights) for name, part in parts.items()}
    sources = {name: Source(str(part.weights), files(part.weights)) for name, part in parts.items()}
    try:
        found = folders.detect_parts(folder, {name: part.config for name, part in parts.items()}, headers)
    except (KeyError, IndexError) as problem:
        raise CheckpointError(f"{folder}: not a model of a known family ({titles()}): lacks {problem}.") from problem
    anywhere = next(iter(sources.values()))
    towers = [facts.tower for facts in found.texts]
    opened = _opened(
        found,
        sources.get(folders.NETWORK, anywhere),
        [sources[tower.folder] for tower in towers],
        sources.get("vae", anywhere),
        [_tokenizer(folder, files, tower.tokenizer_folder) for tower in towers],
    )
    classes = folders.class_names(folder)
    return opened._replace(model=opened.model.with_option(OPTION, classes)) if opened.model and classes else opened


def _tokenizer(folder: Path, files: FileDigest, part: str = "tokenizer") -> Source | None:
    for place in (folder / part, folder):
        if file := tokenizer_file(place):
            return Source(str(file), files(file))
    return None
