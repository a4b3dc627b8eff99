"""A view of a subject, as words for a prompt and as a camera for nodes of space."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Any, Final, NamedTuple, TypeAlias

from engine.api import Image, In, Out, Socket, node

if TYPE_CHECKING:
    Camera: TypeAlias = dict[str, Any]
else:

    class Camera(Socket, io_type="LOAD3D_CAMERA"):
        """A camera: `position` and `target` (x, y, z), `zoom`, `cameraType` and `fov` in degrees."""


DISTANCE: Final = 6.0
"""From the camera to the subject, which is at the origin."""
FIELD_OF_VIEW: Final = 35.0
"""Of the camera, in degrees."""

_SIDES: Final = (
    *("front view", "front-right quarter view", "right side view", "back-right quarter view"),
    *("back view", "back-left quarter view", "left side view", "front-left quarter view"),
)
_HEIGHTS: Final = ((-15, "low-angle shot"), (15, "eye-level shot"), (45, "elevated shot"))
_SIZES: Final = ((2, "wide shot"), (6, "medium shot"))


class View(NamedTuple):
    """The camera, and what it sees in words."""

    camera_info: Annotated[Camera, Out(name="camera_info")]
    prompt: Annotated[str, Out(name="prompt")]


@node("CameraAngle", category="camera", display_name="Compose Camera Angle Prompt")
def camera_angle(
    horizontal_angle: Annotated[
        int, In(ge=0, le=360, tip="Degrees around the subject: 0 the front, 90 its right side.")
    ] = 0,
    vertical_angle: Annotated[int, In(ge=-30, le=60, tip="Degrees above the subject; below it where negative.")] = 0,
    zoom: Annotated[float, In(ge=0, le=10, step=0.1, tip="0 is a wide shot, 10 a close-up.")] = 5.0,
    image: Annotated[Image | None, In(tip="A picture to go by; it changes nothing.")] = None,
) -> View:
    """Tell a view of a subject at the origin: eight sides, four heights, three sizes.

    The axes (y up, z towards the front) and the names within `camera_info` are those of three.js, inferred.
    """
    words = (_SIDES[round(horizontal_angle / 45) % 8], _named(vertical_angle, _HEIGHTS, "high-angle shot"))
    prompt = " ".join((*words, _named(zoom, _SIZES, "close-up")))
    around, up = math.radians(horizontal_angle), math.radians(vertical_angle)
    position = {
        "x": DISTANCE * math.cos(up) * math.sin(around),
        "y": DISTANCE * math.sin(up),
        "z": DISTANCE * math.cos(up) * math.cos(around),
    }
    camera = {
        "position": position,
        "target": {"x": 0.0, "y": 0.0, "z": 0.0},
        "zoom": 1.0 + 0.0875 * zoom,
        "cameraType": "perspective",
        "fov": FIELD_OF_VIEW,
    }
    return View(camera, prompt)


def _named(value: float, steps: tuple[tuple[float, str], ...], last: str) -> str:
    """The name of the first step that the value is below."""
    return next((name for end, name in steps if value < end), last)
