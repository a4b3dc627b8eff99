"""Poses in OpenPose's form: skeletons drawn, and boxes of faces."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeAlias

from engine.api import Image, In, Out, Socket, node
from nodes.detection import Boxes
from nodes.dimensions import MAX_RESOLUTION

if TYPE_CHECKING:
    from nodes.pose_drawing import Person, Point

    PoseKeypoints: TypeAlias = list[dict[str, Any]]
else:

    class PoseKeypoints(Socket, io_type="POSE_KEYPOINT"):
        """For each frame a dict of `canvas_width`, `canvas_height` and `people`, each a dict of lists x, y, score, x, …:

        `pose_keypoints_2d` (18 points), `face_keypoints_2d` (70), `hand_left_keypoints_2d`, `hand_right_keypoints_2d` (21 each)
        and `foot_keypoints_2d` (6), in pixels, or of 1 where none is larger. A score of 0 is of a point that is not seen.
        """


_BLANK: Final = 64
_MOST_PEOPLE: Final = 1000


@node("SDPoseDrawKeypoints", category="image/pose", display_name="SDPose Draw Keypoints")
def sdpose_draw_keypoints(
    keypoints: Annotated[PoseKeypoints, In(tip="Poses in OpenPose's form.")],
    draw_body: Annotated[bool | None, In(tip="Draw trunk, arms and legs.")] = True,
    draw_hands: Annotated[bool | None, In(tip="Draw the fingers.")] = True,
    draw_face: Annotated[bool | None, In(tip="Draw the points of faces.")] = True,
    draw_feet: Annotated[bool | None, In(tip="Draw toes and heels.")] = False,
    stick_width: Annotated[int | None, In(ge=1, le=10, tip="How thick limbs are.")] = 4,
    face_point_size: Annotated[int | None, In(ge=1, le=10, tip="How large the points of faces are.")] = 3,
    score_threshold: Annotated[
        float | None, In(ge=0.0, le=1.0, step=0.01, tip="Points that score less are left out.")
    ] = 0.3,
    draw_head: Annotated[bool | None, In(tip="Draw nose, eyes and ears.")] = True,
) -> Image:
    """Draw skeletons in OpenPose's colours on black, a picture for each frame (B, H, W, 3); 64 by 64 black pixels without any.

    Frames of several sizes stand at the top left of the largest. Raises ValueError for what are no poses.
    """
    import numpy as np
    import torch

    from nodes.pose_drawing import Style, drawn

    least = 0.0 if score_threshold is None else score_threshold
    frames = [_frame(one, "SDPoseDrawKeypoints", least) for one in keypoints or ()]
    if not frames:
        return torch.zeros(1, _BLANK, _BLANK, 3)
    body, hands, face, head = (value is not False for value in (draw_body, draw_hands, draw_face, draw_head))
    style = Style(body, hands, face, bool(draw_feet), head, stick_width or 4, face_point_size or 3)
    width, height = max(wide for wide, _, _ in frames), max(high for _, high, _ in frames)
    made = torch.zeros(len(frames), height, width, 3)
    for number, (wide, high, people) in enumerate(frames):
        picture = np.asarray(drawn(people, wide, high, style), np.float32) / 255.0
        made[number, :high, :wide] = torch.from_numpy(picture)
    return made


@node("SDPoseFaceBBoxes", category="image/pose", display_name="SDPose Face Bounding Boxes")
def sdpose_face_bboxes(
    keypoints: Annotated[PoseKeypoints, In(tip="Poses in OpenPose's form.")],
    scale: Annotated[
        float | None, In(ge=1.0, le=10.0, step=0.1, tip="How many times as large as the face the box is.")
    ] = 1.5,
    force_square: Annotated[bool | None, In(tip="Make the shorter side as long as the longer.")] = True,
) -> Annotated[Boxes, Out(name="bboxes")]:
    """Give for each frame a box (x, y, width, height in pixels) around each face that is seen, no further than the canvas.

    Inferred: `scale` multiplies both sides, about the middle. Raises ValueError for what are no poses.
    """
    found = []
    for one in keypoints or ():
        width, height, people = _frame(one, "SDPoseFaceBBoxes", 0.0)
        faces = [[point for point in person.face if point is not None] for person in people]
        found.append([_box(face, scale or 1.0, force_square is not False, width, height) for face in faces if face])
    return found


def _box(face: list[tuple[float, float]], scale: float, square: bool, width: int, height: int) -> dict[str, int]:
    sides = []
    ranges = [(min(values), max(values)) for values in zip(*face, strict=True)]
    longest = max(high - low for low, high in ranges)
    for (low, high), most in zip(ranges, (width, height), strict=True):
        half = max(1.0, (longest if square else high - low) * scale / 2)
        first = min(max(0, math.floor((low + high) / 2 - half)), most - 1)
        sides.append((first, max(1, min(most, math.ceil((low + high) / 2 + half)) - first)))
    (x, wide), (y, high_) = sides
    return {"x": x, "y": y, "width": wide, "height": high_}


def _frame(frame: Any, where: str, least: float) -> tuple[int, int, list[Person]]:
    """Width, height and people of a frame; points that score less than `least`, or nothing, are not seen."""
    from nodes.pose_drawing import Person

    sides: list[Any] = (
        [frame.get(name) for name in ("canvas_width", "canvas_height")] if isinstance(frame, Mapping) else []
    )
    people = frame.get("people") if isinstance(frame, Mapping) else None
    good = len(sides) == 2 and all(isinstance(side, int | float) and 1 <= side <= MAX_RESOLUTION for side in sides)
    if (
        not good
        or not isinstance(people, list)
        or len(people) > _MOST_PEOPLE
        or not all(isinstance(one, Mapping) for one in people)
    ):
        raise ValueError(
            f"{where}: keypoints hold {str(frame)[:80]}; expected for each frame a dict of canvas_width and canvas_height (1 to "
            f"{MAX_RESOLUTION}) and people, a list of dicts."
        )
    size = int(sides[0]), int(sides[1])
    found = []
    for one in people:
        body, face, left, right, feet = (
            _points(one.get(f"{name}_keypoints_2d"), size, least, where)
            for name in ("pose", "face", "hand_left", "hand_right", "foot")
        )
        found.append(Person(body, face, (left, right), feet))
    return *size, found


def _points(values: Any, size: tuple[int, int], least: float, where: str) -> list[Point]:
    if values is None:
        return []
    numbers: list[Any] = list(values) if isinstance(values, list | tuple) else [None]
    if len(numbers) % 3 or not all(isinstance(one, int | float) and math.isfinite(one) for one in numbers):
        raise ValueError(f"{where}: keypoints hold {str(values)[:80]}; expected a list of x, y, score, x, y, score, …")
    triples = [numbers[place : place + 3] for place in range(0, len(numbers), 3)]
    seen = [(x, y) for x, y, score in triples if score > 0]
    by = size if all(abs(x) <= 1 and abs(y) <= 1 for x, y in seen) else (1, 1)
    return [(x * by[0], y * by[1]) if score > 0 and score >= least else None for x, y, score in triples]
