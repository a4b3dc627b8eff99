"""Guidance that grows from picture to picture of a batch, for models that make the frames of a video as one."""

from __future__ import annotations

from typing import Annotated

from engine.api import In, Model, node
from engine.denoising.model_guidance import with_frames

MinCfg = Annotated[float, In(ge=0, le=100, step=0.5, round=0.01, tip="The cfg of the frames that have the least.")]


@node("VideoLinearCFGGuidance", category="sampling/video_models", display_name=None)
def video_linear_cfg_guidance(model: Model, min_cfg: MinCfg = 1.0) -> Model:
    """Let cfg grow evenly over the frames, from `min_cfg` at the first to the sampler's at the last.

    As the pipeline of Stable Video Diffusion does (Blattmann et al. 2023). Frames are the pictures of a batch (B, C, h, w),
    or those of each latent that has some (B, C, T, h, w); of a single one it is `min_cfg`. Not for two guidances at once.
    """
    return with_frames(model, "linear", min_cfg)


@node("VideoTriangleCFGGuidance", category="sampling/video_models", display_name=None)
def video_triangle_cfg_guidance(
    model: Model,
    min_cfg: Annotated[
        float,
        In(
            ge=0,
            le=100,
            step=0.5,
            round=0.01,
            tip="The cfg of the frames that have the least.",
            options={"advanced": True},
        ),
    ] = 1.0,
) -> Model:
    """Let cfg grow evenly from `min_cfg` at the first frame to the sampler's in the middle, and fall to it again at the last.

    For videos whose end is their beginning. Frames as in VideoLinearCFGGuidance.
    """
    return with_frames(model, "triangle", min_cfg)
