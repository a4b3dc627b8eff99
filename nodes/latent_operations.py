"""Operations on latents as values, and where they are put: on a latent, or within guidance at every step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from engine.api import In, Latent, Model, Out, Socket, node
from engine.denoising.model_guidance import with_operation
from engine.models.latent_spaces import changed
from engine.sampling.latent_operations import LatentOperation
from nodes.carried import carrying

if TYPE_CHECKING:
    Operation = LatentOperation
else:

    class Operation(Socket, io_type="LATENT_OPERATION"):
        """What can be done to a latent: a function `(latent=tensor) -> tensor`."""


Share = Annotated[
    float | None,
    In(ge=0, le=1, step=0.001, tip="Share of the noise levels that are behind.", options={"advanced": True}),
]


@node("LatentApplyOperation", category="latent/advanced/operations", display_name=None, experimental=True)
def latent_apply_operation(samples: Latent, operation: Operation) -> Latent:
    """Put an operation on a latent (B, C, h, w) or (B, C, T, h, w), as it lies in the VAE's space."""
    return changed(samples, operation(latent=samples["samples"]))


@node("LatentApplyOperationCFG", category="latent/advanced/operations", display_name=None, experimental=True)
def latent_apply_operation_cfg(
    model: Model, operation: Operation, start_percent: Share = 0.0, end_percent: Share = 1.0
) -> Model:
    """Put an operation on what guidance adds at every step: the difference of the predictions of x_0, in the network's space.

    Where there is no negative prediction, on the prediction itself. Only while the share of sampling done is within
    `start_percent`..`end_percent`.
    """
    where = "LatentApplyOperationCFG: operation"
    if not isinstance(operation, LatentOperation):
        raise ValueError(
            f"{where}: expected an operation of a built-in node, got a function of a pack ({type(operation).__name__}), whose "
            "results could not be kept. Connect LatentOperationTonemapReinhard, LatentOperationSharpen or LatentOperationBlend."
        )
    facts = [operation.kind, list(operation.numbers), operation.reference]
    model, name = carrying(model, facts, where)
    return with_operation(model, name, start_percent or 0.0, 1.0 if end_percent is None else end_percent)


@node("LatentOperationTonemapReinhard", category="latent/advanced/operations", display_name=None, experimental=True)
def latent_operation_tonemap_reinhard(
    multiplier: Annotated[float, In(ge=0, le=100, step=0.01, tip="Less compresses more; 0 leaves nothing.")] = 1.0,
) -> Operation:
    """Shorten long vectors over channels by Reinhard's curve: a length l becomes l t / (l + t), directions stay.

    t is `multiplier` × (the mean length of each latent + 5 standard deviations); the 5 is the field's (inferred).
    """
    return LatentOperation("tone_mapped", (multiplier,))


@node("LatentOperationSharpen", category="latent/advanced/operations", display_name=None, experimental=True)
def latent_operation_sharpen(
    sharpen_radius: Annotated[
        int, In(ge=1, le=31, step=1, tip="Reach in latent pixels.", options={"advanced": True})
    ] = 9,
    sigma: Annotated[
        float,
        In(
            ge=0.1,
            le=10,
            step=0.1,
            tip="Width of the bell curve, in units of the radius.",
            options={"advanced": True},
        ),
    ] = 1.0,
    alpha: Annotated[
        float,
        In(ge=0, le=5, step=0.01, tip="Strength; adds 10 × alpha of the lost detail.", options={"advanced": True}),
    ] = 0.1,
) -> Operation:
    """Sharpen the directions of the vectors over channels against a Gaussian blur, and leave their lengths as they are.

    As ImageSharpen does with pictures. Frames are sharpened each by itself.
    """
    return LatentOperation("sharpened", (sharpen_radius, sigma, alpha))


@node(
    "LatentOperationBlend",
    category="latent/advanced/operations",
    display_name="Latent Operation Blend",
    experimental=True,
)
def latent_operation_blend(
    reference: Annotated[Latent, In(tip="The latent to go towards; brought to the other's sides by nearest pixels.")],
    strength: Annotated[
        float, In(ge=0, le=1, step=0.0001, tip="0 leaves the latent as it is, 1 gives the reference.")
    ] = 1.0,
) -> Annotated[Operation, Out(name="operation")]:
    """Blend a latent towards another one; a reference of fewer pictures is repeated."""
    return LatentOperation("blended", (strength,), reference["samples"])
