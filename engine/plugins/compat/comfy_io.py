"""`comfy_api.latest.io`: the module that V3 packs know, with all that they declare nodes with."""

from __future__ import annotations

from engine.plugins.compat.io_dynamic import (
    Autogrow,
    DynamicCombo,
    DynamicSlot,
    MatchType,
    MultiType,
)
from engine.plugins.compat.io_nodes import (
    ComfyNode,
    NodeInfoV1,
    NodeOutput,
    PriceBadge,
    Schema,
)
from engine.plugins.compat.io_sockets import (
    ComfyType,
    ComfyTypeI,
    ComfyTypeIO,
    Custom,
    Input,
    Output,
    WidgetInput,
    add_to_dict_v1,
    comfytype,
    v1_inputs,
)
from engine.plugins.compat.io_types import (
    PLAIN,
    Boolean,
    Combo,
    Float,
    Int,
    MultiCombo,
    String,
)
from engine.plugins.compat.io_words import (
    ControlAfterGenerate,
    FolderType,
    Hidden,
    HiddenHolder,
    NumberDisplay,
    RemoteOptions,
    UploadType,
)

__all__ = [
    "Autogrow",
    "Boolean",
    "Combo",
    "ComfyNode",
    "ComfyType",
    "ComfyTypeI",
    "ComfyTypeIO",
    "ControlAfterGenerate",
    "Custom",
    "DynamicCombo",
    "DynamicSlot",
    "Float",
    "FolderType",
    "Hidden",
    "HiddenHolder",
    "Input",
    "Int",
    "MatchType",
    "MultiCombo",
    "MultiType",
    "NodeInfoV1",
    "NodeOutput",
    "NumberDisplay",
    "Output",
    "PriceBadge",
    "RemoteOptions",
    "Schema",
    "String",
    "UploadType",
    "WidgetInput",
    "add_to_dict_v1",
    "comfytype",
    "v1_inputs",
]

globals().update(PLAIN)
