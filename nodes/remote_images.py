"""Pictures from services elsewhere: any that speaks the OpenAI images API, by the name that the settings give it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal, NamedTuple

import msgspec
import torch

from engine.api import Context, Image, In, Mask, Out, Seed, Text, WithUi, node
from engine.media.load import Picture, read_picture
from engine.media.png import encode_png
from engine.media.resizing import as_masks, fit_mask, match_channels, resize_images
from engine.media.tensors import to_pictures
from engine.remote.costs import Cost
from engine.remote.images import OWN_FIELDS, Images, Made, Wanted

MOST_PICTURES: Final = 16
"""Pictures that may go with one edit, as the API bounds it."""

_SIZE: Final = re.compile(r"auto|[1-9]\d{0,4}x[1-9]\d{0,4}")
_PREVIEW_SIDE: Final = 512

ServiceName = Annotated[
    str,
    In(setting="services", tip="A service of the settings: [services.NAME] in safelight.toml has its address and key."),
]
ModelName = Annotated[str, In(tip="Model of that service; empty: the one that the settings name.")]
Size = Annotated[str, In(tip="WIDTHxHEIGHT in pixels, such as 1024x1024; auto: the service decides.")]
Number = Annotated[int, In(ge=1, le=10, tip="How many pictures to ask for.")]
Quality = Annotated[
    Literal["auto", "low", "medium", "high", "xhigh", "max", "standard", "hd"],
    In(tip="How much work the service puts into it; auto: the service decides."),
]
Background = Annotated[Literal["auto", "transparent", "opaque"], In(tip="Transparent parts come out as the mask.")]
RunSeed = Annotated[
    Seed, In(ge=0, le=2**64 - 1, seed=True, tip="Another number asks anew; most services do not get to see it.")
]
Partial = Annotated[
    int, In(ge=0, le=3, tip="Unfinished pictures to be shown on the way, of services that send them. Each may cost.")
]
Options = Annotated[
    str, In(multiline=True, tip='Further fields of the request, as a JSON object: {"moderation": "low"}.')
]


class RemotePictures(NamedTuple):
    """What a service gave."""

    images: Image
    masks: Annotated[Mask, Out(tip="1 where a picture is see-through; zeros where it is not.")]
    revised_prompt: Annotated[str, Out(tip="The prompt as the service revised it; empty where it did not say.")]


@node("RemoteImageGenerate", category="image/remote", display_name="Generate Image (Service)")
async def remote_image_generate(
    ctx: Context,
    service: ServiceName,
    prompt: Text,
    model: ModelName = "",
    size: Size = "auto",
    n: Number = 1,
    quality: Quality = "auto",
    background: Background = "auto",
    seed: RunSeed = 0,
    partial_images: Partial = 0,
    options: Options = "",
) -> WithUi[RemotePictures]:
    """Have a service make pictures (n, H, W, 3) after a prompt. What it cost is shown on the node."""
    more = {"prompt": prompt, "quality": quality, "background": background, "partial_images": partial_images}
    wanted = _wanted(model, size, n, seed, options, **more)
    return await _shown(ctx, [await _images(ctx, service, partial_images).generate(wanted)])


@node("RemoteImageEdit", category="image/remote", display_name="Edit Image (Service)")
async def remote_image_edit(
    ctx: Context,
    service: ServiceName,
    image: Image,
    prompt: Text,
    mask: Mask | None = None,
    model: ModelName = "",
    size: Size = "auto",
    n: Number = 1,
    quality: Quality = "auto",
    background: Background = "auto",
    seed: RunSeed = 0,
    partial_images: Partial = 0,
    options: Options = "",
) -> WithUi[RemotePictures]:
    """Have a service edit a picture after a prompt, or make one of all pictures of a batch (B, H, W, C), of at most 16.

    With a mask (1, H, W) only what is 1 there may change, in the first picture.
    """
    if len(image) > MOST_PICTURES:
        raise ValueError(
            f"One edit takes at most {MOST_PICTURES} pictures, and this batch has {len(image)}. Take fewer."
        )
    more = {"prompt": prompt, "quality": quality, "background": background, "partial_images": partial_images}
    wanted = _wanted(model, size, n, seed, options, **more)
    if mask is not None and len(as_masks(mask)) > 1:
        ctx.warn("One edit takes one mask, which is for the first picture: the further masks are left out.")
    files = await asyncio.to_thread(_files, image)
    hole = await asyncio.to_thread(_mask_file, image, mask) if mask is not None else None
    return await _shown(ctx, [await _images(ctx, service, partial_images).edit(wanted, files, hole)])


@node("RemoteImageVariation", category="image/remote", display_name="Vary Image (Service)")
async def remote_image_variation(
    ctx: Context,
    service: ServiceName,
    image: Image,
    model: ModelName = "",
    size: Size = "auto",
    n: Number = 1,
    seed: RunSeed = 0,
    options: Options = "",
) -> WithUi[RemotePictures]:
    """Have a service make n pictures that are like each picture of a batch (B, H, W, C), one request after the other."""
    wanted = _wanted(model, size, n, seed, options)
    images = _images(ctx, service, 0)
    made = []
    for number, file in enumerate(await asyncio.to_thread(_files, image)):
        made.append(await images.vary(wanted, file))
        ctx.progress(number + 1, len(image))
    return await _shown(ctx, made)


def _wanted(model: str, size: str, n: int, seed: int, options: str, **more: Any) -> Wanted:
    """The request that the inputs stand for. Raises ValueError for a size or options that are none."""
    return Wanted(model=model.strip(), size=_size(size), n=n, seed=seed, more=_options(options), **more)


def _images(ctx: Context, service: str, partial_images: int) -> Images:
    """The service, with what it tells on the way shown on the node."""

    def show(number: int, data: bytes) -> None:
        ctx.progress(number + 1, partial_images + 1)
        ctx.preview(lambda: _preview(data))

    return Images(ctx.remote.get(service), ctx.warn, show)


def _preview(data: bytes) -> Any:
    picture = next(to_pictures(read_picture(data, "a partial picture").image))
    picture.thumbnail((_PREVIEW_SIDE, _PREVIEW_SIDE))
    return picture


def _size(text: str) -> str:
    size = text.strip().lower().replace("×", "x")
    if not _SIZE.fullmatch(size):
        raise ValueError(f"The size is {text!r}; expected WIDTHxHEIGHT, such as 1024x1024, or auto.")
    return size


def _options(text: str) -> dict[str, Any]:
    """The further fields. Raises ValueError for what is no JSON object, and for fields that are inputs of the node."""
    if not text.strip():
        return {}
    try:
        found = msgspec.json.decode(text.encode(), type=dict[str, Any])
    except (msgspec.MsgspecError, RecursionError) as error:
        raise ValueError(f'`options` is no JSON object: {error}. Write for example {{"moderation": "low"}}.') from None
    if taken := sorted(OWN_FIELDS & found.keys()):
        raise ValueError(f"`options` has {', '.join(taken)}, which the inputs of the node give. Take it out.")
    return found


def _files(image: Image) -> list[bytes]:
    """Every picture of a batch as a PNG file, without a workflow in it."""
    return [encode_png(picture, None, None) for picture in to_pictures(image)]


def _mask_file(image: Image, mask: Mask) -> bytes:
    """The first picture as a PNG file that is see-through where it may change, which is where the mask is 1."""
    height, width = image.shape[1:3]
    hole = fit_mask(mask, height, width)[:1, ..., None].to(image)
    return _files(torch.cat([match_channels(image[:1], 3), 1 - hole], dim=-1))[0]


async def _shown(ctx: Context, made: Sequence[Made]) -> WithUi[RemotePictures]:
    """The pictures as a batch of the size of the first, and what they cost on the node."""
    files = [file for one in made for file in one.pictures]
    pictures = await asyncio.to_thread(lambda: [read_picture(file, "the service's picture") for file in files])
    if any(one.image.shape[1:3] != pictures[0].image.shape[1:3] for one in pictures):
        height, width = pictures[0].image.shape[1:3]
        ctx.warn(
            f"The service gave pictures of several sizes; all are resized to that of the first, {width} × {height}."
        )
    prompts = dict.fromkeys(prompt for one in made for prompt in one.prompts if prompt)
    costs = [one.cost for one in made]
    shown = {"text": _cost_words(costs), "cost": [msgspec.to_builtins(one) for one in costs]}
    return WithUi(*_batch(pictures), "\n".join(prompts), ui=shown)


def _batch(pictures: Sequence[Picture]) -> tuple[Image, Mask]:
    """Images (B, H, W, 3) and masks (B, H, W), or zeros (B, 64, 64) where no picture has transparency."""
    height, width = pictures[0].image.shape[1:3]
    images = torch.cat([_sized(one.image[:1], width, height) for one in pictures])
    if not any(one.mask.any() for one in pictures):
        return images, torch.zeros(len(images), 64, 64)
    return images, torch.cat([fit_mask(one.mask[:1], height, width) for one in pictures])


def _sized(image: Image, width: int, height: int) -> Image:
    same = image.shape[1:3] == (height, width)
    return image if same else resize_images(image, width, height, "lanczos")


def _cost_words(costs: Sequence[Cost]) -> list[str]:
    words = [one.words for one in costs]
    priced = [one for one in costs if one.amount is not None]
    if len(priced) > 1:
        words.append(f"in all {sum(one.amount or 0 for one in priced):.4f} {priced[0].currency}")
    return words
