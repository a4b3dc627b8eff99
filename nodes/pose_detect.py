"""Finding the joints of people by ViTPose."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from engine.api import Context, Files, Image, In, Out, Socket, node
from nodes.detection import AnyBoxes, boxes_of
from nodes.pose import PoseKeypoints

if TYPE_CHECKING:
    from torch import Tensor

    from engine.models.handles import PerceptionHandle as PoseModel
else:

    class PoseModel(Socket, io_type="POSE_MODEL"):
        """Handle of a network that finds the joints of people."""


_BODY = (0, None, 6, 8, 10, 5, 7, 9, 12, 14, 16, 11, 13, 15, 2, 1, 4, 3)
"""For each of OpenPose's 18 points that of COCO's 17; the neck is between the shoulders."""
_SHOULDERS = (5, 6)
_EYES = (2, 1)
_FEET, _FACE, _LEFT, _RIGHT = slice(17, 23), slice(23, 91), slice(91, 112), slice(112, 133)
"""What COCO's 133 have beside: 6 points of feet, 68 of the face, to which OpenPose adds the eyes, 21 of each hand."""


@node("LoadPoseModel", category="loaders", display_name="Load Pose Model")
def load_pose_model(
    ctx: Context,
    model_name: Annotated[
        str, In(choices=Files("detection"), tip="A file in models/detection, with its config.json beside it.")
    ],
) -> Annotated[PoseModel, Out(name="pose_model")]:
    """Load ViTPose as transformers writes it, for COCO's 17 joints or 133 with feet, face and hands: a folder of its own."""
    return ctx.models.perception(ctx.paths.find("detection", model_name), "pose")


@node("PoseDetect", category="image/pose", display_name="Detect Poses")
def pose_detect(
    ctx: Context,
    pose_model: Annotated[PoseModel, In(tip="A network of LoadPoseModel.")],
    image: Image,
    bboxes: Annotated[
        AnyBoxes | None,
        In(link_only=True, tip="Where people are, as RTDETR_detect finds them; without, a picture is of one person."),
    ] = None,
    batch_size: Annotated[int, In(ge=1, le=256, tip="People at once; less takes less memory.")] = 16,
) -> Annotated[PoseKeypoints, Out(name="keypoints")]:
    """Find the joints of people in pictures (B, H, W, C), one for each box, in OpenPose's form, for SDPoseDrawKeypoints."""
    height, width = image.shape[1:3]
    whole = [[(0.0, 0.0, float(width), float(height))]] * len(image)
    boxes = whole if bboxes is None else boxes_of(bboxes, len(image), "PoseDetect")
    kept = [
        [(left, top, right, bottom) for left, top, right, bottom in one if right > left and bottom > top]
        for one in boxes
    ]
    with ctx.models.use(pose_model) as estimator:
        found = estimator.joints(image, kept, batch_size, ctx.progress)
    return [
        {"canvas_width": width, "canvas_height": height, "people": [_person(joints) for joints in people]}
        for people in found
    ]


def _person(joints: Tensor) -> dict[str, Any]:
    """COCO's joints (K, 3) in OpenPose's form."""
    rows = joints.tolist()
    left, right = (rows[one] for one in _SHOULDERS)
    neck = [(left[0] + right[0]) / 2, (left[1] + right[1]) / 2, min(left[2], right[2])]
    person = {"pose_keypoints_2d": _flat([neck if place is None else rows[place] for place in _BODY])}
    if len(rows) > 17:
        person |= {
            "foot_keypoints_2d": _flat(rows[_FEET]),
            "face_keypoints_2d": _flat([*rows[_FACE], *(rows[place] for place in _EYES)]),
            "hand_left_keypoints_2d": _flat(rows[_LEFT]),
            "hand_right_keypoints_2d": _flat(rows[_RIGHT]),
        }
    return person


def _flat(rows: list[list[float]]) -> list[float]:
    return [value for row in rows for value in row]
