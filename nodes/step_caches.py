"""Steps of a run that are not computed, since what they would give is known well enough."""

from __future__ import annotations

from typing import Annotated

from engine.api import In, Model, node
from engine.denoising.inside.base import with_patch
from engine.denoising.model_steering import LAZY

_ADVANCED = {"advanced": True}
Threshold = Annotated[
    float,
    In(
        ge=0,
        le=3,
        step=0.01,
        tip="How much change may be expected in sum before a step is computed.",
        options=_ADVANCED,
    ),
]
Start = Annotated[
    float, In(ge=0, le=1, step=0.01, tip="Share of the noise levels that are computed before.", options=_ADVANCED)
]
End = Annotated[float, In(ge=0, le=1, step=0.01, tip="From this share on all are computed.", options=_ADVANCED)]
Verbose = Annotated[bool, In(tip="Write to the log what is decided at each step.", options=_ADVANCED)]


@node("EasyCache", category="advanced/debug/model", display_name=None, experimental=True)
def easy_cache(
    model: Model,
    reuse_threshold: Threshold = 0.2,
    start_percent: Start = 0.15,
    end_percent: End = 0.95,
    verbose: Verbose = False,
) -> Model:
    """Leave out calls of the network whose outcome is known well enough from the step before (EasyCache; Zhou et al. 2025).

    What the network adds to its input is then that of the last step that was computed, for each prompt its own. How many were
    left out is said after the run. Pictures change; at threshold 0 none does, and the model comes back as it is. For every
    family but those that have learned a variance, all of whose steps are computed.
    """
    if reuse_threshold == 0.0:
        return model
    return with_patch(
        model,
        "easy_cache",
        threshold=reuse_threshold,
        start_percent=start_percent,
        end_percent=end_percent,
        verbose=verbose,
    )


@node("LazyCache", category="advanced/debug/model", display_name=None, experimental=True)
def lazy_cache(
    model: Model,
    reuse_threshold: Threshold = 0.2,
    start_percent: Start = 0.15,
    end_percent: End = 0.95,
    verbose: Verbose = False,
) -> Model:
    """Leave out steps whose outcome is known well enough from the step before, by the guided prediction (after EasyCache).

    What the prediction adds to x is then that of the last step that was computed. How many were left out is said after the run.
    Pictures change; at threshold 0 none does, and the model comes back as it is. Samplers that want both predictions of a
    guidance (CFG++) compute every step.
    """
    if reuse_threshold == 0.0:
        return model
    return model.with_option(LAZY, [reuse_threshold, start_percent, end_percent, verbose])
