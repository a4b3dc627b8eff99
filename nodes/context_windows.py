"""Context windows: long rows of frames, predicted a window at a time."""

from __future__ import annotations

import re
from typing import Annotated, Any

from engine.api import In, Model, node
from engine.denoising.inside.base import with_patch
from engine.denoising.inside.windows import KIND
from engine.models.errors import ModelError
from engine.models.families import family_named
from engine.sampling.context_windows import FUSING, SCHEDULES

_FRAMES = 4
"""Frames of a video that one of Wan's latents stands for, but the first."""

Length = Annotated[int, In(ge=1, tip="Frames of latents in a window.")]
Overlap = Annotated[int, In(ge=0, tip="Frames that windows have in common; fewer than their length.")]
Schedule = Annotated[
    str,
    In(
        choices=tuple(SCHEDULES),
        tip="Which windows a step has: the same, such that begin elsewhere at each step, over the row's end, or side by side.",
    ),
]
Stride = Annotated[
    int, In(ge=1, tip="Kinds of windows: of every frame, every second, every fourth …; for uniform ones.")
]
Closed = Annotated[bool, In(tip="The end is followed by the beginning; for looped windows.")]
Fuse = Annotated[
    str,
    In(
        choices=tuple(FUSING),
        tip="How much a frame counts: most in a window's middle, by its place, the same, or ramps in overlaps.",
    ),
]
FreeNoise = Annotated[bool, In(tip="Let all windows begin with the noise of the first, shuffled (FreeNoise).")]
Split = Annotated[bool, In(tip="Combined prompts are for one part of the row each, in their order.")]
Indices = Annotated[str, In(options={"multiline": False}, tip="Numbers with commas between, such as 0 or 0,1.")]


@node("ContextWindowsManual", category="context", display_name="Context Windows (Manual)", experimental=True)
def context_windows_manual(
    model: Model,
    context_length: Length = 16,
    context_overlap: Overlap = 4,
    context_schedule: Schedule = "standard_static",
    context_stride: Stride = 1,
    closed_loop: Closed = False,
    fuse_method: Fuse = "pyramid",
    dim: Annotated[
        int,
        In(ge=0, le=5, tip="Of latents: 0 pictures of a batch, 2 frames of (B, C, T, h, w), or lines of (B, C, h, w)."),
    ] = 0,
    freenoise: FreeNoise = False,
    cond_retain_index_list: Annotated[
        Indices,
        In(
            tip="Frames of what stands beside the latent that every window has in the same place: 0 keeps a start picture."
        ),
    ] = "",
    split_conds_to_windows: Split = False,
    latent_retain_index_list: Annotated[
        Indices, In(tip="The same of the latent itself, for models whose start picture is in it.")
    ] = "",
    causal_window_fix: Annotated[
        bool,
        In(
            tip="Give windows of frames that do not begin the row the frame before them too, and drop what comes of it."
        ),
    ] = True,
) -> Model:
    """Predict a long row a window at a time and put the predictions together, weighted, at each step.

    The row is along `dim`; one no longer than a window is predicted as ever. What stands beside the latent is cut as it is;
    ControlNets are possible for windows over pictures (dim 0) only. `causal_window_fix` is for frames (dim 2 of 5) alone. As
    inferred from the field's words: where windows of a step begin, the frame that the fix takes, and that a retained latent's own
    prediction counts for its own frame alone.

    Raises ValueError for an overlap that is no less than the length, dim 1, or what is no list of numbers.
    """
    if dim == 1:
        raise ValueError(
            "ContextWindowsManual: dim: 1 is the channels of a latent, which are no row. Choose 0, or 2 and more."
        )
    return _windowed(
        model,
        "ContextWindowsManual",
        length=context_length,
        overlap=context_overlap,
        schedule=context_schedule,
        stride=context_stride,
        closed=closed_loop,
        fuse=fuse_method,
        dim=dim,
        free=freenoise,
        kept_in_cond=_numbers("cond_retain_index_list", cond_retain_index_list),
        kept_in_latent=_numbers("latent_retain_index_list", latent_retain_index_list),
        split=split_conds_to_windows,
        causal=causal_window_fix,
    )


@node("WanContextWindowsManual", category="context", display_name="WAN Context Windows (Manual)", experimental=True)
def wan_context_windows_manual(
    model: Model,
    context_length: Annotated[int, In(ge=1, le=16384, step=4, tip="Frames of the video in a window: 4 n + 1.")] = 81,
    context_overlap: Annotated[int, In(ge=0, tip="Frames of the video that windows have in common.")] = 30,
    context_schedule: Schedule = "standard_uniform",
    context_stride: Stride = 1,
    closed_loop: Closed = False,
    fuse_method: Fuse = "pyramid",
    freenoise: FreeNoise = True,
    retain_first_frame: Annotated[
        bool, In(tip="Every window has the start picture that stands beside the latent.")
    ] = False,
    split_conds_to_windows: Split = False,
) -> Model:
    """Predict a long video a window at a time, counted in frames of the video, four of which are one of Wan's latents.

    A window of 4 n + 1 frames is n + 1 latents, an overlap of 4 n frames n. For models with the latents of Wan 2.1; see
    ContextWindowsManual. Raises ModelError for a model whose latents have no frames, ValueError as that does.
    """
    if model.latent.axes != 3:
        raise ModelError(
            f"WanContextWindowsManual: model: {family_named(model.family).title} has latents without frames. Load a model of "
            "videos, or use ContextWindowsManual with another dim."
        )
    return _windowed(
        model,
        "WanContextWindowsManual",
        length=max((context_length - 1) // _FRAMES + 1, 1),
        overlap=context_overlap // _FRAMES,
        schedule=context_schedule,
        stride=context_stride,
        closed=closed_loop,
        fuse=fuse_method,
        dim=2,
        free=freenoise,
        kept_in_cond=[0] if retain_first_frame else [],
        kept_in_latent=[],
        split=split_conds_to_windows,
        causal=True,
    )


def _windowed(model: Model, name: str, *, length: int, overlap: int, **told: Any) -> Model:
    if overlap >= length:
        raise ValueError(
            f"{name}: context_overlap: windows of {length} latents cannot have {overlap} in common with the next. Choose fewer "
            "than the length."
        )
    return with_patch(model, KIND, length=length, overlap=overlap, **told)


def _numbers(name: str, text: str) -> list[int]:
    parts = text.replace(",", " ").split()
    if not all(re.fullmatch(r"[0-9]{1,6}", part) for part in parts):
        raise ValueError(
            f"{name}: {text[:80]!r} is no list of places. Write numbers from 0 with commas between, such as 0,1."
        )
    return sorted({int(part) for part in parts})
