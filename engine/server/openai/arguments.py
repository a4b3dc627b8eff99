"""From a request to the arguments of runs: which parameters get what, and how many runs give `n` pictures."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Mapping
from typing import Any

from engine.graph.arguments import RANDOM
from engine.graph.parameters import Parameter
from engine.server.openai.errors import ApiError
from engine.server.openai.models import Model
from engine.server.openai.requests import IGNORED, PictureRequest
from engine.server.refusals import Refusal
from engine.server.routes.view_renditions import DECODER_ERRORS, open_picture


async def arguments_of(model: Model, request: PictureRequest, max_pixels: int) -> list[dict[str, Any]]:
    """The arguments of each run. Raises ApiError for what the model has no parameter for."""
    further = {name: one for name, one in request.further.items() if name not in IGNORED or model.parameter(name)}
    values: dict[str, Any] = {**model.settings.values, **model.settings.quality.get(request.quality, {}), **further}
    prompt = model.text_parameter(request.operation)
    if request.prompt is not None and prompt is not None:
        values[prompt.name] = request.prompt
    values |= _size(model, request)
    values |= await _files(model, request, max_pixels)
    return _runs(model, request, values)


def _size(model: Model, request: PictureRequest) -> dict[str, Any]:
    if request.size is None:
        return {}
    found = {}
    for field, value in zip(("width", "height"), request.size, strict=True):
        parameter = model.parameter(field)
        if parameter is None:
            message = f"Invalid value for 'size': the model '{model.name}' has a size of its own. Use auto."
            raise ApiError(400, "invalid_value", message, "size")
        step = parameter.spec.step if parameter.spec is not None else None
        if step and value % step:
            message = f"Invalid value for 'size': the {field} must be divisible by {step:g}, and {value} is not."
            raise ApiError(400, "invalid_value", message, "size")
        found[parameter.name] = value
    return found


def _runs(model: Model, request: PictureRequest, values: Mapping[str, Any]) -> list[dict[str, Any]]:
    """One run where the workflow makes a batch of any size; else one for each picture, by seeds that follow each other.

    A workflow without a seed makes the same whatever the seed is.
    """
    batch, seed = model.parameter("batch_size"), model.parameter("seed")
    given: dict[str, Any] = dict(values)
    if seed is not None:
        given.setdefault(seed.name, RANDOM if request.seed is None else request.seed)
    if batch is not None:
        return [{**given, batch.name: request.n}]
    if request.n == 1:
        return [given]
    if seed is None:
        message = f"Invalid value for 'n': the model '{model.name}' gives the same each time. Ask for one."
        raise ApiError(400, "invalid_value", message, "n")
    return [{**given, seed.name: _later_seed(given[seed.name], number)} for number in range(request.n)]


def _later_seed(first: Any, number: int) -> Any:
    """The seed of a later picture; what is no seed stays as it is, to be refused with the other arguments."""
    if isinstance(first, str) and first.isdecimal() and first.isascii():
        first = int(first)
    return (first + number) % 2**64 if isinstance(first, int) else first


async def _files(model: Model, request: PictureRequest, max_pixels: int) -> dict[str, Any]:
    """The pictures, in the order of the parameters that take one, and the mask."""
    if not request.images:
        return {}
    takes = model.media("image")
    if len(request.images) > len(takes):
        message = f"The model '{model.name}' takes {len(takes)} picture(s), and {len(request.images)} came."
        raise ApiError(400, "too_many_images", message, "image")
    files = dict(zip((one.name for one in takes), request.images, strict=False))
    if request.mask is None:
        return files
    masks = model.media("mask")
    if masks:
        files[masks[0].name] = await _worked_on(_mask_file, request.mask, max_pixels)
    elif _gives_mask(model, takes[0]):
        files[takes[0].name] = await _worked_on(_with_hole, request.images[0], request.mask, max_pixels)
    else:
        raise ApiError(400, "invalid_value", f"The model '{model.name}' takes no mask. Leave 'mask' out.", "mask")
    return files


def _gives_mask(model: Model, parameter: Parameter) -> bool:
    """Whether the workflow uses the transparency of a picture that it loads as a mask."""
    node = model.workflow.prompt[parameter.node]
    spec = model.workflow.catalogue.spec(str(node.get("class_type")))
    masks = {slot for slot, one in enumerate(spec.outputs) if one.type == "MASK"} if spec is not None else set()
    links = (value for one in model.workflow.prompt.values() for value in one.get("inputs", {}).values())
    return any(
        isinstance(link, list) and len(link) == 2 and link[0] == parameter.node and link[1] in masks for link in links
    )


async def _worked_on(work: Any, *arguments: Any) -> bytes:
    """What `work` gives, on a thread. Raises ApiError for files that are no pictures."""
    try:
        made: bytes = await asyncio.to_thread(work, *arguments)
    except Refusal as refusal:
        raise ApiError(400, "invalid_image_file", refusal.message, "mask") from None
    except DECODER_ERRORS as error:
        message = f"The picture or the mask cannot be read: {str(error)[:200]}. Send PNG files."
        raise ApiError(400, "invalid_image_file", message, "mask") from None
    return made


def _mask_file(mask: bytes, max_pixels: int) -> bytes:
    """A mask as workflows read them, whichever channel they take: see-through, and white, where the picture may change."""
    from PIL import Image, ImageOps

    with open_picture(mask, max_pixels) as opened:
        alpha = _alpha(opened)
    inverted = ImageOps.invert(alpha)
    return _png(Image.merge("RGBA", (inverted, inverted, inverted, alpha)))


def _with_hole(image: bytes, mask: bytes, max_pixels: int) -> bytes:
    """The picture, see-through where the mask is."""
    from PIL import ImageOps

    with open_picture(image, max_pixels) as opened, open_picture(mask, max_pixels) as hole:
        picture, alpha = ImageOps.exif_transpose(opened).convert("RGB"), _alpha(hole)
    if picture.size != alpha.size:
        sizes = " and ".join(f"{width} × {height}" for width, height in (picture.size, alpha.size))
        raise ApiError(400, "invalid_image_file", f"Picture and mask must be of one size; these have {sizes}.", "mask")
    picture.putalpha(alpha)
    return _png(picture)


def _alpha(mask: Any) -> Any:
    if not mask.has_transparency_data:
        message = "The mask has no transparency: what is see-through in it is changed."
        raise ApiError(400, "invalid_image_file", message, "mask")
    return mask.convert("RGBA").getchannel("A")


def _png(picture: Any) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()
