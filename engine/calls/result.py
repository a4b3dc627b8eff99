"""What a run of a workflow gives: files, pictures and texts by the name of their output, and what was computed for them."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from PIL.Image import Image

PICTURES: Final = frozenset({".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif"})


class File:
    """A file that a run made: on this machine (`path`), or fetched from a server (`url`)."""

    def __init__(self, name: str, *, path: Path | None = None, url: str = "", data: bytes | None = None) -> None:
        self.name = name
        self.path = path
        self.url = url
        self._data = data

    @property
    def is_here(self) -> bool:
        """Whether its bytes are on this machine."""
        return self._data is not None or self.path is not None

    def keep(self, data: bytes) -> None:
        """Give it the bytes that were fetched."""
        self._data = data

    def read(self) -> bytes:
        """Its bytes. Raises OSError when they are gone or were not fetched."""
        if self._data is not None:
            return self._data
        if self.path is None:
            raise OSError(
                f"{self.name} was not fetched: it is at {self.url}. Run with download=True, or ask for it there."
            )
        return self.path.read_bytes()

    def save(self, target: str | Path) -> Path:
        """Write it to `target`, a file, or a folder in which it keeps its name; returns where it is."""
        place = Path(target).expanduser()
        place = place / self.name if place.is_dir() else place
        place.write_bytes(self.read())
        return place

    @property
    def is_image(self) -> bool:
        """Whether it is a picture, by its name."""
        return Path(self.name).suffix.lower() in PICTURES

    @property
    def image(self) -> Image:
        """The picture, read anew at each call. Raises PIL.UnidentifiedImageError for a file that is none."""
        from PIL import Image

        with Image.open(io.BytesIO(self.read())) as opened:
            opened.load()
            return opened.copy() if getattr(opened, "is_animated", False) else opened

    def __fspath__(self) -> str:
        if self.path is None:
            raise TypeError(f"{self.name} is on a server: save() it first.")
        return str(self.path)

    def __str__(self) -> str:
        return str(self.path) if self.path is not None else self.url or self.name

    def __repr__(self) -> str:
        return f"<file {self}>"


@dataclass(frozen=True)
class Output:
    """What one output gave. `kind` is what the workflow says that it is: image, audio, video, mesh, text or file."""

    name: str
    kind: str
    files: tuple[File, ...] = ()
    texts: tuple[str, ...] = ()

    @property
    def images(self) -> list[Image]:
        """Its pictures."""
        return [file.image for file in self.files if file.is_image]


@dataclass(frozen=True)
class NodeRun:
    """How one node ended: ran, reused, remade, failed, skipped or not_run; `seconds` is what it took."""

    title: str
    status: str
    seconds: float


@dataclass(frozen=True)
class Result:
    """A run that is over."""

    job: str
    """Its id."""
    outputs: Mapping[str, Output]
    """By name, in the order of the signature."""
    values: Mapping[str, Any]
    """Every parameter with the value that ran, seeds that were drawn among them."""
    seconds: float
    """From the beginning of the run to its end."""
    nodes: Mapping[str, NodeRun] = field(default_factory=dict)
    """The nodes that were needed, by id. Of a run on a server, as far as it tells of them."""
    counts: Mapping[str, int] = field(default_factory=dict)
    """How many nodes ran, were reused, failed …"""

    @property
    def files(self) -> list[File]:
        """The files of all outputs."""
        return [file for output in self.outputs.values() for file in output.files]

    @property
    def images(self) -> list[Image]:
        """The pictures of all outputs, as PIL has them; read anew at each call."""
        return [image for output in self.outputs.values() for image in output.images]

    @property
    def texts(self) -> list[str]:
        """The texts of all outputs."""
        return [text for output in self.outputs.values() for text in output.texts]

    @property
    def ran(self) -> int:
        """How many nodes were computed; 0 when all was there from earlier runs."""
        return self.counts.get("ran", 0)

    @property
    def reused(self) -> int:
        """How many nodes were reused from earlier runs."""
        return self.counts.get("reused", 0)
