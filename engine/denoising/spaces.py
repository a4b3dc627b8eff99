"""Runs on latents of another autoencoder are noticed before their first step, and what they make is marked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from engine.denoising.records import LiveModel
from engine.models.latent_spaces import changed, check, space_of, with_samples


def check_start(model: LiveModel, latent: Mapping[str, Any], noise: Tensor, sigmas: Tensor) -> None:
    """Raise ValueError for a run that goes on from latents of another autoencoder than the model's.

    One that begins with pure noise takes nothing of its latent but the size, and may have any; unless a mask keeps a part.
    """
    if model.handle is None or not len(sigmas):
        return
    drowned = model.schedule.is_maximal(float(sigmas[0])) and bool(torch.count_nonzero(noise))
    if not drowned or latent.get("noise_mask") is not None:
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
