"""What a run is given that was made for another model is noticed before its first step, where its sizes do not tell.

Latents of another autoencoder, and texts of another encoder. What a run makes is marked.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from engine.denoising.records import AnyGuidance, LiveModel, OwnGuidance
from engine.models.encoded import makers
from engine.models.errors import ModelError
from engine.models.families import family_named
from engine.models.latent_spaces import changed, check, space_of, with_samples
from engine.sampling.guiders import CfgGuidance, Conditioning, DualCfgGuidance, Guidance


def check_start(model: LiveModel, latent: Mapping[str, Any], noise: Tensor, sigmas: Tensor) -> None:
    """Raise ValueError for a run that goes on from latents of another autoencoder than the model's.

    One that begins with pure noise takes nothing of its latent but the size, and may have any; unless a mask keeps a part.
    """
    if model.handle is None or not len(sigmas):
        return
    drowned = model.schedule.is_maximal(float(sigmas[0])) and bool(torch.count_nonzero(noise))
    mask = latent.get("noise_mask")
    if not drowned or (mask is not None and bool((mask < 1.0).any())):
        check(
            latent,
            space_of(model.handle),
            "latent_image: this model denoises",
            "Decode them with their own VAE, and encode the picture with the VAE that belongs to this model.",
        )


def ended(model: LiveModel, latent: Mapping[str, Any], samples: Tensor) -> dict[str, Any]:
    """Return the LATENT of a run that made `samples` of `latent`, marked with the model's space."""
    if samples is latent["samples"]:
        return changed(latent, samples)
    return with_samples(latent, samples, None if model.handle is None else space_of(model.handle))


def check_texts(model: LiveModel, guidance: AnyGuidance) -> None:
    """Raise ModelError for a text that none of the encoders of the model's family made, where it tells who did."""
    if isinstance(guidance, OwnGuidance):
        return
    for name, conditioning in _texts(guidance):
        asked = model.negative if name == "negative" and model.negative is not None else model
        if asked.handle is None:
            continue
        family = family_named(asked.handle.family)
        own = {tower.kind for tower in family.towers}
        for context, options in conditioning:
            found = makers(context, options)
            if own and found and not own & found:
                raise ModelError(
                    f"{asked.handle.source.path}: {family.title} wants a text of {' and '.join(sorted(own))}; the {name} "
                    f"conditioning was made by {' and '.join(sorted(found))}, the text encoder of another model, of width "
                    f"{context.shape[-1]}. Encode the prompt with this family's text encoders."
                )


def _texts(guidance: Guidance) -> Iterator[tuple[str, Conditioning]]:
    """The conditionings that a run predicts under: not a negative one where nothing is guided."""
    yield "positive", guidance.positive
    if isinstance(guidance, DualCfgGuidance):
        yield "middle", guidance.middle
        yield "negative", guidance.negative
    elif isinstance(guidance, CfgGuidance) and (
        guidance.cfg != 1.0 or guidance.ranges or guidance.always_negative or guidance.away is not None
    ):
        yield "negative", guidance.negative
        if guidance.away is not None:
            yield "negative", guidance.away
