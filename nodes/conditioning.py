"""Conditioning: text to what steers a denoiser, and ways to mix, place and time it.

A conditioning is a list of `[tensor (1, T, D), options]`; nodes make new lists and never write into what they get.
"""

from __future__ import annotations

from typing import Annotated, Any

import torch

from engine.api import Clip, Conditioning, Context, In, Mask, Mentions, node
from engine.models.checkpoints import CHECKPOINT_SUFFIXES
from engine.models.encoded import makers, signed
from engine.models.hooked_text import conditioning as encoded

PIXELS_PER_LATENT = 8
"""Areas are given in pixels and kept in units of eight, which are latent pixels of most models."""

_MASK = "attention_mask"
"""The option of a conditioning that tells which of its tokens are padding."""

Width = Annotated[int, In(ge=64, le=16384, step=8, tip="Width of the area in pixels.")]
Height = Annotated[int, In(ge=64, le=16384, step=8, tip="Height of the area in pixels.")]
Left = Annotated[int, In(ge=0, le=16384, step=8, tip="Pixels from the left edge.")]
Top = Annotated[int, In(ge=0, le=16384, step=8, tip="Pixels from the upper edge.")]
Share = Annotated[float, In(ge=0, le=1, step=0.01, tip="As a share of the picture's side.")]
AreaStrength = Annotated[float, In(ge=0, le=10, step=0.01, tip="Weight against other conditionings that overlap.")]
Moment = Annotated[float, In(ge=0, le=1, step=0.001, tip="Share of the sampling done: 0 the start, 1 the end.")]


@node("TextEncode", category="conditioning", display_name="CLIP Text Encode (Prompt)")
def text_encode(
    ctx: Context,
    text: Annotated[
        str,
        In(
            multiline=True,
            mentions=Mentions("embedding:", "embeddings", CHECKPOINT_SUFFIXES),
            options={"dynamicPrompts": True},
            tip="The prompt. (word:1.2) weights a word, embedding:name inserts one.",
        ),
    ],
    clip: Clip,
) -> Conditioning:
    """Encode a prompt to a conditioning (1, T, D); prompts past the encoder's length become several chunks."""
    return encoded(ctx.models, clip, lambda encoder: encoder.encode(text, ctx.warn))


@node("CLIPSetLastLayer", category="conditioning", display_name="CLIP Set Last Layer")
def clip_set_last_layer(
    clip: Clip,
    stop_at_clip_layer: Annotated[int, In(ge=-24, le=-1, step=1, tip="-1 is the last layer, -2 the one before.")] = -1,
) -> Clip:
    """Take the conditioning from an earlier layer of the text encoder (clip skip)."""
    return clip.with_last_layer(stop_at_clip_layer)


@node("ConditioningCombine", category="conditioning", display_name="Conditioning (Combine)")
def conditioning_combine(conditioning_1: Conditioning, conditioning_2: Conditioning) -> Conditioning:
    """Use both: the network predicts under each, and the predictions are averaged by strength where they overlap."""
    return [*conditioning_1, *conditioning_2]


@node("ConditioningConcat", category="conditioning", display_name="Conditioning (Concat)")
def conditioning_concat(conditioning_to: Conditioning, conditioning_from: Conditioning) -> Conditioning:
    """Append the tokens of `conditioning_from` to each entry of `conditioning_to`: (B, T1 + T2, D), one prediction."""
    added, further = _first(conditioning_from, "conditioning_from")
    result: Conditioning = []
    for tokens, options in conditioning_to:
        new = dict(options)
        if _MASK in options or _MASK in further:
            new[_MASK] = torch.cat((_mask(tokens, options), _mask(added, further)), dim=1)
        result.append(_made_of(_joined(tokens, added), new, (tokens, options), (added, further)))
    return result


def _made_of(tokens: torch.Tensor, options: dict[str, Any], *sources: tuple[torch.Tensor, dict[str, Any]]) -> list[Any]:
    """A text that was made of others: by the encoders of all, where each tells its own."""
    found = [makers(*source) for source in sources]
    return [tokens, signed(tokens, options, frozenset().union(*found) if all(found) else ())]


def _mask(tokens: torch.Tensor, options: dict[str, Any]) -> torch.Tensor:
    """Which tokens of a conditioning (B, T, D) are text and which are padding, 0: (1, T)."""
    told: torch.Tensor | None = options.get(_MASK)
    return torch.ones(1, tokens.shape[1], dtype=torch.int64) if told is None else told.to("cpu", torch.int64)


def _joined(tokens: torch.Tensor, added: torch.Tensor) -> torch.Tensor:
    if tokens.shape[-1] != added.shape[-1]:
        raise ValueError(
            f"ConditioningConcat: the two have widths {tokens.shape[-1]} and {added.shape[-1]}; "
            "use conditionings of the same text encoder."
        )
    return torch.cat((tokens, added), dim=1)


@node("ConditioningAverage", category="conditioning")
def conditioning_average(
    conditioning_to: Conditioning,
    conditioning_from: Conditioning,
    conditioning_to_strength: Annotated[float, In(ge=0, le=1, step=0.01, tip="1 is all `to`, 0 is all `from`.")] = 1.0,
) -> Conditioning:
    """Interpolate token by token between two conditionings; the shorter `from` counts as zero past its end."""
    tokens_from, options_from = _first(conditioning_from, "conditioning_from")
    share = conditioning_to_strength
    result: Conditioning = []
    for tokens, options in conditioning_to:
        mixed = tokens * share + _fit_tokens(tokens_from, tokens.shape[1]) * (1.0 - share)
        pooled = options.get("pooled_output")
        pooled_from = options_from.get("pooled_output", pooled)
        new = dict(options)
        if pooled is not None:
            new["pooled_output"] = pooled * share + pooled_from * (1.0 - share)
        elif pooled_from is not None:
            new["pooled_output"] = pooled_from
        if _MASK in options:  # what either has text in is text
            seen = _fit_tokens(_mask(tokens_from, options_from)[..., None], tokens.shape[1])[..., 0]
            new[_MASK] = torch.maximum(_mask(tokens, options), seen)
        result.append(_made_of(mixed, new, (tokens, options), (tokens_from, options_from)))
    return result


def _fit_tokens(tokens: torch.Tensor, length: int) -> torch.Tensor:
    """Cut (B, T, D) to `length` tokens, or fill up with zeros."""
    missing = length - tokens.shape[1]
    return torch.nn.functional.pad(tokens, (0, 0, 0, missing)) if missing > 0 else tokens[:, :length]


@node("ConditioningSetArea", category="conditioning", display_name="Conditioning (Set Area)")
def conditioning_set_area(
    conditioning: Conditioning,
    width: Width = 64,
    height: Height = 64,
    x: Left = 0,
    y: Top = 0,
    strength: AreaStrength = 1.0,
) -> Conditioning:
    """Let the conditioning act only in a rectangle, given in pixels of the picture."""
    sides = tuple(side // PIXELS_PER_LATENT for side in (height, width, y, x))
    return with_options(conditioning, area=sides, strength=strength, set_area_to_bounds=False)


@node("ConditioningSetAreaPercentage", category="conditioning", display_name="Conditioning (Set Area with Percentage)")
def conditioning_set_area_percentage(
    conditioning: Conditioning,
    width: Share = 1.0,
    height: Share = 1.0,
    x: Share = 0.0,
    y: Share = 0.0,
    strength: AreaStrength = 1.0,
) -> Conditioning:
    """Let the conditioning act only in a rectangle, given as shares of the picture's sides."""
    return with_options(
        conditioning, area=("percentage", height, width, y, x), strength=strength, set_area_to_bounds=False
    )


@node("ConditioningSetAreaStrength", category="conditioning")
def conditioning_set_area_strength(conditioning: Conditioning, strength: AreaStrength = 1.0) -> Conditioning:
    """Weigh the conditioning against others that overlap it."""
    return with_options(conditioning, strength=strength)


@node("ConditioningSetMask", category="conditioning", display_name="Conditioning (Set Mask)")
def conditioning_set_mask(
    conditioning: Conditioning,
    mask: Mask,
    strength: AreaStrength = 1.0,
    set_cond_area: Annotated[
        str,
        In(choices=("default", "mask bounds"), tip="`mask bounds` evaluates only the rectangle around the mask."),
    ] = "default",
) -> Conditioning:
    """Let the conditioning act where `mask` (B, H, W) is 1, fading with it; the mask is scaled to the latent."""
    return with_options(
        conditioning,
        mask=mask.unsqueeze(0) if mask.ndim < 3 else mask,
        set_area_to_bounds=set_cond_area == "mask bounds",
        mask_strength=strength,
    )


@node("ConditioningSetTimestepRange", category="advanced/conditioning")
def conditioning_set_timestep_range(conditioning: Conditioning, start: Moment = 0.0, end: Moment = 1.0) -> Conditioning:
    """Let the conditioning act only in a part of the sampling."""
    return with_options(conditioning, start_percent=start, end_percent=end)


@node("ConditioningZeroOut", category="advanced/conditioning")
def conditioning_zero_out(conditioning: Conditioning) -> Conditioning:
    """Replace the conditioning by zeros of the same shape: neither this prompt nor the empty one."""
    return [_zeros(tokens, options) for tokens, options in conditioning]


def _zeros(tokens: torch.Tensor, options: dict[str, Any]) -> list[Any]:
    """Zeros, which every encoder could have made."""
    new = signed(tokens, options, ())
    if (pooled := options.get("pooled_output")) is not None:
        new["pooled_output"] = torch.zeros_like(pooled)
    return [torch.zeros_like(tokens), new]


def with_options(conditioning: Conditioning, **options: Any) -> Conditioning:
    """Return a copy of the conditioning with `options` set on every entry."""
    return [[tokens, {**old, **options}] for tokens, old in conditioning]


def _first(conditioning: Conditioning, name: str) -> list[Any]:
    if not conditioning:
        raise ValueError(f"{name} is an empty conditioning; link one that holds at least one entry.")
    return conditioning[0]
