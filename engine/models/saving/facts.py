"""What files say of the weights that they hold: `safelight.config`, the tokenizers, and the keys of ModelSpec.

ModelSpec (https://github.com/Stability-AI/ModelSpec) names the architecture and what a network predicts. Where a network predicts
v, the empty tensors `v_pred` and `ztsnr` say so too, as the field's checkpoints have them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec
import torch

from engine.models import folders
from engine.models.checkpoints import read_json
from engine.models.detect import metadata_facts
from engine.models.families import family_named
from engine.models.handles import ClipHandle, ModelHandle, VaeHandle
from engine.models.packed import read_header
from engine.models.saving.pieces import Piece, piece_of
from engine.models.text_files import config_hints

_ARCHITECTURES: Final = {
    "sd1": "stable-diffusion-v1",
    "sd2": "stable-diffusion-v2",
    "sdxl": "stable-diffusion-xl-v1-base",
    "sdxl_refiner": "stable-diffusion-xl-v1-refiner",
    "sd3": "stable-diffusion-v3-medium",
    "flux": "flux-1-dev",
}
_PREDICTS: Final = {"eps": "epsilon", "v": "v"}
_OF_NETWORK: Final = ("head_dim", "heads", "norm_groups", "norm_eps", "act", "size_width")
_OF_VAE: Final = ("norm_groups", "scale_factor", "shift_factor")
_OF_TEXT: Final = ("heads", "act", "norm_eps")
_BESIDE: Final = ("rgb_factors", "rgb_bias", "downscale", "picture_size")
_TEXTS: Final = ("text", "text_2", "text_3", "text_4")
_TOKENIZER: Final = "safelight.tokenizer"


def metadata_of(
    model: ModelHandle | None = None,
    clip: ClipHandle | None = None,
    vae: VaeHandle | None = None,
    *,
    title: str = "",
    one_tower: bool = False,
) -> dict[str, str]:
    """Return what a file of these parts says of them, all text. `one_tower`: a text encoder that is alone in its file."""
    facts: dict[str, Any] = _of_network(model) if model else {}
    if vae is not None and vae.source.digest and (told := _told(vae.source.path, "vae", _OF_VAE)):
        facts["vae"] = told
    for tower in clip.towers if clip else ():
        if told := _of_tower(tower):
            facts[_TEXTS[0 if one_tower else _place(tower)]] = told
    found = {"format": "pt", **_tokenizers(clip.towers if clip else ())}
    if facts:
        family = model or clip or vae
        assert family is not None
        found["safelight.config"] = json.dumps({"family": family.family, **facts})
    return found | (_modelspec(model, title) if model else {})


def markers(model: ModelHandle) -> list[Piece]:
    """Return the empty tensors that say what a network predicts, where it is not the noise."""
    if model.parameterization.prediction != "v":
        return []
    names = ["v_pred", *(["ztsnr"] if model.parameterization.zero_terminal_snr else [])]
    return [piece_of(name, torch.empty(0)) for name in names]


def _of_network(model: ModelHandle) -> dict[str, Any]:
    told = _told(model.source.path, "unet", _OF_NETWORK)
    facts: dict[str, Any] = {"unet": told} if told else {}
    in_file = metadata_facts(read_header(Path(model.source.path)).metadata, model.source.path)
    facts |= {name: in_file[name] for name in _BESIDE if name in in_file}
    if model.parameterization != _usual(model):
        facts["parameterization"] = msgspec.to_builtins(model.parameterization)
    return facts


def _usual(model: ModelHandle) -> Any:
    """The noise process that is told by the family, and by what says that a network predicts v."""
    mine = model.parameterization
    zero = mine.zero_terminal_snr and mine.prediction == "v"
    if mine.prediction not in ("eps", "v"):
        return family_named(model.family).parameterization
    return msgspec.structs.replace(
        family_named(model.family).parameterization, prediction=mine.prediction, zero_terminal_snr=zero
    )


def _of_tower(tower: ClipHandle) -> dict[str, Any]:
    path = Path(tower.source.path)
    in_file = metadata_facts(read_header(path).metadata, str(path))
    mine = family_named(tower.family).towers[_place(tower)]
    key = _TEXTS[_place(tower) if tower.prefix and tower.prefix in mine.prefixes else 0]
    if key in in_file:
        return dict(in_file[key])
    config = path.with_name("config.json")
    return _kept(config_hints(read_json(config)), _OF_TEXT) if config.is_file() else {}


def _place(tower: ClipHandle) -> int:
    return [one.name for one in family_named(tower.family).towers].index(tower.tower)


def _told(source: str, part: str, names: Iterable[str]) -> dict[str, Any]:
    """What a file's metadata tells of a part, or the config.json beside it."""
    path = Path(source)
    if found := metadata_facts(read_header(path).metadata, source).get(part):
        return dict(found)
    config = path.with_name("config.json")
    if not config.is_file():
        return {}
    hints = folders.network_hints(read_json(config)) if part == "unet" else folders.vae_hints(read_json(config))
    return _kept(hints, names)


def _kept(hints: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    return {name: hints[name] for name in names if hints.get(name) is not None}


def _tokenizers(towers: Iterable[ClipHandle]) -> dict[str, str]:
    return {
        name: value
        for tower in towers
        for name, value in read_header(Path(tower.source.path)).metadata.items()
        if name.startswith(_TOKENIZER)
    }


def _modelspec(model: ModelHandle, title: str) -> dict[str, str]:
    found = {"modelspec.sai_model_spec": "1.0.0", "modelspec.title": title}
    if (architecture := _ARCHITECTURES.get(model.family)) is not None:
        found |= {"modelspec.architecture": architecture, "modelspec.implementation": "sgm"}
    if (predicts := _PREDICTS.get(model.parameterization.prediction)) is not None:
        found["modelspec.prediction_type"] = predicts
    return found
