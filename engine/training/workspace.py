"""The folder of one training run: which file holds what, and whose run it is."""

from __future__ import annotations

from pathlib import Path

import msgspec

from engine.training.recipe import LoraRecipe, Recipe, RecipeError

SNAPSHOTS = ("tokenizer.json", "vae.pt", "latents.pt", "diffusion.pt", "decoder.pt", "lora.pt", "recipe.json")


class Workspace:
    """Paths under `root`. Everything in it can be made again from the recipe."""

    def __init__(self, root: Path) -> None:
        """Create the folder if need be."""
        self.root = root
        root.mkdir(parents=True, exist_ok=True)
        self.packages = root / "packages"
        self.tokenizer = root / "tokenizer.json"
        self.vae = root / "vae.pt"
        self.latents = root / "latents.pt"
        self.diffusion = root / "diffusion.pt"
        self.decoder = root / "decoder.pt"
        self.contact_sheet = root / "contact_sheet.png"
        # Written by hand, if at all: what of this run the recipe does not say. It goes into the checkpoint's provenance.
        self.notes = root / "notes.txt"
        self.evaluation = root / "evaluation.json"
        self._recipe = root / "recipe.json"

    def claim(self, recipe: Recipe | LoraRecipe, resume: bool) -> None:
        """Take the folder for `recipe`; without `resume`, forget what an earlier run left.

        Raises RecipeError if an earlier run's data or networks were others: its snapshots would not fit.
        """
        if not resume:
            for name in SNAPSHOTS:
                (self.root / name).unlink(missing_ok=True)
        shape = msgspec.json.encode(_shape(recipe))
        if self._recipe.exists() and self._recipe.read_bytes() != shape:
            raise RecipeError(
                f"{self.root}: holds a run with other data or network sizes than recipe {recipe.name!r}. "
                "Start afresh (resume=False) or give another work folder."
            )
        self._recipe.write_bytes(shape)


def _shape(recipe: Recipe | LoraRecipe) -> dict[str, object]:
    """What may not change between two parts of one run. Steps, rates and schedules may."""
    if isinstance(recipe, LoraRecipe):
        fixed = ("seed", "checkpoint", "pictures", "size", "rank", "targets")
        return {name: getattr(recipe, name) for name in fixed}
    vae = recipe.vae
    return {
        "seed": recipe.seed,
        "data": msgspec.to_builtins(recipe.data),
        "tokenizer": msgspec.to_builtins(recipe.tokenizer),
        "text": msgspec.to_builtins(recipe.text),
        "unet": msgspec.to_builtins(recipe.unet),
        "vae": [vae.latent_channels, list(vae.widths), vae.blocks, vae.norm_groups],
    }
