"""Guidance by what predictions have in common, and predictions weighed anew: nodes that put it on a model, in their order."""

from __future__ import annotations

from typing import Annotated, NamedTuple

from engine.api import In, Model, Out, node
from engine.denoising.model_guidance import with_step


class Patched(NamedTuple):
    """The model under the name that saved workflows link."""

    patched_model: Annotated[Model, Out(name="patched_model")]


@node("APG", category="sampling/custom_sampling", display_name="Adaptive Projected Guidance")
def apg(
    model: Model,
    eta: Annotated[
        float,
        In(
            ge=-10,
            le=10,
            step=0.01,
            tip="Weight of what guidance adds along the positive prediction; 1 is plain guidance.",
        ),
    ] = 1.0,
    norm_threshold: Annotated[
        float,
        In(
            ge=0, le=50, step=0.1, tip="Longest that what guidance adds may be, over a whole picture; 0 for any length."
        ),
    ] = 5.0,
    momentum: Annotated[
        float,
        In(
            ge=-5,
            le=1,
            step=0.01,
            tip="How much of the steps before is added; negative values work against them. 0: none.",
        ),
    ] = 0.0,
) -> Model:
    """Adaptive projected guidance (Sadat et al. 2024): less of what makes strong guidance burn out colours.

    With d the difference of the predictions of x_0, `momentum` × the last d added to it, shortened to `norm_threshold` and its
    part along the positive prediction D weighed by `eta`, guided is D + (cfg - 1) × d, as the paper's algorithm 1 has it: with
    `eta` 1 and no other it is plain guidance. The memory starts anew where the noise rises. At cfg 1 nothing changes.
    """
    return with_step(model, "adaptive_projected", eta, norm_threshold, momentum)


@node("TCFG", category="advanced/guidance", display_name="Tangential Damping CFG")
def tcfg(model: Model) -> Patched:
    """Tangential damping (Kwon et al. 2025): keep of the negative prediction what lies along what both have in common.

    That is the first right singular vector of the two predictions of noise or velocity, picture by picture.
    """
    return Patched(with_step(model, "tangential"))


@node("CFGZeroStar", category="advanced/guidance", display_name=None)
def cfg_zero_star(model: Model) -> Patched:
    """CFG-Zero* (Fan et al. 2025): scale the negative prediction to what fits the positive one best, picture by picture.

    The factor is <v+, v-> / |v-|² of the predicted velocities, or noises. The paper's first steps of no movement are not part
    of it.
    """
    return Patched(with_step(model, "zero_star"))


@node("Mahiro", category="_for_testing", display_name="Positive-Biased Guidance", experimental=True)
def mahiro(model: Model) -> Patched:
    """Guide more by what the positive prompt says itself, the more the negative prediction points another way.

    Guided is mixed with cfg × positive by the cosine, over channels, of the signed square roots of cfg × negative and of the
    mean of both, averaged over each picture: at 1 guided counts alone, at -1 the other. No paper tells the formula; it is
    inferred. Where the negative is not evaluated, and of two guidances at once, it changes nothing.
    """
    return Patched(with_step(model, "positive_biased"))


@node("Epsilon Scaling", category="model_patches/unet", display_name=None)
def epsilon_scaling(
    model: Model,
    scaling_factor: Annotated[
        float,
        In(
            ge=0.5,
            le=1.5,
            step=0.001,
            tip="The predicted noise is divided by this; a little over 1 makes up for what sampling adds.",
            options={"advanced": True},
        ),
    ] = 1.005,
) -> Model:
    """Divide the predicted noise by a number, against the error that sampling builds up (Ning et al. 2023, uniform schedule).

    Of a flow it is x - x_0, the velocity, that is divided (inferred: the paper has no flows).
    """
    return with_step(model, "noise_divided", scaling_factor or 1e-9)


@node("TemporalScoreRescaling", category="model_patches/unet", display_name="TSR - Temporal Score Rescaling")
def temporal_score_rescaling(
    model: Model,
    tsr_k: Annotated[
        float,
        In(ge=0.01, le=100, step=0.001, tip="Lower for more detail, higher for smoother pictures; 1 changes nothing."),
    ] = 0.95,
    tsr_sigma: Annotated[
        float,
        In(ge=0.01, le=100, step=0.001, tip="The deviation that data are taken to have; larger takes effect earlier."),
    ] = 1.0,
) -> Patched:
    """Rescale the predicted noise over time, as if data were drawn at another temperature (Xu et al. 2025).

    By (eta sigma² + 1) / (eta sigma² / k + 1), eta being the ratio of signal to noise of the level; nothing where that is 0.
    """
    return Patched(with_step(model, "score_rescaled", tsr_k, tsr_sigma))
