"""Attention of U-Nets and text encoders made stronger or weaker: its weights times numbers."""

from __future__ import annotations

from typing import Annotated

from engine.api import Clip, Context, In, Model, node
from engine.denoising.inside.base import check_unet, is_unet
from engine.models.errors import ModelError
from engine.models.families import family_named
from engine.models.scaling import scaled

Factor = Annotated[float, In(ge=0, le=10, step=0.01, options={"advanced": True})]
Structure = Annotated[float, In(ge=0, le=10, step=0.01)]
Query = Annotated[Factor, In(tip="What the layer of queries is multiplied by, weights and biases.")]
Key = Annotated[Factor, In(tip="What the layer of keys is multiplied by, weights and biases.")]
Value = Annotated[Factor, In(tip="What the layer of values is multiplied by, weights and biases.")]
Output = Annotated[Factor, In(tip="What the layer after attention is multiplied by, weights and biases.")]

_CATEGORY = "_for_testing/attention_experiments"


@node("UNetSelfAttentionMultiply", category=_CATEGORY, display_name=None, experimental=True)
def unet_self_attention_multiply(
    model: Model, q: Query = 1.0, k: Key = 1.0, v: Value = 1.0, out: Output = 1.0
) -> Model:
    """Multiply the layers of a U-Net's self-attention, as they are at this place of the chain (LoRAs before it included)."""
    return _of_unet(model, "UNetSelfAttentionMultiply", "attn1", q, k, v, out)


@node("UNetCrossAttentionMultiply", category=_CATEGORY, display_name=None, experimental=True)
def unet_cross_attention_multiply(
    model: Model, q: Query = 1.0, k: Key = 1.0, v: Value = 1.0, out: Output = 1.0
) -> Model:
    """Multiply the layers of a U-Net's attention to the text, as they are at this place of the chain, LoRAs before it too."""
    return _of_unet(model, "UNetCrossAttentionMultiply", "attn2", q, k, v, out)


@node("UNetTemporalAttentionMultiply", category=_CATEGORY, display_name=None, experimental=True)
def unet_temporal_attention_multiply(
    ctx: Context,
    model: Model,
    self_structural: Annotated[Structure, In(tip="Of self-attention within a picture.")] = 1.0,
    self_temporal: Annotated[Structure, In(tip="Of self-attention between frames.")] = 1.0,
    cross_structural: Annotated[Structure, In(tip="Of attention to the text within a picture.")] = 1.0,
    cross_temporal: Annotated[Structure, In(tip="Of attention to the text between frames.")] = 1.0,
) -> Model:
    """Multiply what attention of a U-Net gives, within pictures and between frames.

    No U-Net of the families here has layers between frames. What a model has no layers for is said, and changes nothing;
    workflows of the field have this node on transformers, which there as here stay as they are.
    """
    if not is_unet(model):
        if {self_structural, self_temporal, cross_structural, cross_temporal} != {1.0}:
            ctx.warn(
                f"{family_named(model.family).title} is no U-Net: it has no such attention, and nothing is multiplied."
            )
        return model
    if (self_temporal, cross_temporal) != (1.0, 1.0):
        ctx.warn(f"{family_named(model.family).title} has no attention between frames: its two factors change nothing.")
    return scaled(model, {("attn1.to_out.0",): self_structural, ("attn2.to_out.0",): cross_structural})[0]


@node("CLIPAttentionMultiply", category=_CATEGORY, display_name=None, experimental=True)
def clip_attention_multiply(clip: Clip, q: Query = 1.0, k: Key = 1.0, v: Value = 1.0, out: Output = 1.0) -> Clip:
    """Multiply the layers of attention of CLIP's text encoders; of several encoders those of other kinds stay as they are.

    Raises ModelError where none is one of CLIP.
    """
    factors: dict[tuple[str, ...], float] = {
        ("self_attn.q_proj",): q,
        ("self_attn.k_proj",): k,
        ("self_attn.v_proj",): v,
        ("self_attn.out_proj",): out,
    }
    towers = [scaled(tower, factors) if _is_clip(tower) else (tower, False) for tower in clip.towers]
    if not any(found for _, found in towers):
        kinds = ", ".join(tower.tower for tower in clip.towers)
        raise ModelError(
            f"CLIPAttentionMultiply: clip: {clip.source.path} has no text encoder of CLIP, but {kinds}. Use it with models that "
            "have one (Stable Diffusion 1, 2, XL, 3, FLUX.1), or leave this node out."
        )
    return clip.with_towers(tower for tower, _ in towers)


def _is_clip(tower: Clip) -> bool:
    return any(one.name == tower.tower and one.kind == "clip" for one in family_named(tower.family).towers)


def _of_unet(model: Model, name: str, attention: str, q: float, k: float, v: float, out: float) -> Model:
    check_unet(model, name, "self-attention and attention to the text in layers of their own")
    parts = {"to_q": q, "to_k": k, "to_v": v, "to_out.0": out}
    factors: dict[tuple[str, ...], float] = {(f"{attention}.{part}",): factor for part, factor in parts.items()}
    return scaled(model, factors)[0]
