"""Taking what a picture shows off its background, by a network."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from engine.api import Context, Files, Image, In, Mask, Out, Socket, node

if TYPE_CHECKING:
    from engine.models.handles import PerceptionHandle as BackgroundModel
else:

    class BackgroundModel(Socket, io_type="BACKGROUND_REMOVAL"):
        """Handle of a network that says what stands before the background."""


@node("LoadBackgroundRemovalModel", category="loaders", display_name="Load Background Removal Model")
def load_background_removal_model(
    ctx: Context,
    bg_removal_name: Annotated[
        str, In(choices=Files("background_removal"), tip="A file in models/background_removal.")
    ],
) -> Annotated[BackgroundModel, Out(name="bg_model")]:
    """Load a network that removes backgrounds: BiRefNet with Swin, as its authors write it."""
    return ctx.models.perception(ctx.paths.find("background_removal", bg_removal_name), "background")


@node("RemoveBackground", category="image", display_name="Remove Background")
def remove_background(
    ctx: Context,
    bg_removal_model: Annotated[BackgroundModel, In(tip="A network of LoadBackgroundRemovalModel.")],
    image: Image,
) -> Annotated[Mask, Out(name="mask")]:
    """Say what stands before the background of pictures (B, H, W, C): masks (B, H, W) in 0..1, 1 for what stands before.

    A picture is seen squeezed into a square of 1024 pixels.
    """
    with ctx.models.use(bg_removal_model) as network:
        masks: Mask = network.masks(image, ctx.progress)
        return masks
