"""Model patches: networks of their own that work within a denoiser, put on it as data."""

from __future__ import annotations

from typing import Annotated, Any, Final

import torch

from engine.api import ClipVisionOutput, Context, Files, Image, In, Mask, Model, ModelPatch, Out, Vae, node
from engine.models import controls
from engine.models.handles import ControlUse
from nodes.controlnet import as_large

_WITH_MASK: Final = 4
"""Channels of the picture of an LLLite that takes a mask too."""

Strength = Annotated[float, In(ge=-10, le=10, step=0.01, tip="How much of what it adds counts.")]
Moment = Annotated[float, In(ge=0, le=1, step=0.001, tip="Share of the sampling done: 0 the start, 1 the end.")]


@node("ModelPatchLoader", category="advanced/loaders", experimental=True)
def model_patch_loader(
    ctx: Context, name: Annotated[str, In(choices=Files("model_patches"), tip="A file in models/model_patches.")]
) -> ModelPatch:
    """Load a network that works within a denoiser, between its layers. Its kind is told by its tensors."""
    return ctx.models.model_patch(ctx.paths.find("model_patches", name))


@node("QwenImageDiffsynthControlnet", category="advanced/loaders/qwen", experimental=True)
def qwen_image_diffsynth_controlnet(
    model: Model,
    model_patch: ModelPatch,
    vae: Vae,
    image: Image,
    strength: Strength = 1.0,
    mask: Annotated[Mask | None, In(tip="1 where the picture is to be made anew, for those that fill.")] = None,
    start_percent: Moment = 0.0,
    end_percent: Moment = 1.0,
) -> Model:
    """Steer a model by a control picture (B, H, W, C) and a model patch, during a part of the sampling.

    A mask (B, H, W) is only for patches that take one; what is to be made is black for them.
    """
    if strength == 0.0:
        return model
    hint = image[..., :3].movedim(-1, 1)
    large = None if mask is None else as_large(mask, *image.shape[1:3])
    use = ControlUse(model_patch, hint, strength, start_percent, end_percent, vae=vae, mask=large)
    return model.with_control(use)


@node(
    "ZImageFunControlnet",
    category="advanced/loaders/zimage",
    display_name="Apply Z-Image Fun ControlNet",
    experimental=True,
)
def z_image_fun_controlnet(
    model: Model,
    model_patch: ModelPatch,
    vae: Vae,
    strength: Strength = 1.0,
    image: Annotated[Image | None, In(tip="The control picture: edges, depth, a pose and others.")] = None,
    inpaint_image: Annotated[
        Image | None, In(tip="The picture to fill where the mask is, by networks that fill.")
    ] = None,
    mask: Annotated[
        Mask | None, In(tip="1 where the picture is to be made anew; without one that is everywhere.")
    ] = None,
    start_percent: Moment = 0.0,
    end_percent: Moment = 1.0,
) -> Annotated[Model, Out(name="model")]:
    """Steer Z-Image by a control picture, a picture to fill (B, H, W, C) and its mask (B, H, W), during a part of the sampling.

    As in the control networks' authors' pipeline (VideoX-Fun): where the mask is at least 0.5 the picture to fill is grey, and what
    is not linked is empty. Those of version 1.0 take the control picture alone.
    """
    if model_patch.kind != "z_image":
        raise ValueError(
            f"ZImageFunControlnet: model_patch: expected a control network of Z-Image, got {model_patch.source.path}, which is a "
            f"{controls.kind_named(model_patch.kind).TITLE}. Use the node that applies those."
        )
    given = next((one for one in (image, inpaint_image, mask) if one is not None), None)
    if strength == 0.0 or given is None:
        return model
    height, width = given.shape[1:3] if image is not None or inpaint_image is not None else given.shape[-2:]
    hint = torch.zeros(1, 0, height, width) if image is None else image[..., :3].movedim(-1, 1)
    fill = None if inpaint_image is None else inpaint_image[..., :3].movedim(-1, 1)
    large = None if mask is None else as_large(mask, height, width)
    use = ControlUse(model_patch, hint, strength, start_percent, end_percent, vae=vae, mask=large, fill=fill)
    return model.with_control(use)


@node("USOStyleReference", category="advanced/model_patches/flux", experimental=True)
def uso_style_reference(model: Model, model_patch: ModelPatch, clip_vision_output: ClipVisionOutput) -> Model:
    """Let what an image encoder saw of pictures' style stand before the text, as tokens that USO's projector makes."""
    earlier = clip_vision_output.earlier_hidden_states
    if earlier is None:
        raise ValueError(
            "USOStyleReference: clip_vision_output comes from an image encoder of less than 19 layers. Use SigLIP So400m "
            "(sigclip_vision_patch14_384)."
        )
    states = torch.cat([clip_vision_output.penultimate_hidden_states[:, None], earlier], dim=1)
    return model.with_control(ControlUse(model_patch, states[None]))


@node("AnimaLLLiteApply", category="advanced/model_patches/anima", display_name="Apply Anima LLLite", experimental=True)
def anima_lllite_apply(
    model: Model,
    model_patch: ModelPatch,
    image: Image,
    strength: Strength = 1.0,
    start_percent: Moment = 0.0,
    end_percent: Moment = 1.0,
    mask: Annotated[Mask | None, In(tip="1 where the picture is to be made anew, for patches that take one.")] = None,
) -> Model:
    """Steer Anima by a control picture (B, H, W, C) and a Control-LLLite, during a part of the sampling.

    A mask (B, H, W) is only for patches for inpainting, which without one take nothing as masked. Pictures and masks of another
    size than the run's are squeezed into it, whole (inferred).
    """
    return _with_lllite(model, model_patch, image, strength, start_percent, end_percent, mask)


@node("ControlLLLiteApply", category="advanced/model_patches/unet", display_name="Apply Control-LLLite")
def control_lllite_apply(
    model: Model,
    model_patch: ModelPatch,
    image: Image,
    strength: Strength = 1.0,
    start_percent: Moment = 0.0,
    end_percent: Moment = 1.0,
) -> Model:
    """Steer Stable Diffusion XL by a control picture (B, H, W, C) and a Control-LLLite (kohya-ss 2023) of ModelPatchLoader.

    A picture of another size than the run's is squeezed into it, whole, as its author's code does. Several add up in order.
    """
    return _with_lllite(model, model_patch, image, strength, start_percent, end_percent, None)


def _with_lllite(model: Any, patch: Any, image: Any, strength: float, start: float, end: float, mask: Any) -> Any:
    if strength == 0.0:
        return model
    taken = mask[:, None].float() if mask is not None and patch.config.get("channels") == _WITH_MASK else None
    return model.with_control(ControlUse(patch, image[..., :3].movedim(-1, 1), strength, start, end, mask=taken))
