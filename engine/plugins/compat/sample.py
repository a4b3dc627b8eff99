"""`comfy.sample`: noise, and sampling with our models."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from engine.plugins.compat.values import from_pack

__all__ = ["np", "torch"]


def prepare_noise(latent_image: Any, seed: int, noise_inds: Any = None) -> Any:
    """Noise in the shape of a latent, drawn on the CPU; `noise_inds` are the places in the batch it is drawn for."""
    from engine.sampling.noise import initial_noise

    indices = None if noise_inds is None else [int(one) for one in noise_inds]
    return initial_noise(latent_image, int(seed), indices)


def fix_empty_latent_channels(model: Any, latent_image: Any, *args: Any) -> Any:
    """An empty latent gets the model's channels."""
    from engine.sampling.noise_schedule import fit_empty_latent

    return fit_empty_latent(latent_image, from_pack(model).latent)


def prepare_sampling(model: Any, noise_shape: Any, positive: Any, negative: Any, noise_mask: Any) -> Any:
    """(model, positive, negative, mask, further models), as they are: our samplers prepare them."""
    return model, positive, negative, noise_mask, []


def cleanup_additional_models(models: Any) -> None:
    """Put further models away; the manager does."""


def prepare_mask(noise_mask: Any, shape: Any, device: Any = None) -> Any:
    """A mask in the size of the latent."""
    from engine.plugins.compat.sampler_helpers import prepare_mask as prepare

    return prepare(noise_mask, shape, device)


def sample(
    model: Any,
    noise: Any,
    steps: int,
    cfg: float,
    sampler_name: str,
    scheduler: str,
    positive: Any,
    negative: Any,
    latent_image: Any,
    denoise: float = 1.0,
    disable_noise: bool = False,
    start_step: int | None = None,
    last_step: int | None = None,
    force_full_denoise: bool = False,
    noise_mask: Any = None,
    sigmas: Any = None,
    callback: Any = None,
    disable_pbar: bool = False,
    seed: int | None = None,
) -> Any:
    """The denoised latent (B, C, h, w)."""
    from engine.plugins.compat.samplers import KSampler

    sampler = KSampler(model, steps, None, sampler_name, scheduler, denoise)
    return sampler.sample(
        noise,
        positive,
        negative,
        cfg,
        latent_image,
        start_step,
        last_step,
        force_full_denoise,
        noise_mask,
        sigmas,
        callback,
        disable_pbar,
        seed,
    )


def sample_custom(
    model: Any,
    noise: Any,
    cfg: float,
    sampler: Any,
    sigmas: Any,
    positive: Any,
    negative: Any,
    latent_image: Any,
    noise_mask: Any = None,
    callback: Any = None,
    disable_pbar: bool = False,
    seed: int | None = None,
) -> Any:
    """The denoised latent, with a sampler and noise levels of one's own."""
    from engine.plugins.compat.samplers import sample as run

    return run(
        model,
        noise,
        positive,
        negative,
        cfg,
        None,
        sampler,
        sigmas,
        None,
        latent_image,
        noise_mask,
        callback,
        disable_pbar,
        seed,
    )
