"""Train a LoRA for the denoiser of a Stable Diffusion checkpoint on a folder of pictures with captions."""

from __future__ import annotations

import json
import math
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import torch
from torch import Tensor

from engine.models.handles import ModelHandle
from engine.models.manager import ModelManager
from engine.training.loop import Clock, learning_rate, precision
from engine.training.losses import alpha_bars, min_snr_weights, noisy_and_target
from engine.training.lowrank import Adapters
from engine.training.pictures import DataError
from engine.training.progress import OnProgress, TrainingProgress
from engine.training.recipe import LoraRecipe, RecipeError
from engine.training.result import TrainingResult
from engine.training.snapshot import load_snapshot, save_snapshot

PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")


def train_lora(recipe: LoraRecipe, work_dir: Path, clock: Clock, on_progress: OnProgress) -> TrainingResult:
    """Train, going on from `work_dir`'s snapshot, and write the LoRA file at `recipe.output`.

    Only low-rank layers on the denoiser learn; checkpoint, VAE and text encoder stay as they are. Runs on a CUDA device
    where there is one.
    Raises DataError for a folder without pictures, RecipeError for a checkpoint that cannot be trained this way, and
    CheckpointError for one that cannot be read.
    """
    device = "cuda" if torch.cuda.is_available() else "cpu"
    manager = ModelManager(device, dtype="float32")
    model, data = _prepare(recipe, manager, on_progress, clock)
    snapshot = work_dir / "lora.pt"
    torch.manual_seed(recipe.seed)
    with manager.use(model) as live, Adapters(live.module, recipe.targets, recipe.rank, recipe.alpha) as adapters:
        step = _train(recipe, live.module, adapters, model, data, snapshot, clock, on_progress)
        adapters.save(Path(recipe.output), {"safelight.provenance": json.dumps(_provenance(recipe, model, step))})
    on_progress(TrainingProgress(stage="export", step=1, total=1, seconds=clock.seconds(), note=recipe.output))
    return TrainingResult(finished=step >= recipe.steps, steps=step, checkpoint=Path(recipe.output))


def read_folder(folder: Path, size: int) -> list[tuple[Tensor, str]]:
    """Read pictures and captions: float32 (size, size, 3) in 0..1, scaled to cover the square and cropped about the centre.

    The caption of `name.png` is in `name.txt`, or is the name itself with spaces for underscores. Raises DataError if there
    is no picture or one cannot be read.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    found = []
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        if path.suffix.lower() not in PICTURE_SUFFIXES:
            continue
        try:
            with Image.open(path) as file:
                picture = file.convert("RGBA")
        except (OSError, UnidentifiedImageError) as error:
            raise DataError(f"{path}: not a readable picture: {error}.") from error
        white = Image.new("RGBA", picture.size, "white")
        square = ImageOps.fit(Image.alpha_composite(white, picture).convert("RGB"), (size, size))
        pixels = torch.from_numpy(np.asarray(square, np.float32) / 255)
        text = path.with_suffix(".txt")
        found.append((pixels, text.read_text("utf-8").strip() if text.exists() else path.stem.replace("_", " ")))
    if not found:
        raise DataError(
            f"{folder}: no pictures ({', '.join(PICTURE_SUFFIXES)}) found. Put pictures and .txt captions there."
        )
    return found


def _prepare(
    recipe: LoraRecipe, manager: ModelManager, on_progress: OnProgress, clock: Clock
) -> tuple[ModelHandle, tuple[Tensor, Tensor, Tensor]]:
    """The model, its inputs as the network sees them (N, C, h, w), their contexts (N, T, D), and the empty one (1, T, D)."""
    examples = read_folder(Path(recipe.pictures), recipe.size)
    model, clip, vae = manager.checkpoint(Path(recipe.checkpoint))
    if model is None or clip is None or vae is None:
        raise RecipeError(f"{recipe.checkpoint}: lacks a denoiser, a text encoder or a VAE. Give a whole checkpoint.")
    if model.parameterization.prediction == "flow" or model.extra_channels:
        raise RecipeError(
            f"{recipe.checkpoint}: LoRA training knows eps, v and x0 models without extra input channels."
        )
    if clip.beside:
        raise RecipeError(f"{recipe.checkpoint}: LoRA training knows models with one text encoder, and this has two.")
    with manager.use(vae) as autoencoder:
        latents = autoencoder.encode(torch.stack([pixels for pixels, _ in examples]))
    with manager.use(clip) as joined:
        (encoder,) = joined.encoders
        texts = ["", *(caption for _, caption in examples)]
        # A caption past the context length has further rows; the first one is kept, so that all stack.
        contexts = torch.cat([encoder.encode(text)[0][:, : encoder.length] for text in texts])
    note = f"{len(examples)} pictures"
    on_progress(TrainingProgress(stage="prepare", step=1, total=1, seconds=clock.seconds(), note=note))
    scaled = (latents - model.latent.shift) * model.latent.scale
    return model, (scaled, contexts[1:], contexts[:1])


def _train(
    recipe: LoraRecipe,
    unet: Any,
    adapters: Adapters,
    model: ModelHandle,
    data: tuple[Tensor, Tensor, Tensor],
    snapshot: Path,
    clock: Clock,
    on_progress: OnProgress,
) -> int:
    process = model.parameterization
    levels = alpha_bars(process.schedule, process.beta_start, process.beta_end, process.timesteps)
    optimizer = torch.optim.AdamW(adapters.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay)
    step = 0
    state = load_snapshot(snapshot)
    if state is not None:
        adapters.load_state_dict(state["adapters"])
        optimizer.load_state_dict(state["optimizer"])
        step = int(state["step"])
    running = math.nan
    while step < recipe.steps and not clock.is_over():
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, recipe.steps, recipe.learning_rate, recipe.warmup, recipe.decay_from)
        loss = _loss(recipe, unet, model, data, levels, step)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(adapters.parameters(), 1.0)
        optimizer.step()
        step += 1
        running = loss.item() if math.isnan(running) else 0.98 * running + 0.02 * loss.item()
        seconds = clock.seconds()
        on_progress(TrainingProgress(stage="diffusion", step=step, total=recipe.steps, loss=running, seconds=seconds))
        if clock.is_save_due():
            save_snapshot(snapshot, _state(adapters, optimizer, step))
    save_snapshot(snapshot, _state(adapters, optimizer, step))
    return step


def _loss(
    recipe: LoraRecipe, unet: Any, model: ModelHandle, data: tuple[Tensor, Tensor, Tensor], levels: Tensor, step: int
) -> Tensor:
    latents, contexts, empty = data
    chance = Random(f"{recipe.seed} lora {step}")
    random = torch.Generator().manual_seed(recipe.seed * 7_000_003 + step)
    chosen = torch.randint(len(latents), (recipe.batch,), generator=random)
    timesteps = torch.randint(len(levels), (recipe.batch,), generator=random)
    kept = [contexts[i : i + 1] if chance.random() >= recipe.empty_caption else empty for i in chosen.tolist()]
    prediction = model.parameterization.prediction
    noise = torch.randn((recipe.batch, *latents.shape[1:]), generator=random)
    noisy, target = noisy_and_target(latents[chosen], noise, levels[timesteps], prediction)
    device = next(unet.parameters()).device
    with precision(device.type):
        output = unet(noisy.to(device), timesteps.to(device), torch.cat(kept).to(device)).sample
    error = (output.float() - target.to(device)).square().mean((1, 2, 3))
    loss: Tensor = (error * min_snr_weights(levels[timesteps], recipe.min_snr_gamma, prediction).to(device)).mean()
    return loss


def _state(adapters: Adapters, optimizer: torch.optim.Optimizer, step: int) -> dict[str, Any]:
    return {"step": step, "adapters": adapters.state_dict(), "optimizer": optimizer.state_dict()}


def _provenance(recipe: LoraRecipe, model: ModelHandle, step: int) -> dict[str, Any]:
    return {"recipe": recipe.name, "seed": recipe.seed, "steps": step, "checkpoint": model.source.digest}
