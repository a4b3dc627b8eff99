"""What a model is told to do in another way during a run."""

from __future__ import annotations

from typing import Annotated

from engine.api import In, Model, node
from engine.denoising.live import DIFFERENTIAL_OPTION

BACKENDS = ("pytorch attention", "comfy kitchen attention")


@node("DifferentialDiffusion", category="_for_testing", display_name="Differential Diffusion")
def differential_diffusion(
    model: Model,
    strength: Annotated[
        float | None, In(ge=0, le=1, step=0.01, tip="0 takes the mask as it is, 1 only whether a place is painted yet.")
    ] = 1.0,
) -> Model:
    """Let the mask of a latent say from which step on each place is painted: the darker, the later (Levin and Fried 2023)."""
    return model.with_option(DIFFERENTIAL_OPTION, 1.0 if strength is None else strength)


@node("ModelAttentionBackend", category="advanced/model", display_name="Model Attention Backend")
def model_attention_backend(
    model: Model,
    attention: Annotated[
        str, In(choices=BACKENDS, tip="The second is 8-bit and not there: PyTorch's is taken in its place.")
    ] = "pytorch attention",
) -> Model:
    """Choose how attention is computed: here always by PyTorch, which also stands in for one that is not there."""
    return model
