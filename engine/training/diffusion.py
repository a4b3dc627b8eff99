"""Train U-Net and text encoder together on the VAE's latents."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random
from typing import Any

import torch
from torch import Tensor, nn

from engine.training.captions import caption
from engine.training.ema import WeightAverage
from engine.training.lanes import Lanes
from engine.training.loop import Clock, learning_rate, precision
from engine.training.losses import alpha_bars, min_snr_weights, noisy_and_target
from engine.training.networks import build_text_encoder, build_unet
from engine.training.pictures import Picture
from engine.training.progress import OnProgress, TrainingProgress
from engine.training.recipe import Recipe
from engine.training.snapshot import load_snapshot, save_snapshot


class DiffusionData:
    """What the loop draws from: pictures, their latents (N, copies, C, h, w), the doubled ones (N, 1, C, 2h, 2w), a tokenizer."""

    def __init__(self, pictures: Sequence[Picture], latents: Tensor, doubled: Tensor, tokenizer: Any) -> None:
        """Hold the parts; all are indexed alike."""
        self.pictures = pictures
        self.latents = latents
        self.doubled = doubled
        self.tokenizer = tokenizer
        self.weights = torch.tensor([picture.weight for picture in pictures], dtype=torch.float64)

    def draw(self, step: int, recipe: Recipe) -> tuple[Tensor, Tensor]:
        """The batch of a step, the same in every run: latents (B, C, h, w) and token ids (B, T).

        A step on doubled pictures has a quarter of the pictures, so that it takes as long.
        """
        settings = recipe.diffusion
        random = Random(f"{recipe.seed} captions {step}")
        torch_random = torch.Generator().manual_seed(recipe.seed * 2_000_003 + step)
        large = step >= settings.large_from * settings.steps and random.random() < settings.large_share
        source = self.doubled if large else self.latents
        batch = max(1, settings.batch // 4) if large else settings.batch
        chosen = torch.multinomial(self.weights, batch, replacement=batch > len(self.pictures), generator=torch_random)
        copies = torch.randint(source.shape[1], (batch,), generator=torch_random)
        texts = [caption(self.pictures[index], random, settings.empty_caption) for index in chosen.tolist()]
        ids = torch.tensor([encoding.ids for encoding in self.tokenizer.encode_batch(texts)])
        return source[chosen, copies].float(), ids[:, : context_length(step, recipe)]


class Denoiser:
    """The two networks under training, their optimiser and their average."""

    def __init__(self, recipe: Recipe, vocabulary: int) -> None:
        """Build both from the recipe's seed."""
        torch.manual_seed(recipe.seed + 1)
        settings = recipe.diffusion
        self.unet = build_unet(recipe)
        self.text = build_text_encoder(recipe, vocabulary)
        self.lanes = Lanes(nn.ModuleDict({"unet": self.unet, "text": self.text}), settings.lanes)
        self.optimizer = torch.optim.AdamW(
            [
                {"params": list(self.unet.parameters()), "peak": settings.learning_rate},
                {"params": list(self.text.parameters()), "peak": settings.text_learning_rate},
            ],
            betas=(0.9, 0.99),
            weight_decay=settings.weight_decay,
            fused=True,
        )
        self.average = WeightAverage(self.parameters(), settings.ema_decay)
        self.step = 0
        self.loss = math.nan
        self.seconds = 0.0

    def parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """Parameters of both networks, named `unet.…` and `text.…`."""
        return self.lanes.replicas[0].named_parameters()

    def save(self, path: Path) -> None:
        """Write a snapshot from which the run continues as if it had not stopped."""
        state = {
            "step": self.step,
            "loss": self.loss,
            "seconds": self.seconds,
            "unet": self.unet.state_dict(),
            "text": self.text.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "average": self.average.state_dict(),
            "updates": self.average.updates,
        }
        save_snapshot(path, state)

    def resume(self, path: Path) -> None:
        """Continue from the snapshot at `path`, if there is one."""
        state = load_snapshot(path)
        if state is None:
            return
        self.unet.load_state_dict(state["unet"])
        self.text.load_state_dict(state["text"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.average.load(state["average"], state["updates"])
        self.step = int(state["step"])
        self.loss = float(state["loss"])
        self.seconds = float(state["seconds"])

    def position_tables(self) -> list[Tensor]:
        """The text encoder's position table (T, D) and its average."""
        names = [name for name, _ in self.parameters() if name.endswith("position_embedding.weight")]
        current = dict(self.parameters())
        return [*(current[name] for name in names), *(self.average.average[name] for name in names)]

    def averaged(self) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """State dicts of U-Net and text encoder with the averaged weights."""
        parts: dict[str, dict[str, Tensor]] = {"unet": {}, "text": {}}
        for name, value in self.average.state_dict().items():
            prefix, rest = name.split(".", 1)
            parts[prefix][rest] = value
        return parts["unet"], parts["text"]


def train_diffusion(
    recipe: Recipe, data: DiffusionData, snapshot: Path, clock: Clock, on_progress: OnProgress
) -> Denoiser:
    """Train until `recipe.diffusion.steps` or until the time is up; the result's `step` tells which."""
    settings = recipe.diffusion
    denoiser = Denoiser(recipe, data.tokenizer.get_vocab_size())
    denoiser.resume(snapshot)
    process = settings.parameterization
    levels = alpha_bars(process.schedule, process.beta_start, process.beta_end, process.timesteps)
    before = denoiser.seconds - clock.seconds()
    while denoiser.step < settings.steps and not clock.is_over():
        trained = context_length(denoiser.step - 1, recipe)
        if trained < context_length(denoiser.step, recipe):
            for table in denoiser.position_tables():
                extend_positions(table, trained)
        loss = train_step(denoiser, data, levels, recipe)
        denoiser.loss = loss if math.isnan(denoiser.loss) else 0.98 * denoiser.loss + 0.02 * loss
        denoiser.seconds = before + clock.seconds()
        on_progress(
            TrainingProgress(
                stage="diffusion", step=denoiser.step, total=settings.steps, loss=denoiser.loss, seconds=clock.seconds()
            )
        )
        if clock.is_save_due():
            denoiser.save(snapshot)
    denoiser.save(snapshot)
    return denoiser


def train_step(denoiser: Denoiser, data: DiffusionData, levels: Tensor, recipe: Recipe) -> float:
    """One update; return the weighted loss. `levels` holds abar for every timestep."""
    settings = recipe.diffusion
    step = denoiser.step
    latents, ids = data.draw(step, recipe)
    random = torch.Generator().manual_seed(recipe.seed * 3_000_017 + step)
    # One timestep from each of B equal strata: the same distribution, with less variance from step to step.
    places = (torch.arange(len(latents)) + torch.rand(len(latents), generator=random)) / len(latents)
    timesteps = ((1 - (1 - places) ** settings.noise_bias) * len(levels)).long().clamp(max=len(levels) - 1)
    alpha_bar = levels[timesteps]
    prediction = settings.parameterization.prediction
    noise = torch.randn(latents.shape, generator=random)
    noisy, target = noisy_and_target(latents, noise, alpha_bar, prediction)
    weights = min_snr_weights(alpha_bar, settings.min_snr_gamma, prediction) / len(latents)
    parts = [denoiser.lanes.split(tensor) for tensor in (noisy, timesteps, ids, target, weights)]

    def loss_of(networks: Any, part: int) -> Tensor:
        x, t, tokens, wanted, weight = (tensors[part] for tensors in parts)
        with precision():
            output = networks["unet"](x, t, networks["text"](tokens)[0]).sample
        loss: Tensor = ((output.float() - wanted).square().mean((1, 2, 3)) * weight).sum()
        return loss

    loss = denoiser.lanes.backward(loss_of, len(parts[0]))
    for group in denoiser.optimizer.param_groups:
        group["lr"] = learning_rate(step, settings.steps, group["peak"], settings.warmup, settings.decay_from)
    torch.nn.utils.clip_grad_norm_([value for _, value in denoiser.parameters()], 1.0)
    denoiser.optimizer.step()
    denoiser.average.update(denoiser.parameters())
    denoiser.step += 1
    return loss


def context_length(step: int, recipe: Recipe) -> int:
    """How many tokens the networks see at `step`: few at first, since most of 77 are padding, all of them at the end."""
    settings = recipe.diffusion
    short = step < settings.long_context_from * settings.steps
    return settings.context_length if short else recipe.tokenizer.max_length


@torch.no_grad()
def extend_positions(table: Tensor, trained: int) -> None:
    """Start the rows of a position table (T, D) after the first `trained` from the last trained one, which stood for padding."""
    table[trained:] = table[trained - 1]
