"""`comfy_api.latest.io`: the words that declarations are made of, and what a node is told besides its inputs."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any


class _Word(str, Enum):  # noqa: UP042 - packs format members in ways of their own
    """A string with a name, shown as the string."""

    def __str__(self) -> str:
        return str(self.value)


class FolderType(_Word):
    """A working folder."""

    input = "input"
    output = "output"
    temp = "temp"


class UploadType(_Word):
    """What an upload button takes."""

    image = "image_upload"
    audio = "audio_upload"
    video = "video_upload"
    model = "file_upload"


class RemoteOptions:
    """Choices that the editor fetches from an address."""

    def __init__(
        self,
        route: str,
        refresh_button: bool = True,
        control_after_refresh: str = "first",
        timeout: int | None = None,
        max_retries: int | None = None,
        refresh: int | None = None,
    ) -> None:
        self.route = route
        self.refresh_button = refresh_button
        self.control_after_refresh = control_after_refresh
        self.timeout = timeout
        self.max_retries = max_retries
        self.refresh = refresh

    def as_dict(self) -> dict[str, Any]:
        """As editors read it."""
        return without_none(vars(self))


class NumberDisplay(_Word):
    """How a number is shown."""

    number = "number"
    slider = "slider"
    gradient_slider = "gradientslider"


class ControlAfterGenerate(_Word):
    """What becomes of a seed after a run."""

    fixed = "fixed"
    increment = "increment"
    decrement = "decrement"
    randomize = "randomize"


class Hidden(str, Enum):  # noqa: UP042 - as packs know it
    """What a node may be told besides its inputs."""

    unique_id = "UNIQUE_ID"
    prompt = "PROMPT"
    extra_pnginfo = "EXTRA_PNGINFO"
    dynprompt = "DYNPROMPT"
    auth_token_comfy_org = "AUTH_TOKEN_COMFY_ORG"
    api_key_comfy_org = "API_KEY_COMFY_ORG"


class HiddenHolder:
    """The values of hidden inputs; those not asked for are None."""

    def __init__(self, **values: Any) -> None:
        for kind in Hidden:
            setattr(self, kind.name, values.get(kind.name))

    def __getattr__(self, key: str) -> Any:
        return None

    @classmethod
    def from_dict(cls, d: Mapping[Any, Any] | None) -> HiddenHolder:
        """From a mapping by the kinds."""
        return cls(**{kind.name: (d or {}).get(kind, (d or {}).get(kind.value)) for kind in Hidden})


def without_none(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options that were given."""
    return {name: value for name, value in options.items() if value is not None}
