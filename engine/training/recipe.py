"""What a training recipe says: every number of a run, read from one TOML file and checked before anything starts."""

from __future__ import annotations

import hashlib
import tomllib
from pathlib import Path
from typing import Annotated

import msgspec

from engine.datatypes.parameterization import Parameterization

Positive = Annotated[int, msgspec.Meta(ge=1)]
Count = Annotated[int, msgspec.Meta(ge=0)]
Rate = Annotated[float, msgspec.Meta(gt=0)]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]


class RecipeError(ValueError):
    """A recipe that cannot be followed; the message names the file, the place and what was expected."""


class Package(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One npm package of the data set, pinned by the registry's `integrity` string (`sha512-…`)."""

    name: str
    version: str
    integrity: Annotated[str, msgspec.Meta(pattern="^sha512-")]
    licence: str
    use: str

    @property
    def file_name(self) -> str:
        """The name that `npm pack` gives the archive."""
        return f"{self.name.lstrip('@').replace('/', '-')}-{self.version}.tgz"


class DataRecipe(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which pictures are used, how often each is drawn, and which one a shared bare word means.

    `weights` maps a category or subcategory of the metadata to a sampling weight (0 leaves it out; the subcategory wins);
    `flag_weight` is for flags outside `well_known_flags`, `recent_weight` for pictures added to Unicode's emoji in version
    `recent_from` or later, which people type less, `common_weight` for the pictures named in `common`, which they type most;
    `typical` maps a bare word to the picture name it stands for.
    """

    pictures: Package
    keywords: Package
    style: str = "google"
    size: Positive = 64
    weights: dict[str, Annotated[float, msgspec.Meta(ge=0)]] = {}
    well_known_flags: tuple[str, ...] = ()
    flag_weight: Annotated[float, msgspec.Meta(ge=0)] = 0.3
    common: tuple[str, ...] = ()
    common_weight: Annotated[float, msgspec.Meta(ge=0)] = 1.0
    recent_from: float = 11.0
    recent_weight: Annotated[float, msgspec.Meta(ge=0)] = 1.0
    typical: dict[str, str] = {}


class TokenizerRecipe(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A byte-pair vocabulary in the manner of CLIP."""

    vocabulary: Annotated[int, msgspec.Meta(ge=514)] = 2000
    max_length: Annotated[int, msgspec.Meta(ge=4)] = 77


class VaeRecipe(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Autoencoder and its loops. Four entries in `widths` make a latent of 1/8 of the picture's size.

    `steps` train encoder and decoder on augmented pictures; after the diffusion, `decoder_steps` train the decoder alone on
    the data set's own latents.
    """

    latent_channels: Positive = 16
    widths: tuple[Positive, ...] = (32, 64, 96, 96)
    blocks: Positive = 1
    norm_groups: Positive = 8
    steps: Count = 1000
    decoder_steps: Count = 0
    batch: Positive = 24
    lanes: Positive = 2
    learning_rate: Rate = 1e-3
    warmup: Count = 50
    ema_decay: Share = 0.995
    gradient_weight: Annotated[float, msgspec.Meta(ge=0)] = 0.5
    chroma_weight: Annotated[float, msgspec.Meta(ge=0)] = 3.0
    kl_weight: Annotated[float, msgspec.Meta(ge=0)] = 1e-4
    latent_noise: Annotated[float, msgspec.Meta(ge=0)] = 0.05


class TextRecipe(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A CLIP text transformer; `width` is also the U-Net's cross-attention width."""

    width: Positive = 192
    layers: Positive = 3
    head_dim: Positive = 32


class UnetRecipe(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The denoiser: one entry in `widths` a resolution, cross-attention at each."""

    widths: tuple[Positive, ...] = (128, 224)
    blocks: Positive = 1
    head_dim: Positive = 32
    norm_groups: Positive = 32


class DiffusionRecipe(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The joint training of U-Net and text encoder.

    `batch` pictures a step, computed in `lanes` threads; `empty_caption` is the share trained without a caption, for
    classifier-free guidance; timesteps are drawn as T * (1 - (1 - u) ** `noise_bias`), u uniform: more than 1 leans to the
    noisy ones, in which the text decides; `context_length` tokens are shown to the network until `long_context_from` (a
    share of `steps`), the tokenizer's whole length after it; `large_share` of the steps after `large_from` see pictures of
    twice the size.
    """

    steps: Count = 4000
    batch: Positive = 48
    lanes: Positive = 2
    learning_rate: Rate = 6e-4
    text_learning_rate: Rate = 6e-4
    warmup: Count = 100
    decay_from: Share = 0.7
    weight_decay: Annotated[float, msgspec.Meta(ge=0)] = 0.01
    ema_decay: Share = 0.998
    min_snr_gamma: Rate = 5.0
    noise_bias: Rate = 1.0
    empty_caption: Share = 0.1
    context_length: Positive = 24
    long_context_from: Share = 0.85
    latents_per_picture: Positive = 4
    shift: Count = 1
    large_from: Share = 0.9
    large_share: Share = 0.0
    parameterization: Parameterization = Parameterization(prediction="v")


class EvaluationRecipe(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Prompts (a file beside the recipe), sampler settings as a KSampler node has them, and the promised share of right ones."""

    prompts: str = ""
    sampler: str = "dpmpp_2m"
    scheduler: str = "karras"
    steps: Positive = 20
    guidance: Rate = 4.0
    seed: int = 1
    goal: Share = 0.8


class Recipe(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A whole run, from packages to one checkpoint file. `output` is relative to the current directory."""

    name: Annotated[str, msgspec.Meta(pattern="^[A-Za-z0-9][A-Za-z0-9._-]*$")]
    title: str
    seed: int
    output: str
    licence: str
    data: DataRecipe
    tokenizer: TokenizerRecipe = TokenizerRecipe()
    vae: VaeRecipe = VaeRecipe()
    text: TextRecipe = TextRecipe()
    unet: UnetRecipe = UnetRecipe()
    diffusion: DiffusionRecipe = DiffusionRecipe()
    evaluation: EvaluationRecipe = EvaluationRecipe()
    checkpoint_seconds: Rate = 60.0


class LoraRecipe(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="lora", tag_field="kind"):
    """A LoRA for the denoiser of `checkpoint`, trained on the folder `pictures`; a recipe file with `kind = "lora"`.

    `targets` are the ends of the paths of the layers that get low-rank layers of `rank`, scaled by `alpha` / `rank`.
    Paths are relative to the current directory.
    """

    name: Annotated[str, msgspec.Meta(pattern="^[A-Za-z0-9][A-Za-z0-9._-]*$")]
    seed: int
    checkpoint: str
    pictures: str
    output: str
    size: Positive = 512
    rank: Positive = 8
    alpha: Rate = 8.0
    targets: tuple[str, ...] = ("to_q", "to_k", "to_v", "to_out.0")
    steps: Count = 1000
    batch: Positive = 1
    learning_rate: Rate = 1e-4
    warmup: Count = 50
    decay_from: Share = 0.5
    weight_decay: Annotated[float, msgspec.Meta(ge=0)] = 0.01
    min_snr_gamma: Rate = 5.0
    empty_caption: Share = 0.1
    checkpoint_seconds: Rate = 60.0


def load_recipe(path: Path) -> Recipe | LoraRecipe:
    """Read and check a recipe: of a LoRA where the file says `kind = "lora"`, else of a model from scratch.

    Raises RecipeError if the file cannot be read, is not TOML, lacks a field, has one that is unknown or out of range,
    or names widths that the normalisation groups or attention heads do not divide.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise RecipeError(
            f"{path}: cannot read the recipe: {error.strerror}. Give the path of a .toml file."
        ) from error
    try:
        table = tomllib.loads(text)
        recipe = msgspec.convert(table, LoraRecipe) if "kind" in table else msgspec.convert(table, Recipe)
    except tomllib.TOMLDecodeError as error:
        raise RecipeError(f"{path}: not valid TOML: {error}.") from error
    except msgspec.ValidationError as error:
        raise RecipeError(f"{path}: {error}. Correct that entry of the recipe.") from error
    for problem in _size_problems(recipe) if isinstance(recipe, Recipe) else []:
        raise RecipeError(f"{path}: {problem}")
    return recipe


def recipe_digest(path: Path) -> str:
    """Return the SHA-256 of the recipe file, as the provenance of a checkpoint states it."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _size_problems(recipe: Recipe) -> list[str]:
    problems = []
    divisors = [
        ("vae.widths", recipe.vae.widths, "vae.norm_groups", recipe.vae.norm_groups),
        ("unet.widths", recipe.unet.widths, "unet.norm_groups", recipe.unet.norm_groups),
        ("unet.widths", recipe.unet.widths, "unet.head_dim", recipe.unet.head_dim),
        ("text.width", (recipe.text.width,), "text.head_dim", recipe.text.head_dim),
    ]
    for name, widths, divisor_name, divisor in divisors:
        for width in widths:
            if width % divisor:
                problems.append(f"{name} has {width}, which {divisor_name} = {divisor} does not divide.")
    factor = 2 ** (len(recipe.vae.widths) + len(recipe.unet.widths) - 2)
    if recipe.data.size % factor:
        problems.append(
            f"data.size = {recipe.data.size} must be a multiple of {factor}, the networks' whole reduction."
        )
    if recipe.diffusion.context_length > recipe.tokenizer.max_length:
        problems.append(
            f"diffusion.context_length = {recipe.diffusion.context_length} exceeds "
            f"tokenizer.max_length = {recipe.tokenizer.max_length}."
        )
    return problems
