"""Pictures of data sets cut, scaled and made lighter one by one, and lists of them shuffled, joined and thinned out."""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple

import torch
from torch import Tensor

from engine.api import Image, In, Out, Seed, node
from engine.media.resizing import resize_images

_CATEGORY = "dataset/image"
_HASH_SIDE = 8
_FLAT = 1 / 255

Side = Annotated[int, In(ge=1, le=8192, tip="In pixels.")]
Factor = Annotated[float, In(ge=0.0, le=2.0, tip="1.0 changes nothing.")]
Changed = Annotated[Image, Out(name="image")]
Pictures = Annotated[list[Image], Out(name="images")]


class Shuffled(NamedTuple):
    """Pictures and their captions, in the same order."""

    images: list[Image]
    texts: list[str]


@node("NormalizeImages", category=_CATEGORY, display_name="Normalize Image Colors", experimental=True)
def normalize_images(
    image: Image,
    mean: Annotated[float, In(ge=0.0, le=1.0, tip="Taken from every colour.")] = 0.5,
    std: Annotated[float, In(ge=0.001, le=1.0, tip="What the rest is divided by.")] = 0.5,
) -> Changed:
    """Give (colours - mean) / std of pictures (B, H, W, C), which then reach beyond 0..1; alpha stays."""
    return _colours(image, lambda colours: (colours - mean) / std)


@node("AdjustBrightness", category=_CATEGORY, display_name="Adjust Brightness", experimental=True)
def adjust_brightness(image: Image, factor: Factor = 1.0) -> Changed:
    """Multiply the colours of pictures (B, H, W, C), cut off at 0..1; alpha stays."""
    return _colours(image, lambda colours: (colours * factor).clamp(0, 1))


@node("AdjustContrast", category=_CATEGORY, display_name="Adjust Contrast", experimental=True)
def adjust_contrast(image: Image, factor: Factor = 1.0) -> Changed:
    """Multiply how far the colours of pictures (B, H, W, C) are from 0.5, cut off at 0..1; alpha stays."""
    return _colours(image, lambda colours: ((colours - 0.5) * factor + 0.5).clamp(0, 1))


def _colours(image: Tensor, change: Any) -> Tensor:
    changed: Tensor = change(image[..., :3])
    return torch.cat([changed, image[..., 3:]], dim=-1) if image.shape[-1] > 3 else changed


@node("CenterCropImages", category=_CATEGORY, display_name="Crop Image (Center)", experimental=True)
def center_crop_images(image: Image, width: Side = 512, height: Side = 512) -> Changed:
    """Cut the middle out of pictures (B, H, W, C): `width` × `height`, or all there is where that is less."""
    across, down = min(width, image.shape[2]), min(height, image.shape[1])
    return _cut(image, (image.shape[2] - across) // 2, (image.shape[1] - down) // 2, across, down)


@node("RandomCropImages", category=_CATEGORY, display_name="Crop Image (Random)", experimental=True)
def random_crop_images(image: Image, width: Side = 512, height: Side = 512, seed: Seed = 0) -> Changed:
    """Cut `width` × `height` out of pictures (B, H, W, C), or all there is where that is less, at a place that `seed` chooses.

    All pictures of a batch, and pictures of one size, are cut at one place; which place a seed gives is ours.
    """
    across, down = min(width, image.shape[2]), min(height, image.shape[1])
    chance = _chance(seed)
    left = int(torch.randint(image.shape[2] - across + 1, (1,), generator=chance))
    top = int(torch.randint(image.shape[1] - down + 1, (1,), generator=chance))
    return _cut(image, left, top, across, down)


def _cut(image: Tensor, left: int, top: int, width: int, height: int) -> Tensor:
    return image[:, top : top + height, left : left + width].clone()  # a view would keep the whole picture in memory


def _chance(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@node(
    "ResizeImagesByShorterEdge",
    category=_CATEGORY,
    display_name="Resize Images by Shorter Edge (DEPRECATED)",
    deprecated=True,
    experimental=True,
)
def resize_images_by_shorter_edge(image: Image, shorter_edge: Side = 512) -> Changed:
    """Scale pictures (B, H, W, C) so that the shorter side is `shorter_edge`, by Lanczos' filter (inferred)."""
    return _scaled(image, shorter_edge, min(image.shape[1:3]))


@node(
    "ResizeImagesByLongerEdge",
    category=_CATEGORY,
    display_name="Resize Images by Longer Edge (DEPRECATED)",
    deprecated=True,
    experimental=True,
)
def resize_images_by_longer_edge(
    image: Image | None = None,
    longer_edge: Side = 1024,
    images: Annotated[Image | None, In(tip="The former name of `image`, which saved workflows link.")] = None,
) -> Changed:
    """Scale pictures (B, H, W, C) so that the longer side is `longer_edge`, by Lanczos' filter (inferred).

    Raises ValueError when nothing is linked.
    """
    given = image if image is not None else images
    if given is None:
        raise ValueError("ResizeImagesByLongerEdge: no pictures are linked; link some to image.")
    return _scaled(given, longer_edge, max(given.shape[1:3]))


def _scaled(image: Tensor, wanted: int, edge: int) -> Tensor:
    height, width = (wanted if side == edge else max(1, int(side * wanted / edge)) for side in image.shape[1:3])
    return resize_images(image, width, height, "lanczos")


@node("ShuffleDataset", category=_CATEGORY, display_name="Shuffle Images List", input_is_list=True, experimental=True)
def shuffle_dataset(images: Image, seed: Seed = 0) -> Pictures:
    """Give a list of pictures in another order, which is the same for the same seed and length; which one is ours."""
    pictures: Any = images
    return [pictures[at] for at in order_of(len(pictures), first_of(seed))]


@node(
    "ShuffleImageTextDataset",
    category=_CATEGORY,
    display_name="Shuffle Pairs of Image-Text",
    input_is_list=True,
    experimental=True,
)
def shuffle_image_text_dataset(
    images: Image, texts: Annotated[str, In(link_only=True, tip="A caption for each.")], seed: Seed = 0
) -> Shuffled:
    """Give pictures and their captions in another order, the same for both. Raises ValueError for lists of other lengths."""
    pictures: Any = images
    if len(pictures) != len(texts):
        raise ValueError(
            f"ShuffleImageTextDataset: there are {len(texts)} texts for {len(pictures)} pictures; link lists of one length."
        )
    order = order_of(len(pictures), first_of(seed))
    return Shuffled([pictures[at] for at in order], [texts[at] for at in order])


def order_of(count: int, seed: int, kind: str = "pictures") -> list[int]:
    """Another order of `count` things, the same for the same seed. Raises ValueError, which calls them `kind`, for none."""
    if not count:
        raise ValueError(f"The list of {kind} is empty, so there is nothing to shuffle; see what is linked.")
    return [int(at) for at in torch.randperm(count, generator=_chance(seed))]


def first_of(value: Any) -> Any:
    return value[0] if isinstance(value, list) else value


@node(
    "MergeImageLists",
    category=_CATEGORY,
    display_name="Merge Image Lists (DEPRECATED)",
    input_is_list=True,
    deprecated=True,
    experimental=True,
)
def merge_image_lists(images: Image) -> Pictures:
    """Give all pictures that come as one list."""
    given: Any = images
    return [picture for one in given for picture in (one if isinstance(one, list | tuple) else [one])]


@node(
    "ImageDeduplication", category=_CATEGORY, display_name="Deduplicate Images", input_is_list=True, experimental=True
)
def image_deduplication(
    images: Image,
    similarity_threshold: Annotated[
        float, In(ge=0.0, le=1.0, tip="From this likeness on, the later of two is left out; 1 for equal ones.")
    ] = 0.95,
) -> Pictures:
    """Leave out pictures that are like one before them, and give the others as a list of (1, H, W, C).

    Likeness is the share of equal bits of two fingerprints: which of 8 × 8 grey fields are lighter than their mean (average
    hash; which hash the field takes is not told). A picture of one colour has no such fields: it is like another one as near as
    their greys are.
    """
    given: Any = images
    pictures = [picture for batch in given if len(batch) for picture in batch.split(1)]
    if not pictures:
        raise ValueError("ImageDeduplication: the list of pictures is empty; see what is linked to images.")
    threshold = first_of(similarity_threshold)
    bits = torch.empty(len(pictures), _HASH_SIDE**2)
    greys = torch.empty(len(pictures))
    flat = torch.empty(len(pictures), dtype=torch.bool)
    kept: list[int] = []
    for at, picture in enumerate(pictures):
        fields = _fields(picture)
        greys[at], flat[at] = fields.mean(), bool(fields.max() - fields.min() < _FLAT)
        bits[at] = (fields > fields.mean()) * 2.0 - 1
        before = torch.tensor(kept, dtype=torch.long)
        alike = (1 + bits[before] @ bits[at] / _HASH_SIDE**2) / 2
        plain = 1 - (greys[before] - greys[at]).abs()
        likeness = torch.where(flat[before] & flat[at], plain, torch.where(flat[before] | flat[at], 0.0, alike))
        if not bool((likeness >= threshold - 1e-6).any()):
            kept.append(at)
    return [pictures[at].clone() for at in kept]


def _fields(picture: Tensor) -> Tensor:
    """The mean grey (ITU-R BT.601) of 8 × 8 fields of a picture (1, H, W, C), as 64 numbers."""
    weights = torch.tensor([0.299, 0.587, 0.114]).to(picture)
    grey = picture[..., :3] @ weights if picture.shape[-1] >= 3 else picture[..., 0]
    fields = torch.nn.functional.adaptive_avg_pool2d(grey[:, None], _HASH_SIDE)
    return fields.flatten().float().cpu()
