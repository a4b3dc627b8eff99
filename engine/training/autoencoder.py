"""Train the VAE on augmented pictures, normalise its latents, and train its decoder on."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from engine.training.augment import augment
from engine.training.ema import WeightAverage
from engine.training.lanes import Lanes, spread
from engine.training.latents import shifted
from engine.training.loop import Clock, learning_rate, precision
from engine.training.losses import gaussian_kl, reconstruction_loss
from engine.training.networks import build_vae
from engine.training.progress import OnProgress, Stage, TrainingProgress
from engine.training.recipe import Recipe, VaeRecipe
from engine.training.snapshot import load_snapshot, save_snapshot


def train_vae(
    recipe: Recipe, pixels: Tensor, snapshot: Path, clock: Clock, on_progress: OnProgress
) -> dict[str, Tensor] | None:
    """Train until `recipe.vae.steps`; return the averaged weights, or None if the time is up first.

    `pixels` is uint8 (N, H, W, 4), RGB with straight alpha. The run continues from `snapshot` where that exists.
    """
    settings = recipe.vae
    torch.manual_seed(recipe.seed)
    vae = build_vae(recipe)
    lanes = Lanes(vae, settings.lanes)
    planes = pixels.permute(0, 3, 1, 2)
    size = pixels.shape[1] // 2 ** (len(settings.widths) - 1)

    def loss_at(step: int) -> float:
        # One generator a step: a resumed run draws what an uninterrupted one draws.
        random = torch.Generator().manual_seed(recipe.seed * 1_000_003 + step)
        target = augment(planes[torch.randint(len(planes), (settings.batch,), generator=random)], random)
        noise = torch.randn((settings.batch, settings.latent_channels, size, size), generator=random)
        return _backward(lanes, target, noise, settings)

    return _train("vae", vae, settings, settings.steps, loss_at, snapshot, clock, on_progress)


def train_decoder(
    recipe: Recipe,
    vae: nn.Module,
    latents: Tensor,
    pixels: Tensor,
    snapshot: Path,
    clock: Clock,
    on_progress: OnProgress,
) -> dict[str, Tensor] | None:
    """Train the decoder on, with the encoder and so the latent space as they are; return the averaged weights of `vae`.

    `latents` is (N, copies, C, h, w) as `encode_shifted` makes them of `pixels` (N, 3, H, W) in -1..1. A little noise on the
    latents makes up for the denoiser's errors. Returns None if the time is up before `recipe.vae.decoder_steps`.
    """
    settings = recipe.vae
    decoder = nn.ModuleList([vae.get_submodule("post_quant_conv"), vae.get_submodule("decoder")])
    lanes = Lanes(decoder, settings.lanes)

    def loss_at(step: int) -> float:
        random = torch.Generator().manual_seed(recipe.seed * 5_000_011 + step)
        chosen = torch.randint(len(pixels), (settings.batch,), generator=random)
        copy = int(torch.randint(latents.shape[1], (), generator=random))
        inputs = latents[chosen, copy].float()
        inputs = inputs + settings.latent_noise * torch.randn(inputs.shape, generator=random)
        return _decode_backward(lanes, inputs, shifted(pixels[chosen], copy, recipe.diffusion.shift), settings)

    weights = _train("decoder", decoder, settings, settings.decoder_steps, loss_at, snapshot, clock, on_progress)
    if weights is None:
        return None
    decoder.load_state_dict(weights)
    return {name: value.detach() for name, value in vae.state_dict().items()}


def _train(
    stage: Stage,
    network: nn.Module,
    settings: VaeRecipe,
    steps: int,
    loss_at: Callable[[int], float],
    snapshot: Path,
    clock: Clock,
    on_progress: OnProgress,
) -> dict[str, Tensor] | None:
    """The loop: `loss_at(step)` leaves gradients in `network`. Returns the averaged weights, or None if the time is up first."""
    optimizer = torch.optim.AdamW(network.parameters(), lr=settings.learning_rate, betas=(0.9, 0.99), weight_decay=1e-4)
    average = WeightAverage(network.named_parameters(), settings.ema_decay)
    step = _resume(snapshot, network, optimizer, average)
    running = math.nan
    while step < steps:
        if clock.is_over():
            _save(snapshot, network, optimizer, average, step)
            return None
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, steps, settings.learning_rate, settings.warmup, 0.0)
        loss = loss_at(step)
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        average.update(network.named_parameters())
        step += 1
        running = loss if math.isnan(running) else 0.98 * running + 0.02 * loss
        on_progress(TrainingProgress(stage=stage, step=step, total=steps, loss=running, seconds=clock.seconds()))
        if clock.is_save_due():
            _save(snapshot, network, optimizer, average, step)
    _save(snapshot, network, optimizer, average, step)
    return average.state_dict()


def _reconstruction(output: Tensor, target: Tensor, settings: VaeRecipe) -> Tensor:
    return reconstruction_loss(output, target, settings.gradient_weight, settings.chroma_weight)


def _backward(lanes: Lanes, target: Tensor, noise: Tensor, settings: VaeRecipe) -> float:
    targets, noises = lanes.split(target), lanes.split(noise)

    def loss_of(vae: Any, part: int) -> Tensor:
        with precision():
            posterior = vae.encode(targets[part]).latent_dist
            deviation = posterior.std + settings.latent_noise
            output = vae.decode(posterior.mean + deviation * noises[part]).sample
        loss = _reconstruction(output.float(), targets[part], settings)
        loss = loss + settings.kl_weight * gaussian_kl(posterior.mean.float(), posterior.logvar.float())
        share: Tensor = loss * (len(targets[part]) / len(target))
        return share

    return lanes.backward(loss_of, len(targets))


def _decode_backward(lanes: Lanes, latents: Tensor, target: Tensor, settings: VaeRecipe) -> float:
    inputs, targets = lanes.split(latents), lanes.split(target)

    def loss_of(decoder: Any, part: int) -> Tensor:
        with precision():
            output = decoder[1](decoder[0](inputs[part]))
        loss = _reconstruction(output.float(), targets[part], settings)
        return loss * (len(targets[part]) / len(target))

    return lanes.backward(loss_of, len(inputs))


def psnr(vae: Any, pixels: Tensor, batch: int = 32) -> float:
    """Mean peak signal-to-noise ratio in dB of encode and decode over pictures (N, 3, H, W) in -1..1 (peak-to-peak 2)."""

    def errors(part: Tensor) -> Tensor:
        output: Tensor = vae.decode(vae.encode(part).latent_dist.mode()).sample.clamp(-1, 1)
        return (output - part).square().flatten(1).mean(1).clamp(min=1e-10)

    return float((10 * torch.log10(4 / spread(errors, pixels, batch))).mean())


@torch.no_grad()
def normalise_latents(vae: Any, pixels: Tensor, batch: int = 32) -> None:
    """Fold an affine map into `quant_conv` and `post_quant_conv`: every latent channel gets mean 0 and variance 1.

    That is over `pixels` (N, 3, H, W) in -1..1. Reconstructions stay the same; the scale factor of the latent space becomes 1.
    """
    means = spread(lambda part: vae.encode(part).latent_dist.mean, pixels, batch)
    centre, deviation = means.mean((0, 2, 3)), means.std((0, 2, 3))
    channels = len(centre)
    quant, post = vae.quant_conv, vae.post_quant_conv
    quant.weight[:channels] /= deviation[:, None, None, None]
    quant.bias[:channels] = (quant.bias[:channels] - centre) / deviation
    quant.bias[channels:] -= 2 * deviation.log()
    post.bias += post.weight[:, :, 0, 0] @ centre
    post.weight *= deviation[None, :, None, None]


def _save(snapshot: Path, network: nn.Module, optimizer: Any, average: WeightAverage, step: int) -> None:
    state = {
        "step": step,
        "network": network.state_dict(),
        "optimizer": optimizer.state_dict(),
        "average": average.state_dict(),
        "updates": average.updates,
    }
    save_snapshot(snapshot, state)


def _resume(snapshot: Path, network: nn.Module, optimizer: Any, average: WeightAverage) -> int:
    state = load_snapshot(snapshot)
    if state is None:
        return 0
    network.load_state_dict(state["network"])
    optimizer.load_state_dict(state["optimizer"])
    average.load(state["average"], state["updates"])
    return int(state["step"])
