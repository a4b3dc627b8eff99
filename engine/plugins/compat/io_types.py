"""`comfy_api.latest.io`: the types of links, those with a widget first."""

from __future__ import annotations

from enum import Enum
from typing import Any

from engine.plugins.compat import io_sockets
from engine.plugins.compat.io_sockets import ComfyType, WidgetInput


class Boolean(ComfyType, io_type="BOOLEAN", widget=True):
    """Yes or no."""

    Type = bool


class Int(ComfyType, io_type="INT", widget=True):
    """A whole number."""

    Type = int

    class Input(WidgetInput):
        """With `min`, `max`, `step`, `control_after_generate`, `display_mode`."""

        def __init__(self, *args: Any, min: Any = None, max: Any = None, step: Any = None, **kwargs: Any) -> None:
            super().__init__(*args, min=min, max=max, step=step, **kwargs)
            self.min, self.max, self.step = min, max, step


class Float(ComfyType, io_type="FLOAT", widget=True):
    """A number."""

    Type = float

    class Input(Int.Input):
        """With `min`, `max`, `step`, `round`, `display_mode`."""


class String(ComfyType, io_type="STRING", widget=True):
    """A text."""

    Type = str

    class Input(WidgetInput):
        """With `multiline`, `placeholder`, `dynamic_prompts`."""

        def __init__(self, *args: Any, multiline: bool = False, **kwargs: Any) -> None:
            super().__init__(*args, multiline=multiline, **kwargs)
            self.multiline = multiline


class Combo(ComfyType, io_type="COMBO", widget=True):
    """One of several choices."""

    Type = str

    class Input(WidgetInput):
        """With `options`: strings, or the members of an Enum."""

        def __init__(self, id: str, options: Any = None, *args: Any, upload: Any = None, **kwargs: Any) -> None:
            remote = kwargs.pop("remote", None)
            folder = kwargs.pop("image_folder", None)
            if isinstance(options, type) and issubclass(options, Enum):
                options = [member.value for member in options]
            default = kwargs.get("default")
            if isinstance(default, Enum):
                kwargs["default"] = default.value
            super().__init__(id, *args, **kwargs)
            self.options = list(options) if options is not None else None
            self.upload = upload
            self.image_folder = folder
            self.remote = remote

        def widget_options(self) -> dict[str, Any]:
            """Its choices, upload button and the rest."""
            more: dict[str, Any] = {"options": self.options}
            if self.upload is not None:
                more[str(getattr(self.upload, "value", self.upload))] = True
            if self.image_folder is not None:
                more["image_folder"] = str(getattr(self.image_folder, "value", self.image_folder))
            if self.remote is not None:
                more["remote"] = self.remote.as_dict()
            return super().widget_options() | more

    class Output(io_sockets.Output):
        """With `options`, the choices that may come out."""

        def __init__(self, id: Any = None, display_name: Any = None, options: Any = None, **kwargs: Any) -> None:
            super().__init__(id if isinstance(id, str) or id is None else None, display_name, **kwargs)
            self.options = options if options is not None else []


class MultiCombo(ComfyType, io_type="COMBO"):
    """Several of several choices."""

    Type = list

    class Input(Combo.Input):
        """With `options`, `placeholder`, `chip`."""

        def widget_options(self) -> dict[str, Any]:
            """As Combo, with the choice of several."""
            return super().widget_options() | {"multiselect": True, "multi_select": True}


def _types(**names: str) -> dict[str, Any]:
    return {name: type(name, (ComfyType,), {"__doc__": f"{kind} links."}, io_type=kind) for name, kind in names.items()}


PLAIN: dict[str, Any] = _types(
    Image="IMAGE",
    WanCameraEmbedding="WAN_CAMERA_EMBEDDING",
    Webcam="WEBCAM",
    Mask="MASK",
    Latent="LATENT",
    Conditioning="CONDITIONING",
    Sampler="SAMPLER",
    Sigmas="SIGMAS",
    Noise="NOISE",
    Guider="GUIDER",
    Clip="CLIP",
    ControlNet="CONTROL_NET",
    Vae="VAE",
    Model="MODEL",
    ModelPatch="MODEL_PATCH",
    ClipVision="CLIP_VISION",
    ClipVisionOutput="CLIP_VISION_OUTPUT",
    AudioEncoder="AUDIO_ENCODER",
    AudioEncoderOutput="AUDIO_ENCODER_OUTPUT",
    StyleModel="STYLE_MODEL",
    Gligen="GLIGEN",
    UpscaleModel="UPSCALE_MODEL",
    LatentUpscaleModel="LATENT_UPSCALE_MODEL",
    Audio="AUDIO",
    Video="VIDEO",
    SVG="SVG",
    LoraModel="LORA_MODEL",
    LossMap="LOSS_MAP",
    Voxel="VOXEL",
    Mesh="MESH",
    Hooks="HOOKS",
    HookKeyframes="HOOK_KEYFRAMES",
    TimestepsRange="TIMESTEPS_RANGE",
    LatentOperation="LATENT_OPERATION",
    FlowControl="FLOW_CONTROL",
    Accumulation="ACCUMULATION",
    Load3D="LOAD_3D",
    Load3DCamera="LOAD3D_CAMERA",
    Load3DAnimation="LOAD_3D_ANIMATION",
    Photomaker="PHOTOMAKER",
    Point="POINT",
    FaceAnalysis="FACE_ANALYSIS",
    BBOX="BBOX",
    BoundingBox="BOUNDING_BOX",
    SEGS="SEGS",
    Tracks="TRACKS",
    AnyType="*",
    ImageCompare="IMAGECOMPARE",
    Color="COLOR",
    Curve="CURVE",
    Histogram="HISTOGRAM",
    Dict="DICT",
    File3DAny="FILE_3D",
)
"""Types of which nothing but the name is known, by the names that packs import."""
