"""Layers: pictures with a place, a size and a way of blending, stacked and put together."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, TypeAlias

from engine.api import Image, In, Mask, Out, Socket, WithUi, node
from nodes.bounding_boxes import AnyBoxes
from nodes.dimensions import MAX_RESOLUTION
from nodes.layer_blending import BLENDS
from nodes.layer_boxes import framed, placements
from nodes.layer_stack import appended, composed

if TYPE_CHECKING:
    Layers: TypeAlias = dict[str, Any]
    Compositor: TypeAlias = dict[str, Any]
else:

    class Layers(Socket, io_type="LAYERS"):
        """A stack of layers: `version` 1, `items` from the lowest on, and `canvas` of width and height where it is said."""

    class Compositor(Socket, io_type="COMPOSITOR"):
        """What an editor of layers saved."""


_log = logging.getLogger(__name__)

Place = Annotated[int | None, In(ge=-MAX_RESOLUTION, le=MAX_RESOLUTION, step=1, tip="Where its top left corner goes.")]
Side = Annotated[int | None, In(ge=0, le=MAX_RESOLUTION, step=1, tip="Size on the canvas; 0 is the picture's own.")]
Stack = Annotated[Layers | None, In(tip="Layers to add to; without them a new stack begins.")]
CanvasSide = Annotated[int | None, In(ge=0, le=MAX_RESOLUTION, tip="Size of the canvas; 0 is what the layers reach.")]


class Composed(NamedTuple):
    """Layers put together, and what of that is see-through."""

    IMAGE: Annotated[Image, Out(tip="With alpha only where something is see-through.")]
    MASK: Annotated[Mask, Out(tip="1 where nothing is.")]


@node("AddLayer", category="image/layers", display_name="Add Layer", experimental=True)
def add_layer(
    image: Annotated[Image, In(tip="What the layer shows; a batch becomes layers one after the other.")],
    layers: Stack = None,
    mask: Annotated[Mask | None, In(tip="1 where the layer is see-through.")] = None,
    name: Annotated[str | None, In(tip="Name of the layer, for editors.")] = "",
    x: Place = 0,
    y: Place = 0,
    opacity: Annotated[float | None, In(ge=0.0, le=1.0, step=0.01, tip="How much of the layer shows.")] = 1.0,
    blend_mode: Annotated[
        str | None,
        In(
            choices=tuple(BLENDS),
            retired=tuple(mode.replace("_", "-") for mode in BLENDS if "_" in mode),
            tip="How its colours act on those below.",
        ),
    ] = "normal",
    rotation: Annotated[float | None, In(ge=-360.0, le=360.0, step=1.0, tip="Degrees, clockwise.")] = 0.0,
    width: Side = 0,
    height: Side = 0,
    z_index: Annotated[
        int | None, In(ge=-1000, le=1000, tip="Layers are sorted by this; equal ones stay in order.")
    ] = 0,
    flip_h: Annotated[bool | None, In(tip="Mirror it left to right.")] = False,
    flip_v: Annotated[bool | None, In(tip="Turn it upside down.")] = False,
) -> Annotated[Layers, Out(name="layers")]:
    """Put pictures (B, H, W, C) on a stack as layers, with a place in pixels and a way of blending.

    `mask` (B, H, W) times an alpha channel tells what is see-through. The layer turns about its middle. Names of the blend
    modes are inferred. Raises ValueError for what is no stack of layers.
    """
    placed = {
        "name": name,
        "x": x,
        "y": y,
        "opacity": opacity,
        "blend_mode": blend_mode,
        "rotation": rotation,
        "width": width,
        "height": height,
        "z_index": z_index,
        "flip_h": flip_h,
        "flip_v": flip_v,
    }
    return appended(layers, [_item(image, mask, placed)], "AddLayer")


@node("LayersFromBoundingBoxes", category="image/layers", display_name="Layers From Bounding Boxes", experimental=True)
def layers_from_bounding_boxes(
    image: Annotated[Image, In(tip="Each picture of the batch becomes a layer.")],
    bboxes: Annotated[AnyBoxes, In(tip="Where each picture goes, in their order.", link_only=True)],
    mask: Annotated[Mask | None, In(tip="1 where a picture is see-through; one for each.")] = None,
    layers: Stack = None,
    crop_to_content: Annotated[bool | None, In(tip="Cut each picture to the content_rect of its box.")] = True,
    canvas_width: CanvasSide = 0,
    canvas_height: CanvasSide = 0,
) -> Layers:
    """Make a stack of layers of pictures (B, H, W, C), each at the place and of the size of the box with its number.

    Boxes are dicts of x, y, width, height in pixels, elements with `bbox` [top, left, bottom, right] of 1000, or JSON of
    them. Their metadata (or they themselves) may have `name` or `desc`, `z_index`, and `content_rect` of x, y, width and
    height within the picture, which is cut to that and not scaled. A picture without a box goes to the top left corner.
    New layers come above all that are there. Raises ValueError for what is no box, elements without a canvas, and a
    content_rect outside of the picture.
    """
    width, height = canvas_width or 0, canvas_height or 0
    places = placements(bboxes, width, height)
    lowest = 0 if not layers else 1 + max((int(one.get("z_index", 0)) for one in layers.get("items", ())), default=-1)
    items = []
    for index in range(len(image)):
        frame = image[index : index + 1]
        shade = None if mask is None or index >= len(mask) else mask[index : index + 1]
        place = places[index] if index < len(places) else {}
        frame, shade, placed = framed(frame, shade, place, bool(crop_to_content), index)
        items.append(_item(frame, shade, {**placed, "z_index": lowest + placed.get("z_index", 0)}))
    return appended(layers, items, "LayersFromBoundingBoxes", (width, height) if width and height else None)


@node("ImageCompositor", category="image/layers", display_name="Create Layered Image", experimental=True)
def image_compositor(
    layers: Layers,
    compositor: Annotated[Compositor | None, In(tip="What an editor of layers saved.")] = None,
) -> WithUi[Composed]:
    """Put layers together into one picture (1, H, W, 3), or (1, H, W, 4) and a mask (1, H, W) where it is see-through.

    Layers are stacked by z_index. Without a canvas the picture reaches as far as the layers do; without a layer it is 64 × 64
    pixels of nothing. At most 50 layers. What the field's editor of layers saves has a form that nothing documents, so it is
    told to be stale, and the layers' own places count. Raises ValueError for more layers, other versions and kinds, and a
    canvas that is too large.
    """
    stale = bool(compositor)
    if stale:
        _log.warning("ImageCompositor: the saved composition is not used; the places of the layers themselves are.")
    picture = composed(layers)
    see_through = 1 - picture[..., 3]
    whole = picture if bool((see_through > 0).any()) else picture[..., :3]
    return WithUi(whole[None].contiguous(), see_through[None], ui={"stale": [stale]})


def _item(image: Image, mask: Mask | None, placed: dict[str, Any]) -> dict[str, Any]:
    """A layer as a dict, with the facts that are not the usual ones."""
    usual = {"name": "", "opacity": 1.0, "blend_mode": "normal", "rotation": 0.0, "width": 0, "height": 0}
    usual |= {"x": 0, "y": 0, "z_index": 0, "flip_h": False, "flip_v": False}
    told = {key: value for key, value in placed.items() if value is not None and value != usual[key]}
    shade = {} if mask is None else {"mask": mask}
    return {"type": "raster", "image": image, **shade, **told}
