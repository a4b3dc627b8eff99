"""Keyframes of hooks: how much they count, by the share of the sampling that is done."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Annotated, Any

from engine.api import In, Out, Socket, node
from engine.models.hooks import HookKeyframes as Keyframes
from engine.models.hooks import Keyframe
from nodes.hooks import HookKeyframes

if TYPE_CHECKING:
    from collections.abc import Sequence

    Floats = float | Sequence[float]
else:

    class Floats(Socket, io_type="FLOATS"):
        """A number, or a list of them."""


log = logging.getLogger("safelight.hooks")

Percent = Annotated[float, In(ge=0, le=1, step=0.001, tip="Share of the sampling done: 0 the start, 1 the end.")]
Strength = Annotated[float, In(ge=0, le=10, step=0.001, tip="What hooks' strengths are multiplied by.")]
Earlier = Annotated[HookKeyframes | None, In(tip="Keyframes beside which these stand.")]
Told = Annotated[bool, In(options={"advanced": True}, tip="Write them into the log.")]
Made = Annotated[HookKeyframes, Out(name="HOOK_KF")]


@node(
    "CreateHookKeyframe", category="advanced/hooks/scheduling", display_name="Create Hook Keyframe", experimental=True
)
def create_hook_keyframe(
    strength_mult: Annotated[
        float, In(ge=-20, le=20, step=0.01, tip="What hooks' strengths are multiplied by from here on.")
    ] = 1.0,
    start_percent: Percent = 0.0,
    prev_hook_kf: Earlier = None,
) -> Made:
    """Let hooks count so much from a share of the sampling on, until the next keyframe.

    Before its start the first keyframe holds as well (inferred), so one that is to begin later needs one at 0 before it.
    """
    return _after(prev_hook_kf, [Keyframe(start_percent, strength_mult)])


def _halves(ease_in: Callable[[float], float]) -> Callable[[float], float]:
    """Ease in over the first half, and out over the second."""
    return lambda t: ease_in(2 * t) / 2 if t < 0.5 else 1 - ease_in(2 - 2 * t) / 2


def _halves_out_in(ease_in: Callable[[float], float]) -> Callable[[float], float]:
    return lambda t: (1 - ease_in(1 - 2 * t)) / 2 if t < 0.5 else (1 + ease_in(2 * t - 1)) / 2


def _bounce_in(t: float) -> float:
    rest = 1.0 - t
    for begins, middle, height in ((1, 0.0, 0.0), (2, 1.5, 0.75), (2.5, 2.25, 0.9375), (math.inf, 2.625, 0.984375)):
        if rest < begins / 2.75:
            return 1.0 - (7.5625 * (rest - middle / 2.75) ** 2 + height)
    return 0.0


def _elastic_in(t: float) -> float:
    if t in (0.0, 1.0):
        return t
    return float(-(2 ** (10 * t - 10)) * math.sin((10 * t - 10.75) * 2 * math.pi / 3))


CURVES: dict[str, Callable[[float], float]] = {
    "LINEAR": lambda t: t,
    "EASE_IN": lambda t: t**2,
    "EASE_OUT": lambda t: 1 - (1 - t) ** 2,
    "EASE_IN_OUT": _halves(lambda t: t**2),
    "EASE_OUT_IN": _halves_out_in(lambda t: t**2),
    "SINE": lambda t: (1 - math.cos(math.pi * t)) / 2,
    "CUBIC": _halves(lambda t: t**3),
    "QUARTIC": _halves(lambda t: t**4),
    "QUINTIC": _halves(lambda t: t**5),
    "EXPO": _halves(lambda t: 0.0 if t <= 0 else 2 ** (10 * t - 10)),
    "CIRC": _halves(lambda t: 1 - math.sqrt(max(0.0, 1 - t * t))),
    "BACK": _halves(lambda t: 2.70158 * t**3 - 1.70158 * t**2),
    "BOUNCE": _halves(_bounce_in),
    "ELASTIC": _halves(_elastic_in),
}
"""`share of the way (0..1) -> share of the change`: Penner's easing (2002), of the kinds without a direction both ways.

Inferred: the field's documentation has the names alone.
"""


@node(
    "CreateHookKeyframesInterpolated",
    category="advanced/hooks/scheduling",
    display_name="Create Hook Keyframes Interp.",
    experimental=True,
)
def create_hook_keyframes_interpolated(
    strength_start: Strength = 1.0,
    strength_end: Strength = 1.0,
    interpolation: Annotated[
        str, In(choices=tuple(CURVES), tip="How the strength gets from one to the other.")
    ] = "LINEAR",
    start_percent: Percent = 0.0,
    end_percent: Percent = 1.0,
    keyframes_count: Annotated[int, In(ge=2, le=100, tip="How many, as far from one another.")] = 5,
    print_keyframes: Told = False,
    prev_hook_kf: Earlier = None,
) -> Made:
    """Let hooks go from one strength to another, in steps: keyframes from `start_percent` to `end_percent`, evenly apart.

    Each has weights made for it, which takes as long as to put on a LoRA. The first holds for a step at least.
    """
    curve = CURVES[interpolation]
    shares = [number / (keyframes_count - 1) for number in range(keyframes_count)]
    strengths = [strength_start + (strength_end - strength_start) * curve(share) for share in shares]
    return _row(strengths, start_percent, end_percent, prev_hook_kf, told=print_keyframes)


@node(
    "CreateHookKeyframesFromFloats",
    category="advanced/hooks/scheduling",
    display_name="Create Hook Keyframes From Floats",
    experimental=True,
)
def create_hook_keyframes_from_floats(
    floats_strength: Annotated[
        Floats,
        In(
            link_only=True,
            options={"default": -1, "min": -1, "step": 0.001},
            tip="What hooks' strengths are multiplied by, one after another.",
        ),
    ],
    start_percent: Percent = 0.0,
    end_percent: Percent = 1.0,
    print_keyframes: Told = False,
    prev_hook_kf: Earlier = None,
) -> Made:
    """Make a keyframe of each number of a list (or of one number), evenly from `start_percent` to `end_percent`.

    The first holds for a step at least.
    """
    return _row(_numbers(floats_strength), start_percent, end_percent, prev_hook_kf, told=print_keyframes)


def _numbers(given: Any) -> list[float]:
    """The numbers of a list, a tensor, or one alone. Raises ValueError for anything else, and for none."""
    try:
        found = [float(one) for one in (given if isinstance(given, Iterable) else [given])]
    except (TypeError, ValueError) as problem:
        raise ValueError(
            f"floats_strength: expected a number or a list of numbers, got {str(given)[:80]!r}. Link a node that makes numbers."
        ) from problem
    if not found or not all(math.isfinite(one) for one in found):
        raise ValueError(
            f"floats_strength: expected one finite number or more, got {str(given)[:80]}. Give the hooks a strength for each "
            "keyframe."
        )
    return found


_MOST = 10_000


def _row(strengths: list[float], start: float, end: float, earlier: Keyframes | None, *, told: bool) -> Keyframes:
    if end < start:
        raise ValueError(
            f"start_percent, end_percent: expected keyframes to begin before they end, got {start} and {end}. Exchange the two."
        )
    if len(strengths) > _MOST:
        raise ValueError(
            f"floats_strength: expected {_MOST} numbers at most, got {len(strengths)}. Give fewer keyframes."
        )
    last = max(1, len(strengths) - 1)
    frames = [
        Keyframe(start + (end - start) * number / last, strength, sure=number == 0)
        for number, strength in enumerate(strengths)
    ]
    if told:
        for frame in frames:
            log.info("keyframe at %.3f: strength %.4g", frame.start, frame.strength)
    return _after(earlier, frames)


def _after(earlier: Keyframes | None, frames: Iterable[Keyframe]) -> Keyframes:
    return (earlier or Keyframes()).adding(frames)
