"""What a model's handle says of guidance: options that nodes put on it, and the hooks that they mean."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.sampling.frequencies import frequencies_of_guidance
from engine.sampling.norms import held_to_positive, noise_as_long_as_positive, shortened_to_positive

if TYPE_CHECKING:
    from engine.models.handles import ModelHandle
    from engine.sampling.guiders import Hook

NORM_OPTION = "cfg_norm"
"""Option under which CFGNorm leaves [strength, whether it is of the noise], for each time it was put on, in order."""

BOUND_OPTION = "cfg_bound"
"""Option under which RenormCFG leaves [the noise level below which there is guidance, how long it may be]."""

FREQUENCY_OPTION = "guided_frequencies"
"""Option under which FreSca leaves [weight of low frequencies, of high ones, where these begin], for each time it was put on."""


def hooks_of(model: ModelHandle | None) -> tuple[Hook, ...]:
    """Return the hooks of guidance that a model brings."""
    options = model.options if model is not None else {}
    bound = [held_to_positive(*options[BOUND_OPTION])] if BOUND_OPTION in options else []
    norms = [
        noise_as_long_as_positive(strength) if of_noise else shortened_to_positive(strength)
        for strength, of_noise in options.get(NORM_OPTION, [])
    ]
    frequencies = [frequencies_of_guidance(*told) for told in options.get(FREQUENCY_OPTION, [])]
    return (*frequencies, *bound, *norms)
