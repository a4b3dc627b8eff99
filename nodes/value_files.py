"""Latents and conditionings to files and back."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from engine.api import Conditioning, Context, Files, In, Latent, Out, WithUi, node
from engine.media.numbered import embedded_texts, told_of, write_named

if TYPE_CHECKING:
    from engine.models.saving.files import ModelFile

_IN_FILES = {"prompt": "PROMPT", "extra_pnginfo": "EXTRA_PNGINFO"}
FilePrefix = Annotated[
    str, In(tip="Beginning of the file name; a/b makes folders, %date:yyyy-MM-dd% and %Node.input% are filled in.")
]
PassedOn = Annotated[Latent, Out(name="samples", tip="The same latent, for whatever comes after.")]
Same = Annotated[Conditioning, Out(name="conditioning", tip="The same conditioning, for whatever comes after.")]


@node("SaveLatent", category="_for_testing", display_name="Save Latent", output=True, hidden=_IN_FILES)
def save_latent(ctx: Context, samples: Latent, filename_prefix: FilePrefix = "latents/ComfyUI") -> WithUi[PassedOn]:
    """Save a latent's samples, bit for bit, as a `.latent` file in the output folder, with the workflow inside, and pass it on.

    The file is the field's: safetensors with `latent_tensor` (B, C, h, w) or (B, C, T, h, w) and the empty
    `latent_format_version_0`. Masks and batch indices are not kept. Move it to the input folder to load it.
    """
    from engine.models.saving.values import latent_file

    path = _save(ctx, latent_file(samples), filename_prefix, ".latent", workflow=True)
    return WithUi(samples, ui={"latents": [told_of(path, ctx.paths.directory("output").resolve())]})


@node("LoadLatent", category="_for_testing", display_name="Load Latent")
def load_latent(
    ctx: Context,
    latent: Annotated[str, In(choices=Files("input", kind="latent"), tip="A .latent file in the input folder.")],
) -> Latent:
    """Load the latent that SaveLatent wrote, float32; files of the first format, which has no mark, are divided by 0.18215."""
    from engine.models.saving.values import read_latent

    return read_latent(ctx.paths.find("input", latent))


@node("SaveConditioning", category="advanced/conditioning", display_name="Save Conditioning", output=True)
def save_conditioning(
    ctx: Context, conditioning: Conditioning, filename_prefix: FilePrefix = "conditioning/ComfyUI"
) -> WithUi[Same]:
    """Save a single conditioning, bit for bit, as a safetensors file in the output folder, and pass it on.

    The tensor (1, T, D) is `conditioning`; options that are tensors, lists of tensors, numbers, text or booleans are kept beside
    it, others are refused by name. Move the file to models/embeddings to load it by ConditioningLoader.
    """
    from engine.models.saving.values import conditioning_file

    _save(ctx, conditioning_file(conditioning), filename_prefix, ".safetensors")
    return WithUi(conditioning, ui={})


@node("ConditioningLoader", category="advanced/conditioning", display_name="Load Conditioning")
def conditioning_loader(
    ctx: Context,
    conditioning_name: Annotated[str, In(choices=Files("embeddings"), tip="A file in models/embeddings.")],
) -> Conditioning:
    """Load a conditioning that SaveConditioning wrote, or any safetensors file with a tensor `conditioning`, with its options."""
    from engine.models.saving.values import read_conditioning

    return read_conditioning(ctx.paths.find("embeddings", conditioning_name))


def _save(ctx: Context, made: ModelFile, prefix: str, suffix: str, *, workflow: bool = False) -> Path:
    from engine.models.saving.pieces import write_pieces

    metadata = made.metadata | (embedded_texts(ctx.embedded) if workflow else {})
    home = ctx.paths.directory("output").resolve()
    return write_named(home, prefix, suffix, lambda path: write_pieces(path, made.pieces, metadata), ctx.prompt)
