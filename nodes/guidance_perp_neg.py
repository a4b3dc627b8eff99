"""Perp-Neg: negative prompts that take nothing of what is wanted away."""

from __future__ import annotations

from typing import Annotated

from engine.api import Cfg, Conditioning, Guider, In, Model, node
from engine.denoising.guided import GuidedModel
from engine.denoising.live import rescale_of
from engine.denoising.model_guidance import with_away
from engine.sampling.guiders import CfgGuidance
from nodes.carried import carrying

NegScale = Annotated[
    float, In(ge=0, le=100, step=0.01, tip="How much of the negative's own is taken off; 0 takes nothing off.")
]


@node("PerpNeg", category="_for_testing", display_name="Perp-Neg (DEPRECATED by Perp-Neg Guider)", deprecated=True)
def perp_neg(
    model: Model,
    empty_conditioning: Annotated[Conditioning, In(tip="A prompt that says nothing, which guidance starts from.")],
    neg_scale: NegScale = 1.0,
) -> Model:
    """Have a sampler's negative prompt act by Perp-Neg; see PerpNegGuider. It is for samplers with one cfg."""
    model, name = carrying(model, empty_conditioning, "PerpNeg: empty_conditioning")
    return with_away(model, name, neg_scale)


@node("PerpNegGuider", category="_for_testing", display_name="Perp-Neg Guider", experimental=True)
def perp_neg_guider(
    model: Model,
    positive: Conditioning,
    negative: Conditioning,
    empty_conditioning: Annotated[Conditioning, In(tip="A prompt that says nothing, which guidance starts from.")],
    cfg: Cfg = 8.0,
    neg_scale: NegScale = 1.0,
) -> Guider:
    """Guide from an empty prompt, with only that part of the negative that is perpendicular to the positive taken off.

    With p and n what the two add to the empty prediction, guided is empty + cfg × (p - neg_scale × (n - (n·p / |p|²) p)),
    picture by picture (Armandpour et al. 2023). All three predictions are made in one call of the network where they fit.
    """
    guidance = CfgGuidance(positive, empty_conditioning, cfg, rescale_of(model), away=negative, away_scale=neg_scale)
    return GuidedModel(model, guidance)
