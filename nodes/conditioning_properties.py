"""Where, when, how strongly and under which hooks conditionings hold, set at once; alone, or on a positive and a negative."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

from engine.api import Conditioning, In, Mask, Socket, node
from engine.models.hooks import HOOKS, combined
from nodes.conditioning import conditioning_set_mask, with_options
from nodes.hooks import Hooks

if TYPE_CHECKING:
    TimestepsRange = tuple[float, float]
else:

    class TimestepsRange(Socket, io_type="TIMESTEPS_RANGE"):
        """(start, end), shares of the sampling."""


Strength = Annotated[float, In(ge=0, le=10, step=0.01, tip="Weight against other conditionings that overlap.")]
Area = Annotated[
    str, In(choices=("default", "mask bounds"), tip="`mask bounds` evaluates only the rectangle around the mask.")
]
Where = Annotated[Mask | None, In(tip="Where it holds (B, H, W), fading with it; everywhere without one.")]
Under = Annotated[Hooks | None, In(tip="Changes to weights that are for it alone.")]
When = Annotated[TimestepsRange | None, In(tip="The part of the sampling in which it holds.")]
Moment = Annotated[float, In(ge=0, le=1, step=0.001, tip="Share of the sampling done: 0 the start, 1 the end.")]


class Pair(NamedTuple):
    """Two conditionings."""

    positive: Conditioning
    negative: Conditioning


class Ranges(NamedTuple):
    """A part of the sampling, what is before it, and what is after it."""

    TIMESTEPS_RANGE: TimestepsRange
    BEFORE_RANGE: TimestepsRange
    AFTER_RANGE: TimestepsRange


@node("ConditioningTimestepsRange", category="advanced/hooks", display_name="Timesteps Range", experimental=True)
def conditioning_timesteps_range(start_percent: Moment = 0.0, end_percent: Moment = 1.0) -> Ranges:
    """Name a part of the sampling, and the parts before and after it."""
    if end_percent < start_percent:
        raise ValueError(
            f"start_percent, end_percent: expected a range that ends after its start, got {start_percent} to {end_percent}. "
            "Exchange the two."
        )
    return Ranges((start_percent, end_percent), (0.0, start_percent), (end_percent, 1.0))


@node(
    "ConditioningSetProperties", category="advanced/hooks/cond single", display_name="Cond Set Props", experimental=True
)
def conditioning_set_properties(
    cond_NEW: Conditioning,
    strength: Strength = 1.0,
    set_cond_area: Area = "default",
    mask: Where = None,
    hooks: Under = None,
    timesteps: When = None,
) -> Conditioning:
    """Set where, when, how strongly and under which hooks a conditioning holds. Hooks come beside those that it has."""
    return _with(cond_NEW, strength, set_cond_area, mask, hooks, timesteps)


@node(
    "ConditioningSetPropertiesAndCombine",
    category="advanced/hooks/cond single",
    display_name="Cond Set Props Combine",
    experimental=True,
)
def conditioning_set_properties_and_combine(
    cond: Conditioning,
    cond_NEW: Conditioning,
    strength: Strength = 1.0,
    set_cond_area: Area = "default",
    mask: Where = None,
    hooks: Under = None,
    timesteps: When = None,
) -> Conditioning:
    """Set where, when, how strongly and under which hooks `cond_NEW` holds, and use it beside `cond`."""
    return [*cond, *_with(cond_NEW, strength, set_cond_area, mask, hooks, timesteps)]


@node(
    "PairConditioningSetProperties",
    category="advanced/hooks/cond pair",
    display_name="Cond Pair Set Props",
    experimental=True,
)
def pair_conditioning_set_properties(
    positive_NEW: Conditioning,
    negative_NEW: Conditioning,
    strength: Strength = 1.0,
    set_cond_area: Area = "default",
    mask: Where = None,
    hooks: Under = None,
    timesteps: When = None,
) -> Pair:
    """Set where, when, how strongly and under which hooks two conditionings hold."""
    told = (strength, set_cond_area, mask, hooks, timesteps)
    return Pair(_with(positive_NEW, *told), _with(negative_NEW, *told))


@node(
    "PairConditioningSetPropertiesAndCombine",
    category="advanced/hooks/cond pair",
    display_name="Cond Pair Set Props Combine",
    experimental=True,
)
def pair_conditioning_set_properties_and_combine(
    positive: Conditioning,
    negative: Conditioning,
    positive_NEW: Conditioning,
    negative_NEW: Conditioning,
    strength: Strength = 1.0,
    set_cond_area: Area = "default",
    mask: Where = None,
    hooks: Under = None,
    timesteps: When = None,
) -> Pair:
    """Set where, when, how strongly and under which hooks two conditionings hold, and use them beside two others."""
    told = (strength, set_cond_area, mask, hooks, timesteps)
    return Pair([*positive, *_with(positive_NEW, *told)], [*negative, *_with(negative_NEW, *told)])


@node(
    "ConditioningSetDefaultCombine",
    category="advanced/hooks/cond single",
    display_name="Cond Set Default Combine",
    experimental=True,
)
def conditioning_set_default_combine(
    cond: Conditioning,
    cond_DEFAULT: Conditioning,
    hooks: Under = None,
) -> Conditioning:
    """Let `cond_DEFAULT` hold where `cond` does not: at each place it weighs what the weights of the others leave of 1.

    Inferred, as what is told of it is that it is a fallback.
    """
    return [*cond, *_default(cond_DEFAULT, hooks)]


@node(
    "PairConditioningSetDefaultCombine",
    category="advanced/hooks/cond pair",
    display_name="Cond Pair Set Default Combine",
    experimental=True,
)
def pair_conditioning_set_default_combine(
    positive: Conditioning,
    negative: Conditioning,
    positive_DEFAULT: Conditioning,
    negative_DEFAULT: Conditioning,
    hooks: Under = None,
) -> Pair:
    """Let two conditionings hold where two others do not; see ConditioningSetDefaultCombine."""
    return Pair([*positive, *_default(positive_DEFAULT, hooks)], [*negative, *_default(negative_DEFAULT, hooks)])


@node(
    "PairConditioningCombine", category="advanced/hooks/cond pair", display_name="Cond Pair Combine", experimental=True
)
def pair_conditioning_combine(
    positive_A: Conditioning,
    negative_A: Conditioning,
    positive_B: Conditioning,
    negative_B: Conditioning,
) -> Pair:
    """Use both of two pairs; predictions are averaged by strength where they overlap."""
    return Pair([*positive_A, *positive_B], [*negative_A, *negative_B])


def _with(
    conditioning: Conditioning,
    strength: float,
    area: str,
    mask: Any,
    hooks: Hooks | None,
    timesteps: tuple[float, float] | None,
) -> Conditioning:
    if mask is None:
        made = with_options(conditioning, strength=strength) if strength != 1.0 else list(conditioning)
    else:
        made = conditioning_set_mask(conditioning, mask, strength, area)
    if timesteps is not None:
        made = with_options(made, start_percent=timesteps[0], end_percent=timesteps[1])
    return _under(made, hooks)


def _under(conditioning: Conditioning, hooks: Hooks | None) -> Conditioning:
    if hooks is None or not hooks.hooks:
        return conditioning
    return [[tokens, {**old, HOOKS: combined((old.get(HOOKS), hooks))}] for tokens, old in conditioning]


def _default(conditioning: Conditioning, hooks: Hooks | None) -> Conditioning:
    return with_options(_under(conditioning, hooks), default=True)
