"""LoRAs that are computed beside the layers of a model, whose weights stay as they are; and LoRAs that are tensors."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from engine.api import Clip, Context, In, Model, Out, Socket, node
from engine.models.lora_families import left_over
from nodes.loaders import LoraName, LoraStrength, ModelAndClip

if TYPE_CHECKING:
    LoraTensors = dict[str, Any]
else:

    class LoraTensors(Socket, io_type="LORA_MODEL"):
        """A LoRA's tensors by their names."""


FOLDER = "lora_models"
"""Where in the folder for temporary files LoRAs lie that came as tensors."""


@node("LoraLoaderBypass", category="loaders/lora", display_name="Load LoRA (Bypass) (For debugging)", experimental=True)
def lora_loader_bypass(
    ctx: Context,
    model: Model,
    clip: Clip,
    lora_name: LoraName,
    strength_model: LoraStrength = 1.0,
    strength_clip: LoraStrength = 1.0,
) -> ModelAndClip:
    """Put a LoRA beside the layers of a denoiser and its text encoder: what it adds is computed in each call.

    The result is that of LoraLoader to rounding; no copy of a weight is kept, and each call costs more. What is for
    normalisations and the like is put on the weights all the same.
    """
    return ModelAndClip(*_beside(ctx, lora_name, model, clip, strength_model, strength_clip))


@node(
    "LoraLoaderBypassModelOnly",
    category="loaders/lora",
    display_name="Load LoRA (Bypass, Model Only) (for debugging)",
    experimental=True,
)
def lora_loader_bypass_model_only(
    ctx: Context, model: Model, lora_name: LoraName, strength_model: LoraStrength = 1.0
) -> Annotated[Model, Out(name="model")]:
    """Put a LoRA beside the layers of a denoiser: what it adds is computed in each call, and the weights stay as they are."""
    patched: Model = _beside(ctx, lora_name, model, None, strength_model, 0.0)[0]
    return patched


@node("LoraModelLoader", category="loaders", display_name="Load LoRA Model", experimental=True)
def lora_model_loader(
    ctx: Context,
    model: Model,
    lora: LoraTensors,
    strength_model: LoraStrength = 1.0,
    bypass: Annotated[bool, In(tip="Compute it beside the layers, and leave the weights as they are.")] = False,
) -> Annotated[Model, Out(name="model")]:
    """Put a LoRA that came as tensors, such as one that a node trained, on a denoiser.

    Inferred: LORA_MODEL is a dict of tensors under the names that files have. They are kept as a file among the temporary ones.
    """
    if strength_model == 0.0:
        return model
    path = _kept(ctx, lora)
    result = ctx.models.lora(path, model, None, strength_model, beside=bypass)
    if note := left_over("lora", path, result.unmatched, with_text=False):
        ctx.warn(note)
    assert result.model is not None
    return result.model


def _kept(ctx: Context, lora: Any) -> Path:
    """The file of a LoRA's tensors, named by their content; written where it is not there yet."""
    import os
    import tempfile

    from safetensors.torch import save_file
    from torch import Tensor

    from engine.cache.digests import digest

    if not isinstance(lora, dict) or not lora or not all(isinstance(one, Tensor) for one in lora.values()):
        raise ValueError(
            f"LoraModelLoader: lora: expected tensors by their names (a dict), got {type(lora).__name__}"
            f"{' that is empty' if lora == {} else ''}. Link a node that makes a LORA_MODEL."
        )
    tensors = {str(name): one.detach().cpu().contiguous().clone() for name, one in lora.items()}
    name = digest(tensors)
    assert name is not None
    path = Path(ctx.paths.directory("temp")) / FOLDER / f"{name.hex()}.safetensors"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, written = tempfile.mkstemp(dir=path.parent)
        os.close(handle)
        save_file(tensors, written)
        Path(written).replace(path)
    return path


def _beside(
    ctx: Context, name: str, model: Any, clip: Any, strength_model: float, strength_clip: float
) -> tuple[Any, Any]:
    if strength_model == 0.0 and strength_clip == 0.0:
        return model, clip
    path = ctx.paths.find("loras", name)
    result = ctx.models.lora(path, model, clip, strength_model, strength_clip, beside=True)
    if note := left_over(name, path, result.unmatched, with_text=clip is not None):
        ctx.warn(note)
    return result.model, result.clip
