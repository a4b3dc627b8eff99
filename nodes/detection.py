"""Finding things in pictures by a detector."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, TypeAlias

from engine.api import Context, Image, In, Model, Out, Socket, node
from engine.datatypes import coco
from engine.models.errors import ModelError

if TYPE_CHECKING:
    Boxes: TypeAlias = list[list[dict[str, Any]]]
    AnyBoxes: TypeAlias = Any
else:

    class Boxes(Socket, io_type="BOUNDING_BOX"):
        """For each picture a list of boxes: dicts of x, y, width and height in pixels, some with label and score."""

    AnyBoxes = Boxes

EVERYTHING = "all"


class Detected(NamedTuple):
    """What a detector found."""

    bboxes: Annotated[
        Boxes, Out(tip="For each picture a list of x, y, width and height in pixels, with label and score.")
    ]


@node("RTDETR_detect", category="detection", display_name="RT-DETR Detect")
def rtdetr_detect(
    ctx: Context,
    model: Annotated[Model, In(tip="A detector, loaded by UNETLoader: RT-DETR v4 or D-FINE.")],
    image: Image,
    threshold: Annotated[
        float, In(ge=0.0, le=1.0, step=0.01, tip="How sure the detector has to be of what it finds.")
    ] = 0.5,
    class_name: Annotated[
        str, In(choices=(EVERYTHING, *coco.NAMES), tip="The one kind of things to look for; all for every kind.")
    ] = EVERYTHING,
    max_detections: Annotated[int, In(ge=1, le=300, tip="At most so many for each picture, the surest first.")] = 100,
) -> Detected:
    """Find things of the 80 kinds of COCO in pictures (B, H, W, C): for each picture the boxes that score above `threshold`.

    A picture is seen squeezed into 640 by 640 pixels. Ranges of `threshold` and `max_detections` are inferred: a detector gives
    300 answers. Raises ModelError for a model that is no detector.
    """
    network = of_kind(
        model,
        "detector",
        "RTDETR_detect",
        "a detector, as UNETLoader loads it from rt_detr_v4-x-hgnet_fp16.safetensors",
    )
    with ctx.models.use(network) as detector:
        found = detector.detect(image, ctx.progress)
    boxes = [
        [
            {**box_of(corners), "label": label, "score": score}
            for corners, label, score in zip(one.boxes.tolist(), one.names, one.scores, strict=True)
            if score > threshold and class_name in (EVERYTHING, label)
        ][:max_detections]
        for one in found
    ]
    return Detected(boxes)


def of_kind(model: Any, kind: str, node: str, expected: str) -> Any:
    """Return a model that is a network of a kind that sees. Raises ModelError, naming the node, for any other."""
    if getattr(model, "kind", None) != kind:
        got = getattr(model, "kind", None) or getattr(model, "family", None) or type(model).__name__
        raise ModelError(f"{node}: model is of another kind ({got}), expected {expected}.")
    return model


def box_of(corners: Sequence[float]) -> dict[str, float]:
    """A box by its left, top, right and bottom as x, y, width and height."""
    left, top, right, bottom = corners
    return {"x": left, "y": top, "width": right - left, "height": bottom - top}


def boxes_of(value: Any, pictures: int, where: str) -> list[list[tuple[float, float, float, float]]]:
    """Left, top, right and bottom of the boxes of each picture: of one box or a list for all, or of a list for each.

    A list for less pictures than there are goes on with its last. Raises ValueError for what holds no boxes.
    """
    if isinstance(value, Mapping):
        value = [value]
    if not isinstance(value, list | tuple):
        raise _no_boxes(where, value)
    apart = bool(value) and all(isinstance(one, list | tuple) for one in value)
    lists = [list(one) for one in value] if apart else [list(value)]
    of_each = [[_corners(box, where) for box in one] for one in lists]
    return [of_each[min(number, len(of_each) - 1)] for number in range(pictures)]


def _corners(box: Any, where: str) -> tuple[float, float, float, float]:
    sides = [box.get(side) for side in ("x", "y", "width", "height")] if isinstance(box, Mapping) else []
    numbers = [float(side) for side in sides if isinstance(side, int | float) and not isinstance(side, bool)]
    if len(numbers) != 4 or not all(abs(number) < 1e6 for number in numbers):
        raise _no_boxes(where, box)
    x, y, width, height = numbers
    return x, y, x + width, y + height


def _no_boxes(where: str, value: Any) -> ValueError:
    return ValueError(
        f"{where}: bboxes has {str(value)[:80]}; expected boxes of x, y, width and height in pixels: one, a list, or a list for "
        "each picture."
    )
