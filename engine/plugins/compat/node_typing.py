"""`comfy.comfy_types`: the names of link types, and what a class-protocol node may declare."""

from __future__ import annotations

import abc
from enum import Enum
from typing import Any, ClassVar

InputTypeDict = dict[str, Any]
InputTypeOptions = dict[str, Any]
HiddenInputTypeDict = dict[str, Any]


class StrEnum(str, Enum):  # noqa: UP042 - as packs know it
    """A string with a name, shown as the string."""

    def __str__(self) -> str:
        return str(self.value)


class _Types(StrEnum):
    """Types of links."""

    STRING = "STRING"
    IMAGE = "IMAGE"
    MASK = "MASK"
    LATENT = "LATENT"
    BOOLEAN = "BOOLEAN"
    INT = "INT"
    FLOAT = "FLOAT"
    COMBO = "COMBO"
    CONDITIONING = "CONDITIONING"
    SAMPLER = "SAMPLER"
    SIGMAS = "SIGMAS"
    GUIDER = "GUIDER"
    NOISE = "NOISE"
    CLIP = "CLIP"
    CONTROL_NET = "CONTROL_NET"
    VAE = "VAE"
    MODEL = "MODEL"
    LORA_MODEL = "LORA_MODEL"
    LOSS_MAP = "LOSS_MAP"
    CLIP_VISION = "CLIP_VISION"
    CLIP_VISION_OUTPUT = "CLIP_VISION_OUTPUT"
    STYLE_MODEL = "STYLE_MODEL"
    GLIGEN = "GLIGEN"
    UPSCALE_MODEL = "UPSCALE_MODEL"
    AUDIO = "AUDIO"
    WEBCAM = "WEBCAM"
    POINT = "POINT"
    FACE_ANALYSIS = "FACE_ANALYSIS"
    BBOX = "BBOX"
    SEGS = "SEGS"
    VIDEO = "VIDEO"
    ANY = "*"
    NUMBER = "FLOAT,INT"
    PRIMITIVE = "STRING,FLOAT,INT,BOOLEAN"

    def __ne__(self, other: object) -> bool:
        """Differ when no type is common to both; `*` differs from nothing."""
        if self.value == "*" or other == "*":
            return False
        if not isinstance(other, str):
            return True
        mine, theirs = set(str(self.value).split(",")), set(other.split(","))
        return not theirs.issubset(mine)

    def __eq__(self, other: object) -> bool:
        return str.__eq__(self, other)

    __hash__ = str.__hash__


IO = _Types


class InputTypeBase:
    """Stands where packs annotate options of an input."""


class ComfyNodeABC(abc.ABC):  # noqa: B024 - as packs know it
    """What packs derive class-protocol nodes from, for completion in editors; it adds no behaviour."""

    DESCRIPTION: ClassVar[str] = ""
    CATEGORY: ClassVar[str] = ""
    EXPERIMENTAL: ClassVar[bool] = False
    DEPRECATED: ClassVar[bool] = False
    API_NODE: ClassVar[bool] = False
    RETURN_TYPES: ClassVar[Any] = ()
    FUNCTION: ClassVar[str] = ""

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:  # noqa: N802 - the field's name
        """The inputs; none unless the class says so."""
        return {"required": {}}


class CheckLazyMixin:
    """Asks for every lazy input that is not there yet."""

    def check_lazy_status(self, **kwargs: Any) -> list[str]:
        """The names of the inputs that are None."""
        return [name for name, value in kwargs.items() if value is None]


class FileLocator(dict[str, str]):
    """`filename`, `subfolder` and `type` of a saved file."""


Unload = Any
FieldTypes = dict[str, Any]
