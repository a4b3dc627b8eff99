"""What model a file holds: a function of tensor names, shapes and metadata, and of one tensor's spread. No torch.

Everything that has a size is read off the tensors. What they do not say comes, first found first taken, from the file's
metadata (`safelight.config`, the JSON object described below), then from the page of the family (`engine.models.families`).
What the network predicts: metadata `modelspec.prediction_type`, then an (empty) tensor `v_pred`, then the family's rule.

`safelight.config`: {"family", "unet": {"head_dim" or "heads", "norm_groups", "norm_eps", "act", "size_width"}, "vae":
{"norm_groups", "scale_factor", "shift_factor"}, "text": {"heads", "act", "norm_eps", "max_length", "bos", "eos", "pad"},
"text_2": the same for a second text encoder, "parameterization": {fields of Parameterization}, "rgb_factors", "rgb_bias"};
every entry may be left out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import msgspec

from engine.datatypes.parameterization import LatentFormat, Parameterization
from engine.models import autoencoders
from engine.models.errors import CheckpointError, shortened
from engine.models.families import families, family_named, family_of, titles
from engine.models.families.base import Family
from engine.models.networks.unet_sizes import CLASS_EMBEDDING, U_NET, context_dim
from engine.models.sd_keys import CLIP_PREFIX, OPEN_CLIP_PREFIX, UNET_PREFIX, VAE_PREFIX, is_open_clip
from engine.models.shapes import Facts, Shapes, Spread, part
from engine.models.towers import kind_named
from engine.models.towers.clip import TextEncoderFacts

SHORT_PREFIX = "model."
"""Under which a few checkpoints have the network."""

_TEXT_FACTS = ("text", "text_2", "text_3", "text_4")


class Detected(msgspec.Struct, frozen=True, kw_only=True):
    """What a file holds; a part that is not there is None, or (). `network` and `vae` are arguments of the library's classes.

    The prefixes are those under which the file has the parts.
    """

    family: str
    parameterization: Parameterization
    latent: LatentFormat
    network: dict[str, Any] | None = None
    network_prefix: str = ""
    vae: dict[str, Any] | None = None
    vae_prefix: str = ""
    vae_kind: str = "kl"
    texts: tuple[TextEncoderFacts, ...] = ()

    @property
    def text(self) -> TextEncoderFacts | None:
        """The first text encoder."""
        return self.texts[0] if self.texts else None


def detect(
    shapes: Shapes,
    metadata: Mapping[str, str] | None = None,
    where: str = "checkpoint",
    spread: Spread | None = None,
) -> Detected:
    """Return what a single file holds, from its tensor names and shapes; `spread` is asked where these do not tell.

    Raises CheckpointError, naming `where`, when it holds no network of a known family, VAE or text encoder, or sizes
    that cannot be.
    """
    metadata = metadata or {}
    facts = metadata_facts(metadata, where)
    unet_prefix, unet_shapes = network_part(shapes)
    vae_prefix, vae_kind, vae_shapes = vae_part(shapes)
    text_there = _text_there(shapes)
    if not (unet_shapes or vae_shapes or text_there):
        raise CheckpointError(_nothing_known(shapes, where))
    family = _family(unet_shapes, text_there, facts, where)
    try:
        unet = family.network.sizes(unet_shapes, facts.get("unet", {}), family) if unet_shapes else None
        vae = autoencoders.kind_named(vae_kind).config(vae_shapes, facts.get("vae", {})) if vae_shapes else None
        texts = text_encoders(shapes, facts, family)
        latent = latent_format(family, facts, unet, vae, vae_kind)
        parameterization = parameterization_of(shapes, metadata, facts, family, unet, spread)
    except (KeyError, IndexError) as problem:
        raise CheckpointError(f"{where}: looks like {family.title}, but lacks tensor {problem}") from problem
    except (ValueError, TypeError, ZeroDivisionError) as problem:
        raise CheckpointError(
            f"{where}: metadata safelight.config does not describe its tensors: {problem}"
        ) from problem
    return Detected(
        family=family.name,
        parameterization=parameterization,
        latent=latent,
        network=unet,
        network_prefix=unet_prefix,
        vae=vae,
        vae_prefix=vae_prefix,
        vae_kind=vae_kind,
        texts=texts,
    )


def metadata_facts(metadata: Mapping[str, str], where: str = "checkpoint") -> dict[str, Any]:
    """Return the object in the metadata entry `safelight.config`, {} without one; CheckpointError when it is not one."""
    text = metadata.get("safelight.config")
    if text is None:
        return {}
    try:
        facts = json.loads(text)
    except ValueError as problem:
        raise CheckpointError(f"{where}: metadata safelight.config is not JSON: {problem}") from problem
    parts = ("unet", "vae", *_TEXT_FACTS)
    if not isinstance(facts, dict) or not all(isinstance(facts.get(name, {}), dict) for name in parts):
        raise CheckpointError(f"{where}: metadata safelight.config must be an object whose parts are objects")
    return facts


def network_part(shapes: Shapes) -> tuple[str, dict[str, tuple[int, ...]]]:
    """Return a denoiser's tensors and the prefix taken off them: `model.diffusion_model.`, or none in a file of its own.

    A few checkpoints have it under `model.` alone.
    """
    if found := part(shapes, UNET_PREFIX):
        return UNET_PREFIX, found
    if (found := part(shapes, SHORT_PREFIX)) and family_of(found) is not None:
        return SHORT_PREFIX, found
    bare = dict(shapes)
    return "", bare if family_of(bare) is not None or _is_bare_unet(bare) else {}


def _is_bare_unet(shapes: Shapes) -> bool:
    return "conv_in.weight" in shapes and "time_embedding.linear_1.weight" in shapes


def vae_part(shapes: Shapes) -> tuple[str, str, dict[str, tuple[int, ...]]]:
    """Return the VAE's prefix, kind and tensors: under `first_stage_model.` or `vae.`, or bare in a file that is only a VAE."""
    for prefix in (VAE_PREFIX, "vae."):
        if (found := part(shapes, prefix)) and (kind := autoencoders.kind_in(found)):
            return prefix, kind, found
    bare = autoencoders.kind_in(shapes)
    return "", bare or "kl", dict(shapes) if bare else {}


def _text_there(shapes: Shapes) -> dict[str, tuple[int, ...]]:
    """The first text encoder's tensors: under a prefix of any family, or bare in a file that is only one."""
    prefixes = {prefix: None for family in families() for tower in family.towers for prefix in tower.prefixes}
    for prefix in (CLIP_PREFIX, OPEN_CLIP_PREFIX, *prefixes):
        if found := part(shapes, prefix):
            return found
    kinds = {tower.kind for family in families() for tower in family.towers}
    return dict(shapes) if any(kind_named(kind).is_there(shapes) for kind in kinds) else {}


def text_encoders(shapes: Shapes, facts: Facts, family: Family) -> tuple[TextEncoderFacts, ...]:
    """Return the text encoders of a family that a file holds; one that is bare in its file counts as the first."""
    found = []
    for number, tower in enumerate(family.towers):
        known = tower.prefixes if number else (*tower.prefixes, CLIP_PREFIX, OPEN_CLIP_PREFIX)
        prefix = next((prefix for prefix in known if part(shapes, prefix)), "")
        kind = kind_named(tower.kind)
        if not prefix and (number or not kind.is_there(shapes)):
            continue
        told = kind.text_facts(part(shapes, prefix), facts.get(_TEXT_FACTS[number], {}), tower)
        found.append(msgspec.structs.replace(told, prefix=prefix))
    return tuple(found)


def _nothing_known(shapes: Shapes, where: str) -> str:
    shown = ", ".join(list(shapes)[:4]) or "none at all"
    lora = any(is_of_lora(name) for name in shapes)
    instead = "It is a LoRA: put it into models/loras, and load it with LoraLoader. " if lora else _nearest(shapes)
    return (
        f"{where}: not a checkpoint of a known family ({len(shapes)} tensors: {shown}, …). {instead}Expected a file with "
        f"{UNET_PREFIX}*, {VAE_PREFIX}* or {CLIP_PREFIX}* of one of these: {titles()}."
    )


def is_of_lora(name: str) -> bool:
    """Say whether a tensor is called as trainers call the two halves of a low-rank change."""
    return name.endswith((".lora_down.weight", ".lora_up.weight", ".lora_A.weight", ".lora_B.weight"))


def _family(unet: Shapes, text: Shapes, facts: Facts, where: str) -> Family:
    if name := facts.get("family"):
        try:
            return family_named(str(name))
        except KeyError as problem:
            raise CheckpointError(f"{where}: {problem.args[0]}") from None
    if not unet:
        return family_of_text(text)
    if (found := family_of(unet)) is not None:
        return found
    classes = [name for name in CLASS_EMBEDDING if name in unet]
    width = f"conditioning width {context_dim(unet)}; " if context_dim(unet) else ""
    raise CheckpointError(
        f"{where}: holds a network of a family this version does not know ({width}"
        f"{'class embedding; ' if classes else ''}tensors: {shortened(list(unet))}). {_nearest(unet)}Known: {titles()}."
    )


def _nearest(shapes: Shapes) -> str:
    """Which family comes near, and what it has that is not here; "" when none has half of its tensors here."""
    found = [
        (missing, family)
        for family in families()
        for layout in family.layouts
        if 0 < len(missing := [name for name in layout.has if name not in shapes]) <= len(layout.has) / 2
    ]
    if not found:
        return ""
    missing, family = min(found, key=lambda one: len(one[0]))
    return f"Nearest is {family.title}, but this lacks tensor {', '.join(missing)}. "


def text_width(shapes: Shapes) -> int:
    """Return the width of a text encoder: of its table of tokens, 0 without one."""
    tables = ("token_embedding.weight", "shared.weight", "embed_tokens.weight")
    return next((shape[1] for name, shape in shapes.items() if name.endswith(tables) and len(shape) == 2), 0)


def family_of_text(shapes: Shapes) -> Family:
    """Return the family with one text encoder that these tensors, without a prefix, are; of CLIP's where none is.

    Of several the one of this width, and of these the one that loaders call "stable_diffusion", by which nothing is said.
    """
    width = text_width(shapes)
    alone = [family for family in families() if len(family.towers) == 1 and family.towers[0].kind != "clip"]
    fit = [family for family in alone if kind_named(family.towers[0].kind).is_there(shapes)]
    fit.sort(key=lambda family: (family.towers[0].width != width, "stable_diffusion" not in family.loader_types))
    return fit[0] if fit else family_of_text_width(width, open_clip=is_open_clip(shapes))


def family_of_text_width(width: int, *, open_clip: bool = False) -> Family:
    """Return the family that has CLIP's text tower alone, of this width; else one that takes any, or any in open_clip's names."""
    one = [family for family in families() if [tower.kind for tower in family.towers] == ["clip"]]
    alone = sorted(one, key=lambda family: family.size_facts)
    alike = [family for family in alone if family.towers[0].open_clip == open_clip]
    return next((family for family in alone if family.context_dim == width), alike[0])


def family_of_denoiser(shapes: Shapes) -> Family:
    """Return the family of a U-Net's ControlNet by what it takes, for layouts that name no family."""
    sized = any(name in shapes for name in CLASS_EMBEDDING)
    alike = [family for family in families() if family.network is U_NET and bool(family.size_facts) == sized]
    width = context_dim(shapes)
    return next((family for family in alike if family.context_dim == width), alike[0])


def parameterization_of(
    shapes: Shapes,
    metadata: Mapping[str, str],
    facts: Facts,
    family: Family,
    unet: Facts | None,
    spread: Spread | None = None,
) -> Parameterization:
    """Return the noise process, by the rules this module opens with; msgspec.ValidationError for unusable metadata."""
    if "parameterization" in facts:
        return msgspec.convert(facts["parameterization"], Parameterization)
    base = family.parameterization
    said = metadata.get("modelspec.prediction_type", "").lower()
    if re.match(r"v($|[_-]?pred)", said) or (not said and "v_pred" in shapes):
        return msgspec.structs.replace(base, prediction="v", zero_terminal_snr="ztsnr" in shapes)
    if said.startswith("eps"):
        return msgspec.structs.replace(base, prediction="eps")
    return with_prediction_by_spread(base, shapes, family, unet, spread)


def with_prediction_by_spread(
    base: Parameterization, shapes: Shapes, family: Family, unet: Facts | None, spread: Spread | None
) -> Parameterization:
    """Return what the family's rule reads off the tensors, else `base`."""
    if family.prediction is None or unet is None:
        return base
    return family.prediction(base, shapes, unet, spread)


def latent_format(
    family: Family, facts: Facts, unet: Facts | None, vae: Facts | None, vae_kind: str = "kl"
) -> LatentFormat:
    """Return the latent space: channels and downscale off the VAE (channels off the network without one), the rest as told."""
    base, hints = family.latent, facts.get("vae", {})
    channels, downscale = _channels(family, unet) if unet else base.channels, base.downscale
    if vae:
        channels, downscale = autoencoders.kind_named(vae_kind).space(vae)
    known = channels == base.channels and "scale_factor" not in hints
    factors = facts.get("rgb_factors", base.rgb_factors if known else ())
    return msgspec.structs.replace(
        base,
        channels=channels,
        downscale=int(facts.get("downscale", downscale)),
        scale=float(hints.get("scale_factor", base.scale)),
        shift=float(hints.get("shift_factor", base.shift)),
        means=tuple(hints.get("latents_mean") or (base.means if channels == base.channels else ())),
        deviations=tuple(hints.get("latents_std") or (base.deviations if channels == base.channels else ())),
        rgb_factors=tuple((float(r), float(g), float(b)) for r, g, b in factors),
        rgb_bias=_rgb(facts.get("rgb_bias", base.rgb_bias if known else (0.0, 0.0, 0.0))),
    )


def _channels(family: Family, network: Facts) -> int:
    """Channels of the latents that a network gives."""
    told = (
        network.get("out_channels") if family.patch == 1 else None
    )  # of patches, libraries count them in several ways
    return int(told) // family.gives if told else family.latent.channels


def _rgb(values: Any) -> tuple[float, float, float]:
    red, green, blue = values
    return float(red), float(green), float(blue)
