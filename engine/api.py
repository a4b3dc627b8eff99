"""The one import a node author needs.

A type checker sees models as their handles, so that `ctx.models.use(vae)` is known to give an autoencoder.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.authoring.context import Context
from engine.authoring.decorator import node
from engine.authoring.definition import ExecutionBlocker, Expand, WithUi
from engine.authoring.inputs import Cfg, Denoise, In, Lazy, Out, Seed, Steps, Text
from engine.authoring.routes import route
from engine.authoring.subgraph import Subgraph
from engine.datatypes.sockets import (
    AnyValue,
    Audio,
    Choice,
    Choosing,
    ClipVisionOutput,
    Conditioning,
    Growing,
    Image,
    Latent,
    Mask,
    Sigmas,
    Socket,
)
from engine.graph.schema import Files, Mentions

if TYPE_CHECKING:
    from engine.denoising.guided import GuidedModel as Guider
    from engine.denoising.records import NoiseSource as Noise
    from engine.media.video import VideoValue as Video
    from engine.models.handles import ClipHandle as Clip
    from engine.models.handles import ClipVisionHandle as ClipVision
    from engine.models.handles import ControlNetHandle as ControlNet
    from engine.models.handles import ModelHandle as Model
    from engine.models.handles import ModelPatchHandle as ModelPatch
    from engine.models.handles import StyleModelHandle as StyleModel
    from engine.models.handles import UpscaleHandle as UpscaleModel
    from engine.models.handles import VaeHandle as Vae
    from engine.sampling.names import Sampler as SamplerObject
else:
    from engine.datatypes.sockets import (
        Clip,
        ClipVision,
        ControlNet,
        Guider,
        Model,
        ModelPatch,
        Noise,
        SamplerObject,
        StyleModel,
        UpscaleModel,
        Vae,
        Video,
    )

__all__ = [
    "AnyValue",
    "Audio",
    "Cfg",
    "Choice",
    "Choosing",
    "Clip",
    "ClipVision",
    "ClipVisionOutput",
    "Conditioning",
    "Context",
    "ControlNet",
    "Denoise",
    "ExecutionBlocker",
    "Expand",
    "Files",
    "Growing",
    "Guider",
    "Image",
    "In",
    "Latent",
    "Lazy",
    "Mask",
    "Mentions",
    "Model",
    "ModelPatch",
    "Noise",
    "Out",
    "SamplerObject",
    "Seed",
    "Sigmas",
    "Socket",
    "Steps",
    "StyleModel",
    "Subgraph",
    "Text",
    "UpscaleModel",
    "Vae",
    "Video",
    "WithUi",
    "node",
    "route",
]
