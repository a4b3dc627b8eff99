"""Measure a text-to-picture model on its own data: is the nearest real picture the prompted one?"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import torch
from torch import Tensor
from torch.nn import functional

from engine.datatypes.parameterization import LatentFormat
from engine.denoising.records import LiveModel, StepPlan
from engine.denoising.run import ksampler
from engine.sampling.guiders import CfgGuidance
from engine.sampling.noise_schedule import NoiseSchedule
from engine.training.lanes import spread
from engine.training.recipe import Recipe, RecipeError


class Prompt(msgspec.Struct, frozen=True):
    """A prompt and the names of the pictures that count as what was asked for (its name group)."""

    text: str
    accepted: tuple[str, ...]


class Answer(msgspec.Struct, frozen=True):
    """What a prompt gave: the nearest real picture and whether it is an accepted one."""

    prompt: str
    nearest: str
    right: bool


class Score(msgspec.Struct, frozen=True):
    """The result of an evaluation. `psnr` in dB is the autoencoder's, over the whole data set."""

    right: int
    total: int
    answers: tuple[Answer, ...]
    psnr: float

    def misses(self) -> list[str]:
        """The prompts whose picture looks most like another one, with that one's name."""
        return [f"{answer.prompt}: {answer.nearest}" for answer in self.answers if not answer.right]


def read_prompts(path: Path) -> list[Prompt]:
    """Read prompts, one a line: `prompt` or `prompt = name | name`; `#` starts a comment. Without names the prompt is the name.

    Raises RecipeError if the file cannot be read or a line has no prompt.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise RecipeError(f"{path}: cannot read the evaluation's prompts: {error.strerror}.") from error
    prompts = []
    for number, line in enumerate(lines, 1):
        text, _, names = line.partition("#")[0].partition("=")
        if not text.strip() and not names.strip():
            continue
        if not text.strip():
            raise RecipeError(f"{path}, line {number}: expected `prompt = name | name`, got `{line.strip()}`.")
        accepted = tuple(name.strip() for name in names.split("|") if name.strip())
        prompts.append(Prompt(text.strip(), accepted or (text.strip(),)))
    return prompts


def check_names(prompts: Sequence[Prompt], names: Sequence[str]) -> None:
    """Raise RecipeError if a prompt accepts a name that no picture has."""
    unknown = sorted({name for prompt in prompts for name in prompt.accepted} - set(names))
    if unknown:
        raise RecipeError(f"evaluation prompts: no picture of the data set is named {', '.join(unknown[:8])}.")


def features(pixels: Tensor) -> Tensor:
    """Describe pictures (N, 3, H, W) in -1..1 by numbers whose L2 distance is the evaluation's measure: float32 (N, F).

    Colour: 16×16 mean RGB. Form: at 32×32, the gradient magnitude of brightness, averaged to 16×16, scaled to length 2 for
    every picture, so that where the edges are counts and how sharp they are does not. Both are blurred by a 3×3 mean, so
    that a shift by a pixel counts little.
    """
    colour = functional.avg_pool2d(functional.adaptive_avg_pool2d(pixels, 16), 3, 1, 1, count_include_pad=False)
    grey = functional.adaptive_avg_pool2d(pixels.mean(1, keepdim=True), 33)
    across = grey[..., :-1, 1:] - grey[..., :-1, :-1]
    down = grey[..., 1:, :-1] - grey[..., :-1, :-1]
    edges = functional.adaptive_avg_pool2d((across.square() + down.square() + 1e-8).sqrt(), 16)
    edges = functional.avg_pool2d(edges, 3, 1, 1, count_include_pad=False).flatten(1)
    return torch.cat((colour.flatten(1), 2 * functional.normalize(edges)), 1)


def nearest(pictures: Tensor, real: Tensor) -> Tensor:
    """Index of the nearest of `real` (N, 3, H, W) for each of `pictures` (B, 3, H, W), both in -1..1: int64 (B,)."""
    return torch.cdist(features(pictures), features(real)).argmin(1)


def generate(networks: Any, prompts: Sequence[str], recipe: Recipe, size: int) -> Tensor:
    """Make one picture a prompt: float32 (B, 3, f·size, f·size) in -1..1, f the autoencoder's reduction.

    `networks` has `unet`, `text`, `vae` and `tokenizer`. Every prompt gets the sampler, guidance, steps and seed of
    the recipe on its own, against the empty prompt: the picture that a workflow with these settings makes.
    """
    process = recipe.diffusion.parameterization
    settings = recipe.evaluation
    empty = [[_encode(networks, ""), {}]]
    latent_format = LatentFormat(channels=recipe.vae.latent_channels, scale=1.0)

    def network(x: Tensor, t: Tensor, context: Tensor, **_: Any) -> Tensor:
        output: Tensor = networks.unet(x, t, context).sample
        return output

    live = LiveModel(network, NoiseSchedule(process), latent_format)
    plan = StepPlan(steps=settings.steps, sampler_name=settings.sampler, scheduler=settings.scheduler)

    def draw(part: Tensor) -> Tensor:
        start = {"samples": torch.zeros(1, recipe.vae.latent_channels, size, size)}
        guidance = CfgGuidance([[_encode(networks, prompts[int(part)]), {}]], empty, settings.guidance)
        latent = ksampler(live, start, guidance, plan, seed=settings.seed)
        pictures: Tensor = networks.vae.decode(latent["samples"]).sample.clamp(-1, 1)
        return pictures

    return spread(draw, torch.arange(len(prompts)), 1)


@torch.no_grad()
def _encode(networks: Any, text: str) -> Tensor:
    context: Tensor = networks.text(torch.tensor([networks.tokenizer.encode(text).ids]))[0]
    return context


def score(
    networks: Any, prompts: Sequence[Prompt], names: Sequence[str], real: Tensor, recipe: Recipe, psnr: float
) -> tuple[Score, Tensor]:
    """Generate a picture for every prompt and look for the nearest of `real` (N, 3, H, W), named `names`.

    Returns the score and the pictures (B, 3, H, W) in -1..1.
    """
    check_names(prompts, names)
    size = recipe.data.size // 2 ** (len(recipe.vae.widths) - 1)
    pictures = generate(networks, [prompt.text for prompt in prompts], recipe, size)
    found = [names[index] for index in nearest(pictures, real).tolist()]
    answers = tuple(Answer(p.text, name, name in p.accepted) for p, name in zip(prompts, found, strict=True))
    return Score(sum(answer.right for answer in answers), len(answers), answers, psnr), pictures


def contact_sheet(path: Path, pictures: Tensor, answers: Sequence[Answer], columns: int = 10, scale: int = 2) -> None:
    """Write the pictures (B, 3, H, W) in -1..1 as one PNG, each with its prompt below; a miss has its prompt in red."""
    from PIL import Image, ImageDraw

    tile = pictures.shape[-1] * scale
    rows = -(-len(pictures) // columns)
    sheet = Image.new("RGB", (columns * (tile + 8), rows * (tile + 22)), "white")
    draw = ImageDraw.Draw(sheet)
    for index, (picture, answer) in enumerate(zip(pictures, answers, strict=True)):
        left, top = index % columns * (tile + 8) + 4, index // columns * (tile + 22) + 2
        values = ((picture.permute(1, 2, 0) + 1) * 127.5).round().byte().numpy()
        sheet.paste(Image.fromarray(values).resize((tile, tile), Image.Resampling.LANCZOS), (left, top))
        draw.text((left, top + tile + 4), answer.prompt[:22], fill="black" if answer.right else "#c00000")
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(path)
