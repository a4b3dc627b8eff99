"""What a model's handle says of guidance: options that nodes put on it, and the hooks that they mean."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from engine.sampling.frequencies import frequencies_of_guidance
from engine.sampling.guided import noise_divided, positive_biased, score_rescaled
from engine.sampling.guiders import CfgFrames, CfgGuidance
from engine.sampling.latent_operations import LatentOperation, operated
from engine.sampling.noise_schedule import NoiseSchedule
from engine.sampling.norms import held_to_positive, noise_as_long_as_positive, shortened_to_positive
from engine.sampling.pairs import adaptive_projected, tangential, zero_star

if TYPE_CHECKING:
    from engine.models.handles import ModelHandle
    from engine.sampling.guiders import Guidance, Hook, PairHook

BOUND_OPTION = "cfg_bound"
"""Option under which RenormCFG leaves [the noise level below which there is guidance, how long it may be]."""

FREQUENCY_OPTION = "guided_frequencies"
"""Option under which FreSca leaves [weight of low frequencies, of high ones, where these begin], for each time it was put on."""

_STEPS = "guidance"
"""Option: [kind, what it is told…] of each change to guidance, in the order in which they were put on."""

_FRAMES = "cfg_frames"
"""Option: [shape, least cfg] of a cfg that differs between pictures."""

_AWAY = "perp_neg"
"""Option: [name of the carried neutral conditioning, how much is taken off]."""


def _operated(model: ModelHandle, name: str, start: float, end: float) -> Callable[[], PairHook]:
    kind, numbers, reference = model.carried[name]
    to_sigma = NoiseSchedule.of(model.parameterization).percent_to_sigma
    hook = operated(LatentOperation(kind, tuple(numbers), reference), to_sigma(start), to_sigma(end))
    return lambda: hook


_BEFORE: dict[str, Callable[..., Callable[[], PairHook]]] = {
    "adaptive_projected": lambda _, *told: adaptive_projected(*told),
    "tangential": lambda _: lambda: tangential,
    "zero_star": lambda _: lambda: zero_star,
    "operated": _operated,
}
"""Kinds that change what is guided, told the model and what stands with the kind."""

_AFTER: dict[str, Callable[..., Hook]] = {
    "noise_as_long": lambda _, *told: noise_as_long_as_positive(*told),
    "shortened": lambda _, *told: shortened_to_positive(*told),
    "positive_biased": lambda _: positive_biased,
    "noise_divided": lambda _, *told: noise_divided(*told),
    "score_rescaled": lambda model, *told: score_rescaled(NoiseSchedule.of(model.parameterization), *told),
}
"""Kinds that follow guidance, told the same."""


def with_step(model: ModelHandle, kind: str, *told: float | str) -> ModelHandle:
    """Return the model with a change to its guidance, after those that it has."""
    return model.with_option(_STEPS, [*model.options.get(_STEPS, ()), [kind, *told]])


def with_operation(model: ModelHandle, name: str, start: float, end: float) -> ModelHandle:
    """Return the model with a carried latent operation put on what guidance adds, within a share of the sampling."""
    return with_step(model, "operated", name, start, end)


def with_frames(model: ModelHandle, shape: str, least: float) -> ModelHandle:
    """Return the model with a cfg that differs between the pictures of a batch; of several such the last counts."""
    return model.with_option(_FRAMES, [shape, least])


def with_away(model: ModelHandle, neutral: str, scale: float) -> ModelHandle:
    """Return the model guided by Perp-Neg, from the carried conditioning `neutral`; of several the last counts."""
    return model.with_option(_AWAY, [neutral, scale])


def hooks_of(model: ModelHandle | None) -> tuple[Hook, ...]:
    """Return the hooks that follow guidance, of a model."""
    options = model.options if model is not None else {}
    bound = [held_to_positive(*options[BOUND_OPTION])] if BOUND_OPTION in options else []
    frequencies = [frequencies_of_guidance(*told) for told in options.get(FREQUENCY_OPTION, [])]
    after = [_AFTER[kind](model, *told) for kind, *told in options.get(_STEPS, ()) if kind in _AFTER]
    return (*frequencies, *bound, *after)


def pairs_of(model: ModelHandle | None) -> tuple[Callable[[], PairHook], ...]:
    """Return what makes the hooks of a model that change what is guided."""
    steps = model.options.get(_STEPS, ()) if model is not None else ()
    return tuple(_BEFORE[kind](model, *told) for kind, *told in steps if kind in _BEFORE)


def steered_by(guidance: Guidance, model: ModelHandle | None) -> Guidance:
    """Return a guidance with all that a model says of it."""
    guidance = replace(guidance, hooks=(*guidance.hooks, *hooks_of(model)), pairs=(*guidance.pairs, *pairs_of(model)))
    if model is None or not isinstance(guidance, CfgGuidance):
        return guidance
    if (frames := frames_of(model)) is not None:
        guidance = replace(guidance, frames=frames)
    told = model.options.get(_AWAY)
    if told is not None and guidance.away is None:
        neutral, scale = told
        guidance = replace(guidance, negative=model.carried[neutral], away=guidance.negative, away_scale=scale)
    return guidance


def frames_of(model: ModelHandle | None) -> CfgFrames | None:
    """Return how cfg differs between the pictures of a batch."""
    told: Any = model.options.get(_FRAMES) if model is not None else None
    return None if told is None else CfgFrames(*told)


def keeps_away(model: ModelHandle | None) -> bool:
    """Whether a model is guided by Perp-Neg, which wants a third prediction."""
    return model is not None and _AWAY in model.options
