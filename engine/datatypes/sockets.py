"""The types that travel on links, named once: `Image` in a signature is an IMAGE socket in the editor.

A type checker sees what the values are: tensors and dicts here, the handles of models in `engine.api`. At run time each
name is a small marker class, so declaring a node needs no torch. A node pack declares its own type by subclassing `Socket`
or by annotating with any class of its own, whose upper-cased name becomes the socket type.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

ANY_TYPE = "*"
"""The socket type that links to every other."""

PRIMITIVE_TYPES: dict[type, str] = {int: "INT", float: "FLOAT", str: "STRING", bool: "BOOLEAN"}
"""Python types whose inputs are widgets holding JSON values."""

DISPLAY_TYPES = frozenset({"AUDIO_UI", "IMAGECOMPARE", "RESOLUTION_PREVIEW"})
"""Types of widgets that only show something: they have no value that is saved."""

WIDGET_TYPES = DISPLAY_TYPES | {
    *("INT", "FLOAT", "STRING", "BOOLEAN", "COMBO", "COMFY_DYNAMICCOMBO_V3"),
    *("COLOR", "COLORS", "BOUNDING_BOX", "BOUNDING_BOXES", "CURVE", "RANGE"),
    *("AUDIO_RECORD", "COMPOSITOR", "LOAD_3D", "VIDEO_EDIT", "WEBCAM"),
}
"""Socket types that an editor draws as a widget unless the input says `link_only`.

COMFY_DYNAMICCOMBO_V3 is a choice that brings inputs.
"""


class Socket:
    """Marker base of link types. `io_type` is the name that graphs, editors and `object_info` use."""

    io_type: ClassVar[str] = ANY_TYPE

    def __init_subclass__(cls, io_type: str | None = None, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.io_type = io_type or cls.__name__.upper()


if TYPE_CHECKING:
    from torch import Tensor

    Image: TypeAlias = Tensor
    Mask: TypeAlias = Tensor
    Latent: TypeAlias = dict[str, Any]
    Conditioning: TypeAlias = list[list[Any]]
    Sigmas: TypeAlias = Tensor
    ClipVisionOutput: TypeAlias = Any
    Audio: TypeAlias = dict[str, Any]
    Choice: TypeAlias = str
    AnyValue: TypeAlias = Any
    Growing: TypeAlias = dict[str, Any]
    Choosing: TypeAlias = dict[str, Any]
else:

    class Image(Socket, io_type="IMAGE"):
        """Float32 tensor (B, H, W, C), values 0..1, C = 3 or 4."""

    class Mask(Socket, io_type="MASK"):
        """Float32 tensor (B, H, W), values 0..1."""

    class Latent(Socket, io_type="LATENT"):
        """Dict with `samples` (B, C, h, w) or (B, C, T, h, w); optional `noise_mask` and `batch_index`.

        `latent_space` tells whose latents they are (`engine.models.latent_spaces`).
        """

    class Conditioning(Socket, io_type="CONDITIONING"):
        """List of `[tensor (B, T, D), options]`, with the field's option names (`pooled_output`, `area`, `mask`, …)."""

    class Sigmas(Socket, io_type="SIGMAS"):
        """Float32 tensor (steps + 1,) of falling noise levels."""

    class Noise(Socket, io_type="NOISE"):
        """A source of initial noise."""

    class SamplerObject(Socket, io_type="SAMPLER"):
        """A sampler with its options chosen."""

    class Guider(Socket, io_type="GUIDER"):
        """A model with its conditionings and the way they are combined."""

    class Model(Socket, io_type="MODEL"):
        """Handle of a denoising network with ordered patches; cheap to copy."""

    class Clip(Socket, io_type="CLIP"):
        """Handle of a text encoder with its tokenizer."""

    class Vae(Socket, io_type="VAE"):
        """Handle of an autoencoder between pictures and latents."""

    class ControlNet(Socket, io_type="CONTROL_NET"):
        """Handle of a control network."""

    class ModelPatch(Socket, io_type="MODEL_PATCH"):
        """Handle of a network that works within a denoising network."""

    class ClipVision(Socket, io_type="CLIP_VISION"):
        """Handle of an image encoder."""

    class ClipVisionOutput(Socket, io_type="CLIP_VISION_OUTPUT"):
        """What an image encoder makes of pictures: `image_embeds` (B, P), `last_hidden_state` (B, T, D) and more."""

    class StyleModel(Socket, io_type="STYLE_MODEL"):
        """Handle of a style model, which makes tokens of text of what an image encoder saw."""

    class UpscaleModel(Socket, io_type="UPSCALE_MODEL"):
        """Handle of a network that makes pictures larger."""

    class Audio(Socket, io_type="AUDIO"):
        """Dict with `waveform` (B, C, T) and `sample_rate` in Hz."""

    class Video(Socket, io_type="VIDEO"):
        """A video in a file or in memory (`engine.media.video.VideoValue`), decoded when a node asks for its frames."""

    class Choice(Socket, io_type="COMBO"):
        """One of the choices of an input that has some, as text: STRING outputs do not feed such inputs."""

    class AnyValue(Socket, io_type=ANY_TYPE):
        """Anything."""

    class Growing(Socket, io_type="COMFY_AUTOGROW_V3"):
        """As many inputs as are linked: a dict of those that are, by name. The option `template` says of what."""

    class Choosing(Socket, io_type="COMFY_DYNAMICCOMBO_V3"):
        """A choice and the inputs that it brings: a dict with both by name. The option `options` lists them."""


def types_match(received: str, declared: str) -> bool:
    """Say whether an output of type `received` may feed an input of type `declared`.

    Each may be a union ("IMAGE,MASK"), of which one type in common is enough; `*` matches everything. Nothing else does, as
    in the field: an INT feeds no FLOAT, and a STRING no COMBO.
    """
    return received == declared or bool(types_in_common(received, declared))


def types_in_common(first: str, second: str) -> str:
    """The union of what two unions share, in the order of the first; empty when they share nothing."""
    have, want = ([kind.strip() for kind in union.split(",")] for union in (first, second))
    if ANY_TYPE in have:
        return second
    return first if ANY_TYPE in want else ",".join(kind for kind in have if kind in want)
