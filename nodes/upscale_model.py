"""Making pictures larger by a network trained for it."""

from __future__ import annotations

from typing import Annotated, Any

from engine.api import Context, Files, Image, In, UpscaleModel, node


@node("UpscaleModelLoader", category="loaders", display_name="Load Upscale Model")
def upscale_model_loader(
    ctx: Context,
    model_name: Annotated[
        str, In(choices=Files("upscale_models"), tip="A file in models/upscale_models.", options={"multiselect": False})
    ],
) -> UpscaleModel:
    """Load a network that makes pictures larger, of any kind that the package spandrel knows."""
    return ctx.models.upscale_model(ctx.paths.find("upscale_models", model_name))


@node("ImageUpscaleWithModel", category="image/upscaling", display_name="Upscale Image (using Model)")
def image_upscale_with_model(ctx: Context, upscale_model: UpscaleModel, image: Image) -> Image:
    """Make pictures (B, H, W, C) larger by a network, tile by tile; how much larger is the network's to say."""
    if hasattr(upscale_model, "source"):
        with ctx.models.use(upscale_model) as upscaler:
            return upscaler.enlarge(image, ctx.progress)
    from engine.models.upscaling import Upscaler

    given: Any = upscale_model  # a network that a node of a pack loaded
    upscaler, place = Upscaler(given, type(given).__name__, ctx.models.device), getattr(given, "device", "cpu")
    try:
        return upscaler.enlarge(image, ctx.progress)
    finally:
        given.to(place)
