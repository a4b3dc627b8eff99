"""SAM 3: what a text, boxes or clicks ask for, in pictures."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

from engine.api import Conditioning, Context, Image, In, Mask, Model, Out, node
from nodes.detection import AnyBoxes, Boxes, box_of, boxes_of, of_kind

if TYPE_CHECKING:
    from torch import Tensor

    from engine.models.networks.segmenting import Segmenter, Things

EXPECTED = "SAM 3, as CheckpointLoaderSimple loads it from sam3.1_multiplex_fp16.safetensors"
_MOST_POINTS = 1000

Coordinates = Annotated[str | None, In(link_only=True, tip='Points in pixels as JSON: [{"x": 100, "y": 200}].')]
Asked = Annotated[Conditioning | None, In(tip="What to look for, encoded by CLIPTextEncode with SAM 3's own CLIP.")]


class Segments(NamedTuple):
    """What was found, as masks and boxes."""

    masks: Annotated[Mask, Out(tip="A mask for each picture, or one for each thing that was found.")]
    bboxes: Annotated[Boxes, Out(tip="For each picture a list of x, y, width and height in pixels, and score.")]


@node("SAM3_Detect", category="detection", display_name="SAM3 Detect")
def sam3_detect(
    ctx: Context,
    model: Annotated[Model, In(tip="SAM 3, loaded by CheckpointLoaderSimple.")],
    image: Image,
    conditioning: Asked = None,
    bboxes: Annotated[
        AnyBoxes | None,
        In(
            link_only=True,
            tip="What is in each of these boxes; with a text, where things may be. One, a list, or a list for each picture.",
        ),
    ] = None,
    positive_coords: Coordinates = None,
    negative_coords: Coordinates = None,
    threshold: Annotated[
        float | None, In(ge=0.0, le=1.0, step=0.01, tip="How sure it has to be of what a text asks for.")
    ] = 0.5,
    refine_iterations: Annotated[
        int | None, In(ge=0, le=5, tip="How often masks are refined by the decoder of clicks; 0 keeps the first ones.")
    ] = 2,
    individual_masks: Annotated[bool | None, In(tip="A mask for each thing instead of one for each picture.")] = False,
) -> Segments:
    """Segment in pictures (B, H, W, C) what a text asks for, what boxes hold, or what is clicked on.

    Masks are 0 or 1: (B, H, W), or (things, H, W) with `individual_masks`, one empty mask where nothing was found. Inferred: with
    a text, things count whose middle is in one of the boxes; clicks belong to each box, and without boxes are one thing; a
    refinement asks the decoder of clicks for the box once more, with the mask that it has. Raises ModelError for a model that is
    no SAM 3, and ValueError without anything to look for, and for points and boxes that are none.
    """
    network = of_kind(model, "sam3", "SAM3_Detect", EXPECTED)
    clicks = _points(positive_coords, "positive_coords"), _points(negative_coords, "negative_coords")
    boxes = None if bboxes is None else boxes_of(bboxes, len(image), "SAM3_Detect")
    if not conditioning and boxes is None and not any(clicks):
        raise ValueError("SAM3_Detect: nothing to look for. Link a conditioning of CLIPTextEncode, boxes, or points.")
    found = []
    with ctx.models.use(network) as segmenter:
        for number, picture in enumerate(image):
            of_picture = None if boxes is None else boxes[number]
            things = _found(
                segmenter, picture, conditioning or [], of_picture, clicks, threshold or 0.0, refine_iterations or 0
            )
            found.append(things)
            ctx.progress(number + 1, len(image))
    return Segments(_masks(found, image, apart=bool(individual_masks)), [_boxes(things) for things in found])


def _found(
    segmenter: Segmenter,
    picture: Tensor,
    asked: list[Any],
    boxes: list[tuple[float, float, float, float]] | None,
    clicks: tuple[list[tuple[float, float]], list[tuple[float, float]]],
    threshold: float,
    times: int,
) -> list[Things]:
    """All that is found in one picture, by each of the ways in which is asked."""
    import torch

    from engine.models.networks.segmenting import Prompt

    seen, found = segmenter.see(picture), []
    for tokens, options in asked:
        things = segmenter.asked(seen, tokens, options.get("attention_mask"), threshold).within(boxes)
        found.append(segmenter.refined(seen, things, times if segmenter.clicks else 0))
    spots = [*clicks[0], *clicks[1]]
    points = torch.tensor(spots) if spots else None
    labels = torch.tensor([1] * len(clicks[0]) + [0] * len(clicks[1])) if spots else None
    if not asked and boxes:
        prompts = [Prompt(points, labels, torch.tensor(box)) for box in boxes]
    else:
        prompts = [Prompt(points, labels)] if spots else []
    return found + [segmenter.clicked(seen, prompt, times) for prompt in prompts]


def _masks(found: list[list[Things]], image: Tensor, *, apart: bool) -> Tensor:
    import torch

    height, width = image.shape[1:3]
    of_pictures = [
        torch.cat([torch.zeros(0, height, width), *(one.at(height, width) for one in things)]) for things in found
    ]
    if apart:
        every = torch.cat(of_pictures)
        return every if len(every) else torch.zeros(1, height, width)
    whole = [masks.amax(dim=0) if len(masks) else torch.zeros(height, width) for masks in of_pictures]
    return torch.stack(whole) if whole else torch.zeros(0, height, width)


def _boxes(things: list[Things]) -> list[dict[str, Any]]:
    return [
        {**box_of(corners), "score": score}
        for one in things
        for corners, score in zip(one.boxes.tolist(), one.scores.tolist(), strict=True)
    ]


def _points(text: str | None, name: str) -> list[tuple[float, float]]:
    """Points of JSON. Raises ValueError for anything else, and for more than a thousand."""
    if text is None or not text.strip():
        return []
    try:
        told = json.loads(text)
    except (ValueError, RecursionError):
        told = None
    sides = (
        [(one.get("x"), one.get("y")) for one in told if isinstance(one, dict)]
        if isinstance(told, list)
        else [(None, None)]
    )
    good = all(
        isinstance(side, int | float) and not isinstance(side, bool) and math.isfinite(side)
        for pair in sides
        for side in pair
    )
    if not good or not isinstance(told, list) or len(sides) != len(told) or len(sides) > _MOST_POINTS:
        raise ValueError(
            f'SAM3_Detect: {name} is {text[:80]!r}; expected JSON of up to {_MOST_POINTS} points: [{{"x": 100, "y": 200}}].'
        )
    return [(float(x), float(y)) for x, y in sides if x is not None and y is not None]
