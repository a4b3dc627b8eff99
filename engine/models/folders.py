"""Diffusers folders: which parts one has, and what their configs tell beside the tensors. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from engine.datatypes.parameterization import Parameterization, Prediction, ScheduleKind, Variance
from engine.models import autoencoders, detect
from engine.models.checkpoints import Component, folder_component, read_json, spread
from engine.models.detect import Detected
from engine.models.errors import CheckpointError, shortened
from engine.models.families import families, family_of, titles
from engine.models.families.base import Family, Tower
from engine.models.header import Header
from engine.models.text_files import config_hints
from engine.models.towers import kind_named

_DENOISERS = ("unet", "transformer", "prior", "decoder")
"""What a diffusers folder calls a network, by its kind."""

_AUTOENCODERS = ("vae", "vqgan")
"""What it calls an autoencoder."""

NETWORK = "network"
"""What either is called here."""

_PARTS = ("class_embed_type", "encoder_hid_dim_type", "num_class_embeds", "time_embedding_dim")
"""What a U-Net's config tells of parts that few families have."""

_PREDICTIONS: dict[str, Prediction] = {"epsilon": "eps", "v_prediction": "v", "sample": "x0"}
_VARIANCES: dict[str, Variance] = {"fixed_large": "most", "fixed_large_log": "most"}
_SCHEDULES: dict[str, ScheduleKind] = {
    "scaled_linear": "scaled_linear",
    "linear": "linear",
    "squaredcos_cap_v2": "cosine",
}


def parts_of(folder: Path) -> dict[str, Component]:
    """Return the parts of a diffusers folder: NETWORK, "vae", and text encoders by the names of their folders."""
    names = (*_DENOISERS, *_AUTOENCODERS, *(tower.folder for tower in _most_towers()))
    parts = {name: part for name in names if (part := folder_component(folder, name))}
    called = dict.fromkeys(_DENOISERS, NETWORK) | dict.fromkeys(_AUTOENCODERS, "vae")
    parts = {called.get(name, name): part for name, part in parts.items()}
    if not parts and (alone := folder_component(folder, "") if (folder / "config.json").is_file() else None):
        parts = {NETWORK: alone}  # a network beside the index
    return parts


def class_names(folder: Path) -> dict[str, str]:
    """What the index of a folder calls the classes that its network knows, by number; {} where it tells none."""
    index = folder / "model_index.json"
    told = read_json(index).get("id2label") if index.is_file() else None
    return {str(number): str(name) for number, name in told.items()} if isinstance(told, dict) else {}


def _most_towers() -> tuple[Tower, ...]:
    return max((family.towers for family in families()), key=len)


def detect_parts(folder: Path, configs: Mapping[str, Mapping[str, Any]], headers: Mapping[str, Header]) -> Detected:
    """Return what the parts of a folder are, by their configs and headers. Raises CheckpointError, and KeyError for a tensor."""
    if not headers:
        raise CheckpointError(f"{folder}: holds none of unet/, transformer/, vae/, text_encoder/.")
    config = configs.get(NETWORK, {})
    shapes = {name: header.shapes for name, header in headers.items()}
    family = _folder_family(folder, shapes)
    unet = family.network.sizes(shapes[NETWORK], network_hints(config), family) if NETWORK in shapes else None
    if other := [name for name in _PARTS if config.get(name) and not (unet or {}).get(name)]:
        raise CheckpointError(
            f"{folder}: a U-Net with {', '.join(other)}, of a family not known here. Known: {titles()}."
        )
    hints = vae_hints(configs.get("vae", {}), family)
    kind, vae = vae_facts(folder / "vae", shapes["vae"], hints) if "vae" in shapes else ("kl", None)
    texts = tuple(
        kind_named(tower.kind).text_facts(shapes[tower.folder], config_hints(configs[tower.folder]), tower)
        for tower in family.towers
        if tower.folder in shapes
    )
    return Detected(
        family=family.name,
        parameterization=_folder_parameterization(folder, family, unet, headers.get(NETWORK)),
        latent=detect.latent_format(family, {"vae": hints}, unet, vae, kind),
        network=unet,
        vae=vae,
        vae_kind=kind,
        texts=texts,
    )


def _folder_family(folder: Path, shapes: Mapping[str, Mapping[str, tuple[int, ...]]]) -> Family:
    if NETWORK not in shapes:
        return detect.family_of_text(shapes.get("text_encoder", {}))
    if (family := family_of(shapes[NETWORK])) is None:
        raise CheckpointError(f"{folder}: a network of a family not known here. Known: {titles()}.")
    return family


def network_hints(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a network's config.json tells, also under the names of `NetworkKind.sizes`."""
    heads = config.get("num_attention_heads") or config.get("attention_head_dim", 8)
    return {
        **config,
        "heads": heads,
        "norm_groups": config.get("norm_num_groups", 32),
        "norm_eps": config.get("norm_eps", 1e-5),
        "act": config.get("act_fn", "silu"),
        "size_width": config.get("addition_time_embed_dim") or 256,
        "axes": config.get("axes_dims_rope") or config.get("axes_dim_rope") or config.get("axes_dims"),
        "zero_cond_t": config.get("zero_cond_t", False),
    }


def vae_hints(config: Mapping[str, Any], family: Family | None = None) -> dict[str, Any]:
    """Return what a VAE's config.json tells, also under the names of `autoencoders.Kind.config`."""
    told = {name: value for name, value in config.items() if value is not None and name != "scale_factor"}
    hints = {**told, "norm_groups": config.get("norm_num_groups", 32), "act": config.get("act_fn", "silu")}
    usual = (family or detect.family_of_text_width(0)).latent.scale
    if (scale := config.get("scaling_factor")) is not None and scale != usual:
        hints["scale_factor"] = scale
    if (shift := config.get("shift_factor")) is not None:
        hints["shift_factor"] = shift
    return hints


def vae_facts(
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


def _folder_parameterization(
    folder: Path, family: Family, unet: Mapping[str, Any] | None, header: Header | None
) -> Parameterization:
    """What the folder's scheduler says; without one, what the U-Net's own tensors tell."""
    places = (folder / "scheduler" / "scheduler_config.json", folder / "scheduler_config.json")
    path = next((place for place in places if place.is_file()), places[0])
    base = family.parameterization
    if not path.is_file() or base.schedule in ("flow", "cosine_time", "share_time"):  # whose levels are the family's
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
        **(_bounds(config, base) if base.clip else {}),
    )


def _bounds(config: Mapping[str, Any], base: Parameterization) -> dict[str, Any]:
    """What a scheduler says of the values of pictures, and of the noise of a step."""
    told: dict[str, Any] = {"variance": _VARIANCES.get(config.get("variance_type", "fixed_small"), "least")}
    if config.get("thresholding", False):
        quantile = float(config.get("dynamic_thresholding_ratio", 0.995))
        return told | {"clip": float(config.get("sample_max_value", 1.0)), "clip_quantile": quantile}
    return told | {"clip": float(config.get("clip_sample_range", 1.0)) if config.get("clip_sample", True) else 0.0}
