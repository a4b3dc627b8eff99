"""Where, and in which precision, models are computed."""

from __future__ import annotations

from typing import Annotated, Final, TypeVar

from engine.api import Clip, Context, In, Model, Vae, node
from engine.denoising.inside.base import with_patch
from engine.models.chosen import in_precision, is_there, on_device, same

Handle = TypeVar("Handle", Model, Clip, Vae)

_GPUS: Final = tuple(f"gpu:{number}" for number in range(8))
_DTYPES: Final = {"default": "", "fp32": "float32", "fp16": "float16", "bf16": "bfloat16"}

Device = Annotated[
    str, In(choices=("default", "cpu", *_GPUS), tip="Where it is computed; default is where this worker computes.")
]
Card = Annotated[
    str, In(choices=("default", *_GPUS), tip="Where it is computed; default is where this worker computes.")
]


@node("SelectModelDevice", category="advanced/multigpu", display_name="Select Model Device")
def select_model_device(ctx: Context, model: Model, device: Device = "default") -> Model:
    """Choose the device that a diffusion model is computed on, its weights being loaded there.

    A device that this machine does not have is said, and the model comes back as it is. On the CPU it is computed in float32.
    What ControlNets add is computed by the worker's own device.
    """
    return _chosen(ctx, model, device)


@node("SelectCLIPDevice", category="advanced/multigpu", display_name="Select CLIP Device")
def select_clip_device(ctx: Context, clip: Clip, device: Device = "default") -> Clip:
    """Choose the device that text encoders are computed on, their weights being loaded there.

    A device that this machine does not have is said, and the encoder comes back as it is. On the CPU it is computed in float32.
    """
    return _chosen(ctx, clip, device)


@node("SelectVAEDevice", category="advanced/multigpu", display_name="Select VAE Device")
def select_vae_device(ctx: Context, vae: Vae, device: Card = "default") -> Vae:
    """Choose the graphics card that a VAE is computed on, its weights being loaded there.

    A card that this machine does not have is said, and the VAE comes back as it is.
    """
    return _chosen(ctx, vae, device)


@node("ModelComputeDtype", category="advanced/debug/model", display_name=None)
def model_compute_dtype(
    model: Model,
    dtype: Annotated[
        str,
        In(
            choices=tuple(_DTYPES),
            tip="fp32, fp16 or bf16; default is what this worker computes in.",
            options={"advanced": True},
        ),
    ] = "default",
) -> Model:
    """Choose the precision that a diffusion model is kept and computed in; files of packed weights stay packed."""
    return in_precision(model, _DTYPES[dtype])


@node("TorchCompileModel", category="_for_testing", display_name=None, experimental=True)
def torch_compile_model(
    model: Model,
    backend: Annotated[
        str, In(choices=("inductor", "cudagraphs"), tip="inductor compiles; cudagraphs records, on CUDA cards.")
    ] = "inductor",
) -> Model:
    """Compile the network with torch.compile: the first step takes long, others are quicker, on most cards.

    inductor needs a C++ compiler on a CPU and Triton on a card; where it cannot compile, the run stops with the reason. Calls
    that other nodes put functions into (FreeU, HyperTile, skipped layers, hypernetworks …) are not compiled, which is said.
    """
    return with_patch(model, "compiled", backend=backend)


@node("MultiGPU_WorkUnits", category="advanced/multigpu", display_name="MultiGPU CFG Split")
def multi_gpu_work_units(
    ctx: Context,
    model: Model,
    max_gpus: Annotated[int, In(ge=1, step=1, tip="Kept for saved workflows; it changes nothing here.")] = 2,
) -> Model:
    """Give the model back as it is: here a run is computed on one device, and its predictions are not split over several.

    Several cards are used by several workers (`safelight serve`), each with a job of its own. It is said where more than one
    card was asked for.
    """
    if max_gpus > 1:
        ctx.warn(
            "MultiGPU_WorkUnits: the run stays on one device: predictions are not split over several cards here. Several "
            "workers use several cards, for a job each."
        )
    return model


@node("wanBlockSwap", category="", display_name=None, deprecated=True)
def wan_block_swap(model: Model) -> Model:
    """Give the model back as it is. Kept for saved workflows: in the field too it has no function any more."""
    return model


def _chosen(ctx: Context, handle: Handle, device: str) -> Handle:
    found: Handle
    if device == "default":
        found = on_device(handle, "")
        return found
    told = device.replace("gpu:", "cuda:")
    if not is_there(told):
        ctx.warn(f"There is no {device} in this machine: it is computed on {ctx.models.device}, as without this node.")
        return handle
    found = on_device(handle, "" if same(told, ctx.models.device) else told)
    return found
