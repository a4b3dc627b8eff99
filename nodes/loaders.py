"""Loaders: from file names to handles. They read headers only, so none of them needs torch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, NamedTuple

import msgspec

from engine.api import Clip, Context, ControlNet, ExecutionBlocker, Files, In, Model, Out, Vae, node
from engine.models.autoencoders import pixel
from engine.models.families import loader_types
from engine.models.lora_families import left_over
from engine.models.packed.lost_factors import lost_factors
from nodes.checkpoint_config import read_config

ConfigName = Annotated[str, In(choices=Files("configs"), tip="A YAML file in models/configs.")]
CheckpointName = Annotated[str, In(choices=Files("checkpoints"), tip="A file in models/checkpoints.")]
VaeName = Annotated[
    str,
    In(
        choices=Files("vae", extra=(pixel.NAME,)),
        tip="A file in models/vae; pixel_space for models that denoise pictures themselves.",
    ),
]
LoraName = Annotated[str, In(choices=Files("loras"), tip="A file in models/loras.")]
ControlNetName = Annotated[str, In(choices=Files("controlnet"), tip="A file in models/controlnet.")]
TextEncoderName = Annotated[str, In(choices=Files("text_encoders"), tip="A file in models/text_encoders.")]
DenoiserName = Annotated[str, In(choices=Files("diffusion_models"), tip="A file in models/diffusion_models.")]
FolderName = Annotated[str, In(choices=Files("diffusers"), tip="A folder in models/diffusers.")]
LoraStrength = Annotated[
    float, In(ge=-100, le=100, step=0.01, tip="How much of the LoRA to add; 0 leaves it out, negative takes away.")
]

# fmt: off
FIELD_TYPES = (
    "stable_diffusion", "stable_cascade", "sd3", "stable_audio", "mochi", "ltxv", "pixart", "cosmos", "lumina2",
    "wan", "hidream", "chroma", "ace", "omnigen2", "qwen_image", "hunyuan_image", "flux2", "ovis", "longcat_image",
    "cogvideox", "lens", "pixeldit", "ideogram4", "boogu", "krea2", "joyimage", "mage", "minimax", "yue2", "flux3",
    "moss_image", "fibo2",
)
# fmt: on
"""What saved workflows call families with one text encoder. One that is not known yet is refused when it is loaded, by name."""
# fmt: off
FIELD_TYPES_OF_TWO = (
    "sdxl", "sd3", "flux", "hunyuan_video", "hidream", "hunyuan_image", "hunyuan_video_15", "kandinsky5",
    "kandinsky5_image", "newbie", "ace",
)
# fmt: on


class Checkpoint(NamedTuple):
    """The parts of a checkpoint file."""

    MODEL: Annotated[Model, Out(tip="The denoising network.")]
    CLIP: Annotated[Clip, Out(tip="The text encoder.")]
    VAE: Annotated[Vae, Out(tip="Between pictures and latents.")]


class ModelAndClip(NamedTuple):
    """A denoiser and its text encoder."""

    MODEL: Model
    CLIP: Clip


@node("CheckpointLoaderSimple", category="loaders", display_name="Load Checkpoint")
def checkpoint_loader(ctx: Context, ckpt_name: CheckpointName) -> Checkpoint:
    """Load a checkpoint file: denoiser, text encoder and VAE. A part that the file lacks stops the nodes that want it."""
    return _parts(ctx.models.checkpoint(_found(ctx, "checkpoints", ckpt_name)), ckpt_name)


@node(
    "CheckpointLoader",
    category="advanced/loaders",
    display_name="Load Checkpoint With Config (DEPRECATED)",
    deprecated=True,
)
def checkpoint_loader_with_config(ctx: Context, config_name: ConfigName, ckpt_name: CheckpointName) -> Checkpoint:
    """Load a checkpoint file, and let its YAML file say what the network predicts and where the text encoder stops."""
    model, clip, vae = ctx.models.checkpoint(_found(ctx, "checkpoints", ckpt_name))
    config = read_config(ctx.paths.find("configs", config_name))
    if config.predicts_v and model is not None:
        model = model.with_parameterization(msgspec.structs.replace(model.parameterization, prediction="v"))
    if config.stop_at is not None and clip is not None:
        clip = clip.with_last_layer(config.stop_at)
    return _parts((model, clip, vae), ckpt_name)


@node("DiffusersLoader", category="advanced/loaders/deprecated")
def diffusers_loader(ctx: Context, model_path: FolderName) -> Checkpoint:
    """Load a model kept as a diffusers folder (unet, vae, text_encoder, tokenizer, scheduler)."""
    return _parts(ctx.models.checkpoint(ctx.paths.find("diffusers", model_path)), model_path)


def _found(ctx: Context, folder: str, name: str) -> Path:
    """Find a file of weights, and tell what its header does not."""
    path = ctx.paths.find(folder, name)
    if note := lost_factors(path):
        ctx.warn(note)
    return path


def _parts(parts: tuple[Any, Any, Any], name: str) -> Checkpoint:
    wanted = (("denoiser", "UNETLoader"), ("text encoder", "CLIPLoader"), ("VAE", "VAELoader"))
    given: list[Any] = [
        part if part is not None else ExecutionBlocker(f"{name} holds no {what}; load one with {loader}.")
        for part, (what, loader) in zip(parts, wanted, strict=True)
    ]
    return Checkpoint(*given)


@node("UNETLoader", category="advanced/loaders", display_name="Load Diffusion Model")
def denoiser_loader(
    ctx: Context,
    unet_name: DenoiserName,
    weight_dtype: Annotated[
        str,
        In(
            choices=("default", "fp8_e4m3fn", "fp8_e4m3fn_fast", "fp8_e5m2"),
            tip="Kept for saved workflows; weights are kept as the device computes best.",
        ),
    ] = "default",
) -> Model:
    """Load a denoiser that is kept in a file of its own."""
    return ctx.models.denoiser(_found(ctx, "diffusion_models", unet_name))


@node("CLIPLoader", category="advanced/loaders", display_name="Load CLIP")
def text_encoder_loader(
    ctx: Context,
    clip_name: TextEncoderName,
    type: Annotated[
        str, In(choices=loader_types(1, FIELD_TYPES), tip="The family whose conditioning it makes.")
    ] = "stable_diffusion",
    device: Annotated[
        str | None, In(choices=("default", "cpu"), options={"advanced": True}, tip="Kept for saved workflows.")
    ] = None,
) -> Clip:
    """Load a text encoder that is kept in a file of its own."""
    path = _found(ctx, "text_encoders", clip_name)
    if type == "stable_diffusion":  # what the field calls it when the file tells
        return ctx.models.text_encoder(path)
    return ctx.models.text_encoders([path], type)


@node("DualCLIPLoader", category="advanced/loaders")
def dual_text_encoder_loader(
    ctx: Context,
    clip_name1: TextEncoderName,
    clip_name2: TextEncoderName,
    type: Annotated[
        str, In(choices=loader_types(2, FIELD_TYPES_OF_TWO), tip="The family whose conditioning they make.")
    ],
    device: Annotated[
        str | None, In(choices=("default", "cpu"), options={"advanced": True}, tip="Kept for saved workflows.")
    ] = None,
) -> Clip:
    """Load the two text encoders of a family, each kept in a file of its own; their order does not matter."""
    paths = [_found(ctx, "text_encoders", name) for name in (clip_name1, clip_name2)]
    return ctx.models.text_encoders(paths, type)


@node("TripleCLIPLoader", category="advanced/loaders")
def triple_text_encoder_loader(
    ctx: Context, clip_name1: TextEncoderName, clip_name2: TextEncoderName, clip_name3: TextEncoderName
) -> Clip:
    """Load the three text encoders of Stable Diffusion 3, each kept in a file of its own; their order does not matter."""
    paths = [_found(ctx, "text_encoders", name) for name in (clip_name1, clip_name2, clip_name3)]
    return ctx.models.text_encoders(paths, "sd3")


@node("QuadrupleCLIPLoader", category="advanced/loaders")
def quadruple_text_encoder_loader(
    ctx: Context,
    clip_name1: TextEncoderName,
    clip_name2: TextEncoderName,
    clip_name3: TextEncoderName,
    clip_name4: TextEncoderName,
) -> Clip:
    """Load the four text encoders of HiDream-I1, each kept in a file of its own; their order does not matter."""
    names = (clip_name1, clip_name2, clip_name3, clip_name4)
    return ctx.models.text_encoders([_found(ctx, "text_encoders", name) for name in names], "hidream")


@node("VAELoader", category="loaders", display_name="Load VAE")
def vae_loader(ctx: Context, vae_name: VaeName) -> Vae:
    """Load a VAE that is kept in a file of its own; `pixel_space` is none, for models that denoise pictures themselves."""
    if vae_name == pixel.NAME:
        return pixel.HANDLE
    return ctx.models.vae(ctx.paths.find("vae", vae_name))


@node("ControlNetLoader", category="loaders", display_name="Load ControlNet Model")
def control_net_loader(ctx: Context, control_net_name: ControlNetName) -> ControlNet:
    """Load a control network."""
    return ctx.models.controlnet(ctx.paths.find("controlnet", control_net_name))


@node("DiffControlNetLoader", category="loaders", display_name="Load ControlNet Model (diff)")
def diff_control_net_loader(ctx: Context, model: Model, control_net_name: ControlNetName) -> ControlNet:
    """Load a control network; of one that is kept as the difference to a model, what it is with this one's weights."""
    return ctx.models.controlnet(ctx.paths.find("controlnet", control_net_name), model)


@node("LoRALoader", category="loaders", display_name="Load LoRA")
def lora_loader(
    ctx: Context,
    model: Model,
    clip: Clip,
    lora_name: LoraName,
    strength_model: LoraStrength = 1.0,
    strength_clip: LoraStrength = 1.0,
) -> ModelAndClip:
    """Put a LoRA on a denoiser and its text encoder, each with its own strength. Several stack in order."""
    return ModelAndClip(*with_lora(ctx, lora_name, model, clip, strength_model, strength_clip))


@node("LoRALoaderModelOnly", category="loaders", display_name="LoraLoaderModelOnly")
def lora_loader_model_only(
    ctx: Context, model: Model, lora_name: LoraName, strength_model: LoraStrength = 1.0
) -> Model:
    """Put a LoRA on a denoiser and leave the text encoder as it is."""
    patched: Model = with_lora(ctx, lora_name, model, None, strength_model, 0.0)[0]
    return patched


def with_lora(
    ctx: Context, name: str, model: Any, clip: Any, strength_model: float, strength_clip: float
) -> tuple[Any, Any]:
    """Put a file of models/loras on a model, a text encoder or both, and warn of what in it fits neither."""
    if strength_model == 0.0 and strength_clip == 0.0:
        return model, clip
    path = ctx.paths.find("loras", name)
    result = ctx.models.lora(path, model, clip, strength_model, strength_clip)
    if note := left_over(name, path, result.unmatched, with_text=clip is not None):
        ctx.warn(note)
    return result.model, result.clip


@node("HypernetworkLoader", category="loaders", display_name="Load Hypernetwork")
def hypernetwork_loader(
    ctx: Context,
    model: Model,
    hypernetwork_name: Annotated[str, In(choices=Files("hypernetworks"), tip="A file in models/hypernetworks.")],
    strength: Annotated[float, In(ge=-10, le=10, step=0.01, tip="How much of it to add; 0 leaves it out.")] = 1.0,
) -> Model:
    """Put a hypernetwork on a denoiser: small networks before the keys and values of its attention."""
    if strength == 0.0:
        return model
    return ctx.models.hypernetwork(ctx.paths.find("hypernetworks", hypernetwork_name), model, strength)
