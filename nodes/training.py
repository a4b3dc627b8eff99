"""Training LoRAs in graphs: on latents and conditionings of a data set, to files, and the course of the loss as a picture."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, TypeAlias

from engine.api import Conditioning, Context, Files, In, Latent, Model, Socket, WithUi, node
from engine.media.numbered import embedded_texts, write_named
from nodes.dimensions import first_of

if TYPE_CHECKING:
    LoraModel: TypeAlias = dict[str, Any]
    LossMap: TypeAlias = dict[str, list[float]]
else:

    class LoraModel(Socket, io_type="LORA_MODEL"):
        """The tensors of a LoRA file by name."""

    class LossMap(Socket, io_type="LOSS_MAP"):
        """Dict with `loss`, the mean loss of each step."""


_NONE = "[None]"
_IN_FILES = {"prompt": "PROMPT", "extra_pnginfo": "EXTRA_PNGINFO"}
_KEPT = "Kept for saved workflows; "


class Trained(NamedTuple):
    """What training gave."""

    lora: LoraModel
    loss_map: LossMap
    steps: int


@node("TrainLoraNode", category="training", display_name="Train LoRA", input_is_list=True, experimental=True)
def train_lora(
    ctx: Context,
    model: Annotated[Model, In(tip="The model to train on; it stays as it is.")],
    latents: Annotated[list[Latent], In(tip="What to learn: latents of one size or of several.")],
    positive: Annotated[list[Conditioning], In(tip="A conditioning for each latent, or one for all.")],
    batch_size: Annotated[int, In(ge=1, le=10000, tip="Examples that go through the network for a batch.")] = 1,
    grad_accumulation_steps: Annotated[int, In(ge=1, le=1024, tip="Batches whose gradients are added for a step.")] = 1,
    steps: Annotated[int, In(ge=1, le=100000, tip="Steps of the optimiser.")] = 16,
    learning_rate: Annotated[float, In(ge=1e-7, le=1.0, step=1e-7, tip="How far a step goes.")] = 0.0005,
    rank: Annotated[int, In(ge=1, le=128, tip="Rank of the layers' changes.")] = 8,
    optimizer: Annotated[
        str, In(choices=("AdamW", "Adam", "SGD", "RMSprop"), tip="How steps are made of gradients.")
    ] = "AdamW",
    loss_function: Annotated[
        str, In(choices=("MSE", "L1", "Huber", "SmoothL1"), tip="How far the network is off.")
    ] = "MSE",
    seed: Annotated[int, In(ge=0, le=2**64 - 1, seed=True, tip="Of the first weights, and of all that is drawn.")] = 0,
    training_dtype: Annotated[
        str,
        In(
            choices=("bf16", "fp32", "none"),
            tip="bf16 computes so where it can; fp32 and none as the weights are kept.",
        ),
    ] = "bf16",
    lora_dtype: Annotated[
        str, In(choices=("bf16", "fp32"), tip="What the result is kept in; it is trained in fp32.")
    ] = "bf16",
    quantized_backward: Annotated[bool, In(tip=_KEPT + "gradients are computed unpacked.")] = False,
    algorithm: Annotated[str, In(choices=("LoRA", "LoHa", "LoKr", "OFT"), tip="The form of the changes.")] = "LoRA",
    gradient_checkpointing: Annotated[
        bool, In(tip="Compute blocks again for gradients: slower, in less memory.")
    ] = True,
    checkpoint_depth: Annotated[int, In(ge=1, le=5, tip=_KEPT + "whole blocks are computed again.")] = 1,
    offloading: Annotated[bool, In(tip=_KEPT + "memory is managed for all models.")] = False,
    existing_lora: Annotated[str, In(choices=Files("loras", extra=(_NONE,)), tip="A LoRA to go on from.")] = _NONE,
    bucket_mode: Annotated[bool, In(tip="Latents are buckets of ResolutionBucket; a batch is of one of them.")] = False,
    bypass_mode: Annotated[
        bool, In(tip="Compute changes beside the weights, which need not be unpacked then.")
    ] = False,
) -> Trained:
    """Train changes of a denoiser's linear and convolutional layers on latents and their conditionings.

    Each step draws `batch_size` examples `grad_accumulation_steps` times, a timestep for each, and adds noise; what is learned is
    what the network predicts (noise, velocity, x0 or a flow). The same seed gives the same LoRA on the same machine. The alpha is
    the rank (inferred); weights are trained in float32 and kept in `lora_dtype`. `steps` counts on from the number in the
    existing LoRA's name (`…_1000_steps_…`).
    """
    from engine.training.examples import examples_of, lora_tensors, new_adapters, steps_told, with_existing
    from engine.training.in_graphs import Plan, train

    plan = Plan(
        steps=first_of(steps),
        batch=first_of(batch_size),
        accumulation=first_of(grad_accumulation_steps),
        learning_rate=first_of(learning_rate),
        optimizer=first_of(optimizer),
        loss=first_of(loss_function),
        seed=first_of(seed),
        autocast=_torch_type("bf16") if first_of(training_dtype) == "bf16" else None,
        checkpointing=first_of(gradient_checkpointing),
        bypass=first_of(bypass_mode),
    )
    handle, existing, before = first_of(model), first_of(existing_lora), 0
    with ctx.models.use(handle) as network:
        buckets = examples_of(network, latents, positive, bucketed=first_of(bucket_mode))
        adapters = new_adapters(network, first_of(algorithm), first_of(rank), plan.seed)
        if existing != _NONE:
            adapters = with_existing(network, adapters, ctx.paths.find("loras", existing))
            before = steps_told(existing)
        losses = train(network, buckets, adapters, plan, ctx.progress)
        found = lora_tensors(handle, adapters, _torch_type(first_of(lora_dtype)))
    return Trained(found, {"loss": losses}, before + plan.steps)


def _torch_type(name: str) -> Any:
    import torch

    return torch.bfloat16 if name == "bf16" else torch.float32


LoraToSave = Annotated[LoraModel, In(tip="What TrainLoraNode gives; no model with LoRAs on it.")]
LoraPrefix = Annotated[str, In(tip="Beginning of the file name; a/b makes folders.")]
StepsDone = Annotated[
    int | None, In(ge=0, le=2**31, link_only=True, tip="How many steps it was trained for, for the name.")
]


@node("SaveLoRA", category="loaders", display_name="Save LoRA Weights", output=True, experimental=True)
def save_lora(
    ctx: Context, lora: LoraToSave, prefix: LoraPrefix = "loras/ComfyUI_trained_lora", steps: StepsDone = None
) -> None:
    """Save a trained LoRA (safetensors) in the output folder; with `steps`, the name says `1000_steps`.

    For U-Nets the names are those of kohya-ss, for other networks those of PEFT, which LoraLoader and diffusers read.
    """
    from engine.models.saving.pieces import piece_of, write_pieces

    pieces = [piece_of(name, value) for name, value in lora.items()]
    metadata = {"format": "pt", **embedded_texts(ctx.embedded)}
    named = prefix if steps is None else f"{prefix}_{steps}_steps"
    home = ctx.paths.directory("output").resolve()
    write_named(home, named, ".safetensors", lambda path: write_pieces(path, pieces, metadata), ctx.prompt)


@node(
    "LossGraphNode",
    category="training",
    display_name="Plot Loss Graph",
    output=True,
    experimental=True,
    hidden=_IN_FILES,
)
def loss_graph(
    ctx: Context,
    loss: Annotated[LossMap, In(tip="What TrainLoraNode gives.")],
    filename_prefix: Annotated[str, In(tip="Beginning of the file name.")] = "loss_graph",
) -> WithUi[None]:
    """Draw the loss over the steps of a training as a line, with its least and greatest value, and show it."""
    from engine.training.loss_graph import drawn

    return WithUi(ui={"images": list(ctx.save_images(drawn(loss["loss"]), filename_prefix, "temp"))})
