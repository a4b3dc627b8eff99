"""Guidance by two models, and guidance that changes on the way."""

from __future__ import annotations

from typing import Annotated

from engine.api import Conditioning, Guider, In, Model, node
from engine.datatypes.latent_formats import same_space
from engine.denoising.guided import GuidedModel
from engine.denoising.live import rescale_of, with_cfg_range
from engine.sampling.guiders import CfgGuidance

Percent = Annotated[float, In(ge=0, le=1, step=0.001, tip="Share of the noise levels that are behind.")]


@node("DualModelGuider", category="sampling/custom_sampling/guiders", display_name="Dual Model CFG Guider")
def dual_model_guider(
    model: Annotated[Model, In(tip="Predicts for the positive conditioning.")],
    positive: Conditioning,
    cfg: Annotated[float, In(ge=0, le=100, step=0.1, round=0.01, tip="How far away from the negative.")] = 4.0,
    model_negative: Annotated[
        Model | None, In(tip="Predicts for the negative conditioning; without one the same model does.")
    ] = None,
    negative: Annotated[
        Conditioning | None, In(tip="Without one the negative prediction is made without any text.")
    ] = None,
) -> Guider:
    """Classifier-free guidance between two models, such as one that was trained with texts and one without.

    Without `negative` the other prediction is made of the picture alone, under a text of no tokens.
    """
    away = [[context[:, :0], options] for context, options in positive] if negative is None else negative
    guidance = CfgGuidance(positive, away, cfg, rescale_of(model))
    if model_negative is None:
        return GuidedModel(model, guidance)
    _check_pair(model, model_negative)
    return GuidedModel(model, guidance, model_negative)


def _check_pair(model: Model, other: Model) -> None:
    """Raise ValueError where two models do not predict for the same x."""
    ours, theirs = model.parameterization, other.parameterization
    alike = (ours.prediction, ours.schedule, ours.timesteps) == (theirs.prediction, theirs.schedule, theirs.timesteps)
    if not alike or not same_space(model.latent, other.latent):
        raise ValueError(
            f"DualModelGuider: model_negative ({other.family}) must have the latents and the noise of model ({model.family}). "
            "Load the second network of the same family."
        )
    if any(getattr(one, "hooks", None) is not None for one in (model, other)):
        raise ValueError(
            "DualModelGuider: a pack has put functions around one of the models, which run one model only. "
            "Connect the models without that pack's node."
        )


@node("CFGOverride", category="advanced/guidance", display_name="CFG Override")
def cfg_override(
    model: Model,
    cfg: Annotated[float, In(ge=0, le=100, step=0.1, round=0.01, tip="How strong guidance is in the range.")] = 1.0,
    start_percent: Percent = 0.0,
    end_percent: Percent = 1.0,
) -> Model:
    """Guide by another cfg over a part of the noise levels; of several that overlap the one nearest to the sampler counts."""
    return with_cfg_range(model, cfg, start_percent, end_percent)
