"""Data sets to files: numbered pictures of a folder, and a caption beside each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from engine.media.atomic import write_numbered, write_over
from engine.media.names import place
from engine.media.numbered import told_of
from engine.media.png import encode_png
from engine.media.tensors import to_pictures

if TYPE_CHECKING:
    from torch import Tensor


def save_set(
    home: Path, images: Iterable[Tensor], captions: Sequence[str] | None, folder: str, prefix: str, *, over: bool
) -> list[dict[str, str]]:
    """Save every picture of the batches `images` in `home/folder`, and give what clients are told of each file.

    With `over` numbers begin at 0 and older files are replaced; else each takes the next free number. A batch has one
    caption. Raises MediaError for a folder or prefix that leads out, and where nothing can be written.
    """
    chosen = "/".join(place(home, f"{folder}/x")[0].relative_to(home.resolve()).parts) if folder else ""
    within, stem = place(home / chosen, prefix)
    told = []
    number = 0
    for at, batch in enumerate(images):
        for picture in to_pictures(batch):
            data = encode_png(picture, None, None)
            if over:
                path = within / f"{stem}_{number:05}.png"
                write_over(path, data)
            else:
                path = write_numbered(within, stem, ".png", data)
            if captions is not None:
                write_over(path.with_suffix(".txt"), captions[at].encode("utf-8", "replace"))
            told.append(told_of(path, home))
            number += 1
    return told
