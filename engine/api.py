"""The one import a node author needs."""

from __future__ import annotations

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
    Clip,
    ClipVision,
    ClipVisionOutput,
    Conditioning,
    ControlNet,
    Guider,
    Image,
    Latent,
    Mask,
    Model,
    Noise,
    SamplerObject,
    Sigmas,
    Socket,
    Vae,
)
from engine.graph.schema import Files, Mentions

__all__ = [
    "AnyValue",
    "Audio",
    "Cfg",
    "Choice",
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
    "Guider",
    "Image",
    "In",
    "Latent",
    "Lazy",
    "Mask",
    "Mentions",
    "Model",
    "Noise",
    "Out",
    "SamplerObject",
    "Seed",
    "Sigmas",
    "Socket",
    "Steps",
    "Subgraph",
    "Text",
    "Vae",
    "WithUi",
    "node",
    "route",
]
