"""Pictures of a folder, one after the other, with their captions: data sets as they are kept on disk.

Subfolders `5_cats` count five times, as the scripts of kohya-ss have it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, TypeAlias

from engine.media.bounds import MAX_VALUES, bounded
from engine.media.errors import MediaError
from engine.media.load import first_frame, picture_size
from engine.media.tensors import to_tensor

if TYPE_CHECKING:
    from torch import Tensor

Fitting: TypeAlias = Literal["None", "Stretch", "Crop", "Pad"]
"""How pictures get one size: not at all, with other proportions, cut to the middle, or with black edges."""

Kind = Literal["pictures", "videos"]
_SUFFIXES: Final[Mapping[Kind, frozenset[str]]] = {
    "pictures": frozenset({".png", ".jpg", ".jpeg", ".webp"}),
    "videos": frozenset({".mp4", ".avi", ".mov", ".webm", ".mkv", ".flv"}),
}
MOST_ENTRIES: Final = 10_000
"""Entries of a data set, repetitions counted."""
MAX_CAPTION: Final = 1_000_000
"""Bytes of a caption's file."""

_REPEATED: Final = re.compile(r"(\d+)_")


class Entry(NamedTuple):
    """A file of a picture or a video and how often it counts."""

    path: Path
    times: int


def entries_of(files: Iterable[tuple[str, Path]], folder: str, *, below: bool, kind: Kind = "pictures") -> list[Entry]:
    """The pictures, or videos, among `files` of `folder`: those in it, and with `below` those in its subfolders
    `N_name`, N times each.

    `files` come in order, each with the name of the subfolder that it is in. Raises MediaError when there are none, or too
    many.
    """
    found = []
    for place, path in files:
        if path.suffix.lower() in _SUFFIXES[kind]:
            named = _REPEATED.match(place) if below else None
            times = 1 if not place else int(named[1][:9]) if named is not None else 0
            found.append(Entry(path, times))
    total = sum(entry.times for entry in found)
    if not total:
        hint = " Subfolders are read where their name begins with a number, as in 5_cats." if below else ""
        raise MediaError(f"There are no {kind} ({', '.join(sorted(_SUFFIXES[kind]))}) in the folder {folder!r}.{hint}")
    if total > MOST_ENTRIES:
        raise MediaError(f"The folder {folder!r} comes to {total} {kind}; at most {MOST_ENTRIES} make a data set.")
    return [entry for entry in found if entry.times]


def read_all(paths: Sequence[Path]) -> list[Tensor]:
    """The pictures (1, H, W, 3) of files, 0..1, upright, the first frame of animations; each decoded after the one before.

    Raises MediaError for a file that cannot be read, and before any is decoded when all would take more than MAX_VALUES.
    """
    values = 0
    for path in paths:
        width, height = picture_size(path)
        values += 3 * width * height
        if values > MAX_VALUES:
            raise MediaError(
                f"The pictures up to {path.name} take more than {MAX_VALUES * 4 // 2**30} GiB; use fewer or smaller ones."
            )
    return [to_tensor(first_frame(path)) for path in paths]


def repeated(entries: Sequence[Entry]) -> list[Tensor]:
    """The pictures of entries, each as often as it counts; what is repeated is one tensor."""
    pictures = read_all([entry.path for entry in entries])
    return [picture for entry, picture in zip(entries, pictures) for _ in range(entry.times)]


def captions_of(entries: Sequence[Entry]) -> list[str]:
    """The text of the `.txt` file beside each picture, trimmed; empty where there is none."""
    texts = [(entry.times, _caption(entry.path.with_suffix(".txt"))) for entry in entries]
    return [text for times, text in texts for _ in range(times)]


def _caption(path: Path) -> str:
    try:
        if path.stat().st_size > MAX_CAPTION:
            raise MediaError(f"The caption {path.name} has more than {MAX_CAPTION} bytes; shorten it.")
        return path.read_text("utf-8-sig", errors="replace").strip()
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise MediaError(f"The caption {path.name} cannot be read: {error}.") from error


def one_batch(pictures: Sequence[Tensor], fitting: Fitting, width: int = -1, height: int = -1) -> Tensor:
    """Pictures (1, h, w, 3) as a batch (B, H, W, 3), of `width` × `height`, -1 for that of the first.

    Raises MediaError when they differ in size and `fitting` is "None".
    """
    import torch

    across = width if width > 0 else pictures[0].shape[2]
    down = height if height > 0 else pictures[0].shape[1]
    if fitting == "None":
        sizes = {tuple(picture.shape[1:3]) for picture in pictures}
        if len(sizes) > 1:
            told = ", ".join(f"{w} × {h}" for h, w in sorted(sizes)[:4])
            raise MediaError(
                f"The pictures have different sizes ({told}); choose Stretch, Crop or Pad to make them one."
            )
        return torch.cat(list(pictures))
    bounded(len(pictures), down, across, 3)
    return torch.cat([_fitted(picture, fitting, across, down) for picture in pictures])


def _fitted(picture: Tensor, fitting: Fitting, width: int, height: int) -> Tensor:
    from torch.nn.functional import pad

    from engine.media.resizing import resize_images

    if fitting != "Pad":
        return resize_images(picture, width, height, "lanczos", "center" if fitting == "Crop" else "disabled")
    scale = min(width / picture.shape[2], height / picture.shape[1])
    across, down = (max(1, round(side * scale)) for side in (picture.shape[2], picture.shape[1]))
    inside = resize_images(picture, across, down, "lanczos")
    left, top = (width - across) // 2, (height - down) // 2
    return pad(inside, (0, 0, left, width - across - left, top, height - down - top))
