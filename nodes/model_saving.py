"""Models to files: checkpoints, single parts of them, and LoRAs of differences, for other tools to load."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from engine.api import Clip, Context, In, Model, Vae, node
from engine.media.numbered import embedded_texts, write_named

if TYPE_CHECKING:
    from engine.models.saving.files import ModelFile

_IN_FILES = {"prompt": "PROMPT", "extra_pnginfo": "EXTRA_PNGINFO"}
FilePrefix = Annotated[
    str, In(tip="Beginning of the file name; a/b makes folders, %date:yyyy-MM-dd% and %Node.input% are filled in.")
]


@node(
    "CheckpointSave", category="advanced/model_merging", display_name="Save Checkpoint", output=True, hidden=_IN_FILES
)
def checkpoint_save(
    ctx: Context, model: Model, clip: Clip, vae: Vae, filename_prefix: FilePrefix = "checkpoints/ComfyUI"
) -> None:
    """Save a denoiser, its text encoders and its VAE as one checkpoint file (safetensors) in the output folder.

    Merged weights and LoRAs are written in. Names and layout are those of the original single files, which every program reads;
    weights keep the dtype of the files that they come from, packed ones become bf16. The workflow is in the metadata, and by the
    keys of ModelSpec what it is and predicts. One tensor at a time is in memory. Raises a problem for a text encoder that
    checkpoints of the model's family do not hold.
    """
    from engine.models.saving.files import checkpoint_file

    _save(ctx, checkpoint_file(model, clip, vae, ctx.models.files, _title(filename_prefix)), filename_prefix)


@node("ModelSave", category="advanced/model_merging", display_name="ModelSave", output=True, hidden=_IN_FILES)
def model_save(ctx: Context, model: Model, filename_prefix: FilePrefix = "diffusion_models/ComfyUI") -> None:
    """Save a denoiser alone (safetensors) in the output folder, merged weights and LoRAs written in, for UNETLoader."""
    from engine.models.saving.files import model_file

    _save(ctx, model_file(model, ctx.models.files, _title(filename_prefix)), filename_prefix)


@node("CLIPSave", category="advanced/model_merging", display_name="CLIPSave", output=True, hidden=_IN_FILES)
def clip_save(ctx: Context, clip: Clip, filename_prefix: FilePrefix = "clip/ComfyUI") -> None:
    """Save text encoders, each in a file of its own in the output folder, for CLIPLoader and its like.

    Each file has the tower's name behind the prefix (`ComfyUI_clip_l_00001_.safetensors`). CLIP's are written in the names of
    transformers, others as their files have them; LoRAs and merged weights are written in.
    """
    from engine.models.saving.files import tower_file

    for tower in clip.towers:
        _save(ctx, tower_file(tower, ctx.models.files), f"{filename_prefix}_{tower.tower}")


@node("VAESave", category="advanced/model_merging", display_name="VAESave", output=True, hidden=_IN_FILES)
def vae_save(ctx: Context, vae: Vae, filename_prefix: FilePrefix = "vae/ComfyUI_vae") -> None:
    """Save a VAE alone (safetensors) in the output folder, in the original layout, for VAELoader."""
    from engine.models.saving.files import vae_file

    _save(ctx, vae_file(vae, ctx.models.files), filename_prefix)


@node("LoraSave", category="_for_testing", display_name="Extract and Save Lora", output=True, hidden=_IN_FILES)
def lora_save(
    ctx: Context,
    filename_prefix: FilePrefix = "loras/ComfyUI_extracted_lora",
    rank: Annotated[int, In(ge=1, le=4096, step=1, tip="How many directions of each difference are kept.")] = 8,
    lora_type: Annotated[
        Literal["standard", "full_diff"], In(tip="standard keeps `rank` directions, full_diff the whole difference.")
    ] = "standard",
    bias_diff: Annotated[bool, In(tip="Keep the differences of biases and normalisations too.")] = True,
    model_diff: Annotated[Model | None, In(tip="What ModelMergeSubtract gives.")] = None,
    text_encoder_diff: Annotated[Clip | None, In(tip="What CLIPMergeSubtract gives.")] = None,
) -> None:
    """Save the difference of two models as a LoRA file: of each weight the closest matrix of a rank (by singular values).

    For U-Nets and text encoders the names are those of kohya-ss, for other networks those of PEFT. diffusers refuses files with
    differences of biases, so switch `bias_diff` off for it. Neither input connected: nothing is saved.
    """
    if model_diff is None and text_encoder_diff is None:
        ctx.warn("Nothing is saved: connect what ModelMergeSubtract or CLIPMergeSubtract gives.")
        return
    from engine.models.saving.extracted import lora_file

    found = lora_file(
        model_diff,
        text_encoder_diff,
        ctx.models.files,
        rank=rank,
        full=lora_type == "full_diff",
        biases=bias_diff,
        report=_progress(ctx),
        device=ctx.models.device,
    )
    _save(ctx, found, filename_prefix)


def _save(ctx: Context, made: ModelFile, prefix: str) -> Path:
    from engine.models.saving.pieces import write_pieces

    metadata = made.metadata | embedded_texts(ctx.embedded)
    home = ctx.paths.directory("output").resolve()
    return write_named(
        home,
        prefix,
        ".safetensors",
        lambda path: write_pieces(path, made.pieces, metadata, _progress(ctx)),
        ctx.prompt,
    )


def _progress(ctx: Context) -> Callable[[int, int], None]:
    return ctx.progress


def _title(prefix: str) -> str:
    return Path(prefix.replace("\\", "/")).name
