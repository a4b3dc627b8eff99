"""What a model's handle says of guidance: options that nodes put on it, and the hooks that they mean."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.sampling.norms import noise_as_long_as_positive, shortened_to_positive

if TYPE_CHECKING:
    from engine.models.handles import ModelHandle
    from engine.sampling.guiders import Hook

NORM_OPTION = "cfg_norm"
"""Option under which CFGNorm leaves [strength, whether it is of the noise], for each time it was put on, in order."""


def hooks_of(model: ModelHandle | None) -> tuple[Hook, ...]:
    """Return the hooks of guidance that a model brings."""
    told = model.options.get(NORM_OPTION, []) if model is not None else []
    return tuple(
        noise_as_long_as_positive(strength) if of_noise else shortened_to_positive(strength)
        for strength, of_noise in told
    )
