"""What model a file holds: a function of tensor names, shapes and metadata, and of one tensor's spread. No torch.

Everything that has a size is read off the tensors. What they do not say comes, first found first taken, from the file's
metadata (`safelight.config`, the JSON object described below), then from the rules of the family's record:

- attention heads of the U-Net: 8 at every level (Stable Diffusion 1), or heads 64 wide (2.x);
- prediction type: metadata `modelspec.prediction_type`, then an (empty) tensor `v_pred`, then the family's: eps for 1.x; for
  2.x the two are told apart as the field does it, by how far the biases of one normalisation are spread (`V_SPREAD`): the
  512 base and the 768 v model have the same names and shapes. Inpainting and depth checkpoints (9 and 5 input channels)
  were trained on the base and predict eps.

`safelight.config`: {"family", "unet": {"head_dim" or "heads", "norm_groups", "norm_eps", "act"}, "vae": {"norm_groups",
"scale_factor", "shift_factor"}, "text": {"heads", "act", "norm_eps", "max_length", "bos", "eos", "pad"},
"parameterization": {fields of Parameterization}, "rgb_factors", "rgb_bias"}; every entry may be left out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import msgspec

from engine.datatypes.parameterization import LatentFormat, Parameterization
from engine.models.errors import CheckpointError
from engine.models.families import FAMILIES, SD1, SD2, Family, TextFamily, family_named
from engine.models.handles import TokenFacts
from engine.models.sd_keys import CLIP_PREFIX, OPEN_CLIP_PREFIX, UNET_PREFIX, VAE_PREFIX, is_open_clip

Shape: TypeAlias = tuple[int, ...]
Shapes: TypeAlias = Mapping[str, Shape]
Facts: TypeAlias = Mapping[str, Any]
Spread: TypeAlias = Callable[[str], float]
"""Reads the standard deviation of one tensor's values."""

V_SPREAD = 0.09
"""A Stable Diffusion 2 predicts v if the last first normalisation's biases deviate by more than this, else eps."""

_SPREAD_TENSORS = (
    f"{UNET_PREFIX}output_blocks.11.1.transformer_blocks.0.norm1.bias",
    "up_blocks.3.attentions.2.transformer_blocks.0.norm1.bias",
)
"""The same tensor in the original and in the diffusers naming."""


class TextEncoderFacts(msgspec.Struct, frozen=True, kw_only=True):
    """A text encoder: `config` holds the arguments of CLIPTextConfig; the rest as in `ClipHandle`."""

    config: dict[str, Any]
    tokens: TokenFacts
    stop_at: int
    cut_layers: int


class Detected(msgspec.Struct, frozen=True, kw_only=True):
    """What a file holds; a part that is not there is None. `unet` and `vae` are arguments of the diffusers classes."""

    family: str
    parameterization: Parameterization
    latent: LatentFormat
    unet: dict[str, Any] | None = None
    vae: dict[str, Any] | None = None
    text: TextEncoderFacts | None = None


def detect(
    shapes: Shapes,
    metadata: Mapping[str, str] | None = None,
    where: str = "checkpoint",
    spread: Spread | None = None,
) -> Detected:
    """Return what a single file holds, from its tensor names and shapes; `spread` is asked where these do not tell.

    Raises CheckpointError, naming `where`, when it holds no U-Net of a known family, VAE or text encoder, or sizes
    that cannot be.
    """
    metadata = metadata or {}
    facts = metadata_facts(metadata, where)
    unet_shapes = part(shapes, UNET_PREFIX)
    if not unet_shapes and "conv_in.weight" in shapes and "time_embedding.linear_1.weight" in shapes:
        unet_shapes = dict(shapes)
    vae_shapes, text_shapes = vae_part(shapes), text_part(shapes)
    if not (unet_shapes or vae_shapes or text_shapes):
        raise CheckpointError(_nothing_known(shapes, where))
    try:
        family = _family(unet_shapes, text_shapes, facts, where)
        unet = unet_config(unet_shapes, facts.get("unet", {}), family) if unet_shapes else None
        vae = vae_config(vae_shapes, facts.get("vae", {})) if vae_shapes else None
        text = text_facts(text_shapes, facts.get("text", {}), family.text) if text_shapes else None
        latent = latent_format(family, facts, unet, vae)
        parameterization = parameterization_of(shapes, metadata, facts, family, unet, spread)
    except (KeyError, IndexError) as problem:
        raise CheckpointError(f"{where}: looks like a Stable Diffusion file, but lacks tensor {problem}") from problem
    except (ValueError, TypeError, ZeroDivisionError) as problem:
        raise CheckpointError(
            f"{where}: metadata safelight.config does not describe its tensors: {problem}"
        ) from problem
    return Detected(family=family.name, parameterization=parameterization, latent=latent, unet=unet, vae=vae, text=text)


def metadata_facts(metadata: Mapping[str, str], where: str = "checkpoint") -> dict[str, Any]:
    """Return the object in the metadata entry `safelight.config`, {} without one; CheckpointError when it is not one."""
    text = metadata.get("safelight.config")
    if text is None:
        return {}
    try:
        facts = json.loads(text)
    except ValueError as problem:
        raise CheckpointError(f"{where}: metadata safelight.config is not JSON: {problem}") from problem
    if not isinstance(facts, dict) or not all(isinstance(facts.get(s, {}), dict) for s in ("unet", "vae", "text")):
        raise CheckpointError(f"{where}: metadata safelight.config must be an object whose parts are objects")
    return facts


def part(shapes: Shapes, prefix: str) -> dict[str, Shape]:
    """Return the tensors under `prefix`, without it; {} when there are none."""
    return {name[len(prefix) :]: shape for name, shape in shapes.items() if name.startswith(prefix)}


def vae_part(shapes: Shapes) -> dict[str, Shape]:
    """Return the VAE's tensors: under `first_stage_model.` or `vae.`, or bare in a file that is only a VAE."""
    for prefix in (VAE_PREFIX, "vae."):
        if found := part(shapes, prefix):
            return found
    return dict(shapes) if "decoder.conv_in.weight" in shapes else {}


def text_part(shapes: Shapes) -> dict[str, Shape]:
    """Return the text encoder's tensors: under a checkpoint's prefixes, or bare in a file that is only one."""
    for prefix in (CLIP_PREFIX, OPEN_CLIP_PREFIX):
        if found := part(shapes, prefix):
            return found
    bare = "text_model.embeddings.token_embedding.weight" in shapes or "embeddings.token_embedding.weight" in shapes
    return dict(shapes) if bare or is_open_clip(shapes) else {}


def _nothing_known(shapes: Shapes, where: str) -> str:
    shown = ", ".join(list(shapes)[:4]) or "none at all"
    titles = " or ".join(family.title for family in reversed(FAMILIES))
    return (
        f"{where}: not a checkpoint of a known family ({len(shapes)} tensors: {shown}, …). Expected {titles}: a file with "
        f"{UNET_PREFIX}*, {VAE_PREFIX}* or {CLIP_PREFIX}*."
    )


def _family(unet: Shapes, text: Shapes, facts: Facts, where: str) -> Family:
    if name := facts.get("family"):
        try:
            return family_named(str(name))
        except KeyError as problem:
            raise CheckpointError(f"{where}: {problem.args[0]}") from None
    if not unet:
        return SD2 if is_open_clip(text) or _text_width(text) == SD2.context_dim else SD1
    if "input_blocks.0.0.weight" not in unet:
        return family_of_denoiser(unet)
    for family in FAMILIES:
        if family.matches(unet, _context_dim(unet)):
            return family
    raise CheckpointError(
        f"{where}: holds a U-Net of a family this version does not know "
        f"(conditioning width {_context_dim(unet)}{', class embedding' if 'label_emb.0.0.weight' in unet else ''}). "
        f"Known: {', '.join(family.title for family in FAMILIES)}."
    )


def _text_width(text: Shapes) -> int:
    return next((shape[1] for name, shape in text.items() if name.endswith("embeddings.token_embedding.weight")), 0)


def family_of_denoiser(shapes: Shapes) -> Family:
    """Return the family of a U-Net or ControlNet by its conditioning width alone, for layouts that name no family."""
    return next((family for family in FAMILIES if family.context_dim == _context_dim(shapes)), SD1)


# --- U-Net and ControlNet -------------------------------------------------------------------------------------------


class _Level(msgspec.Struct):
    channels: int = 0
    layers: int = 0
    depth: int = 0
    """Transformer blocks per attention; 0 without attention."""


def unet_config(shapes: Shapes, hints: Facts, family: Family) -> dict[str, Any]:
    """Return UNet2DConditionModel's arguments for U-Net tensors in the original or diffusers naming, without prefix."""
    config = _denoiser_config(shapes, hints, family)
    levels = len(config["block_out_channels"])
    ups = [_up_has_attention(shapes, config, i) for i in range(levels)]
    out = "out.2.weight" if "out.2.weight" in shapes else "conv_out.weight"
    return config | {
        "out_channels": shapes[out][0],
        "up_block_types": ["CrossAttnUpBlock2D" if has else "UpBlock2D" for has in ups],
    }


def controlnet_config(shapes: Shapes, hints: Facts, family: Family) -> dict[str, Any]:
    """Return ControlNetModel's arguments for ControlNet tensors in the original or diffusers naming, without prefix."""
    config = _denoiser_config(shapes, hints, family)
    original = "input_hint_block.0.weight" in shapes
    first = "input_hint_block.0.weight" if original else "controlnet_cond_embedding.conv_in.weight"
    block = "input_hint_block.{}.weight" if original else "controlnet_cond_embedding.blocks.{}.weight"
    widths, step = [shapes[first][0]], 1
    while (name := block.format(2 * step + 2 if original else step)) in shapes:
        widths.append(shapes[name][0])
        step += 2
    config["conditioning_channels"] = shapes[first][1]
    config["conditioning_embedding_out_channels"] = widths
    return config


def _denoiser_config(shapes: Shapes, hints: Facts, family: Family) -> dict[str, Any]:
    original = "input_blocks.0.0.weight" in shapes
    levels = _original_levels(shapes) if original else _diffusers_levels(shapes)
    widths = [level.channels for level in levels]
    projection = next((shape for name, shape in shapes.items() if name.endswith(".proj_in.weight")), (0, 0, 1, 1))
    layers = [level.layers for level in levels]
    has_mid = "middle_block.1.norm.weight" in shapes or "mid_block.attentions.0.norm.weight" in shapes
    depths = [level.depth or 1 for level in levels]
    return {
        "in_channels": shapes["input_blocks.0.0.weight" if original else "conv_in.weight"][1],
        "block_out_channels": widths,
        "down_block_types": ["CrossAttnDownBlock2D" if level.depth else "DownBlock2D" for level in levels],
        "mid_block_type": "UNetMidBlock2DCrossAttn" if has_mid else "UNetMidBlock2D",
        "layers_per_block": layers[0] if len(set(layers)) == 1 else layers,
        "transformer_layers_per_block": depths[0] if len(set(depths)) == 1 else depths,
        "cross_attention_dim": _context_dim(shapes),
        "attention_head_dim": _heads(widths, hints, family),
        "use_linear_projection": len(projection) == 2,
        "norm_num_groups": int(hints.get("norm_groups", 32)),
        "norm_eps": float(hints.get("norm_eps", 1e-5)),
        "act_fn": str(hints.get("act", "silu")),
    }


def _original_levels(shapes: Shapes) -> list[_Level]:
    levels, index = [_Level()], 1
    while True:
        block = f"input_blocks.{index}"
        if f"{block}.0.op.weight" in shapes:
            levels.append(_Level())
        elif f"{block}.0.in_layers.2.weight" in shapes:
            level = levels[-1]
            level.channels, level.layers = shapes[f"{block}.0.in_layers.2.weight"][0], level.layers + 1
            level.depth = max(level.depth, _count(shapes, rf"{block}.1.transformer_blocks."))
        else:
            return levels
        index += 1


def _diffusers_levels(shapes: Shapes) -> list[_Level]:
    levels = []
    for i in range(_count(shapes, "down_blocks.")):
        block = f"down_blocks.{i}"
        depth = _count(shapes, f"{block}.attentions.0.transformer_blocks.")
        channels = shapes[f"{block}.resnets.0.conv1.weight"][0]
        levels.append(_Level(channels, _count(shapes, f"{block}.resnets."), depth))
    return levels


def _count(shapes: Shapes, prefix: str) -> int:
    indices = {name[len(prefix) :].split(".")[0] for name in shapes if name.startswith(prefix)}
    return len({index for index in indices if index.isdigit()})


def _context_dim(shapes: Shapes) -> int:
    return next((shape[1] for name, shape in shapes.items() if name.endswith(".attn2.to_k.weight")), 0)


def _heads(widths: list[int], hints: Facts, family: Family) -> list[int]:
    """diffusers calls this `attention_head_dim`, but for this class it is the number of heads of each level."""
    if "heads" in hints:
        heads = hints["heads"]
        return [int(n) for n in heads] if isinstance(heads, list) else [int(heads)] * len(widths)
    head_dim = hints.get("head_dim", family.head_dim)
    if head_dim is not None:
        return [max(1, width // int(head_dim)) for width in widths]
    return [family.heads or 8] * len(widths)


def _up_has_attention(shapes: Shapes, config: Facts, level: int) -> bool:
    if "input_blocks.0.0.weight" not in shapes:
        return f"up_blocks.{level}.attentions.0.norm.weight" in shapes
    layers = config["layers_per_block"]
    per_level = [layers] * len(config["block_out_channels"]) if isinstance(layers, int) else layers
    first = sum(n + 1 for n in per_level[::-1][:level])
    return f"output_blocks.{first}.1.norm.weight" in shapes


# --- VAE ------------------------------------------------------------------------------------------------------------


def vae_config(shapes: Shapes, hints: Facts) -> dict[str, Any]:
    """Return AutoencoderKL's arguments for VAE tensors in the original or diffusers naming, without prefix."""
    original = "encoder.down.0.block.0.conv1.weight" in shapes
    block = "encoder.down.{}.block." if original else "encoder.down_blocks.{}.resnets."
    levels = _count(shapes, "encoder.down." if original else "encoder.down_blocks.")
    widths = [shapes[block.format(i) + "0.conv1.weight"][0] for i in range(levels)]
    attention = any(name.startswith(("decoder.mid.attn_1.", "decoder.mid_block.attentions.")) for name in shapes)
    return {
        "in_channels": shapes["encoder.conv_in.weight"][1],
        "out_channels": shapes["decoder.conv_out.weight"][0],
        "latent_channels": shapes["decoder.conv_in.weight"][1],
        "block_out_channels": widths,
        "down_block_types": ["DownEncoderBlock2D"] * levels,
        "up_block_types": ["UpDecoderBlock2D"] * levels,
        "layers_per_block": _count(shapes, block.format(0)),
        "norm_num_groups": int(hints.get("norm_groups", 32)),
        "act_fn": str(hints.get("act", "silu")),
        "use_quant_conv": "quant_conv.weight" in shapes,
        "use_post_quant_conv": "post_quant_conv.weight" in shapes,
        "mid_block_add_attention": attention,
    }


# --- text encoder ---------------------------------------------------------------------------------------------------


def text_facts(shapes: Shapes, hints: Facts, family: TextFamily) -> TextEncoderFacts:
    """Return CLIPTextConfig's arguments and token rules for text encoder tensors (CLIP or open_clip names, no prefix)."""
    shapes = {name.removeprefix("text_model."): shape for name, shape in shapes.items()}
    open_clip = is_open_clip(shapes)
    table = shapes["token_embedding.weight" if open_clip else "embeddings.token_embedding.weight"]
    positions = shapes["positional_embedding" if open_clip else "embeddings.position_embedding.weight"][0]
    layer = "transformer.resblocks." if open_clip else "encoder.layers."
    layers, width = _count(shapes, layer), table[1]
    inner = shapes[f"{layer}0.mlp.c_fc.weight" if open_clip else f"{layer}0.mlp.fc1.weight"][0]
    projection = shapes.get("text_projection", shapes.get("text_projection.weight"))
    config = {
        "hidden_size": width,
        "intermediate_size": inner,
        "num_hidden_layers": layers,
        "num_attention_heads": int(hints.get("heads", max(1, width // family.head_dim))),
        "max_position_embeddings": positions,
        "vocab_size": table[0],
        "hidden_act": str(hints.get("act", family.act)),
        "layer_norm_eps": float(hints.get("norm_eps", 1e-5)),
        "projection_dim": projection[1 if open_clip else 0] if projection else 0,
    }
    cut = 1 if family.stop_at == -2 and layers == family.full_layers - 1 else 0
    return TextEncoderFacts(
        config=config, tokens=_tokens(hints, positions, family), stop_at=family.stop_at, cut_layers=cut
    )


def _tokens(hints: Facts, positions: int, family: TextFamily) -> TokenFacts:
    return TokenFacts(
        max_length=int(hints.get("max_length", positions)),
        start=hints.get("bos"),
        end=hints.get("eos"),
        pad=hints.get("pad", 0 if family.pad == "zero" else None),
    )


# --- what the network predicts and where ----------------------------------------------------------------------------


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
    """Return `base`, with v for a Stable Diffusion 2 U-Net of 4 input channels whose biases are spread as those of v are."""
    if family.name != SD2.name or unet is None or unet["in_channels"] != 4 or spread is None:
        return base
    name = next((name for name in _SPREAD_TENSORS if name in shapes), None)
    is_v = name is not None and spread(name) > V_SPREAD
    return msgspec.structs.replace(base, prediction="v") if is_v else base


def latent_format(family: Family, facts: Facts, unet: Facts | None, vae: Facts | None) -> LatentFormat:
    """Return the latent space: channels and downscale off the VAE (channels off the U-Net without one), the rest as told."""
    base, hints = family.latent, facts.get("vae", {})
    channels = vae["latent_channels"] if vae else unet["out_channels"] if unet else base.channels
    downscale = 2 ** (len(vae["block_out_channels"]) - 1) if vae else base.downscale
    known = channels == base.channels and "scale_factor" not in hints
    factors = facts.get("rgb_factors", base.rgb_factors if known else ())
    return LatentFormat(
        channels=channels,
        downscale=int(facts.get("downscale", downscale)),
        scale=float(hints.get("scale_factor", base.scale)),
        shift=float(hints.get("shift_factor", base.shift)),
        rgb_factors=tuple((float(r), float(g), float(b)) for r, g, b in factors),
        rgb_bias=_rgb(facts.get("rgb_bias", base.rgb_bias if known else (0.0, 0.0, 0.0))),
    )


def _rgb(values: Any) -> tuple[float, float, float]:
    red, green, blue = values
    return float(red), float(green), float(blue)
