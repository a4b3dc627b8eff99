"""How far a run is, for a callback."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass(frozen=True)
class Progress:
    """A run got further: `value` of `total` steps of a node, `done` of `nodes` nodes."""

    node: str = ""
    """The id of the node that is running, in the submitted graph; empty between nodes."""
    title: str = ""
    """What the node is called."""
    value: float = 0.0
    total: float = 0.0
    done: int = 0
    nodes: int = 0
    data: bytes | None = field(default=None, repr=False)
    """An intermediate picture, as a JPEG or PNG file."""

    @property
    def fraction(self) -> float:
        """How much of the run is done, from 0 to 1: all nodes count the same, and more may come as a run goes on."""
        if not self.nodes:
            return 0.0
        part = self.value / self.total if self.total > 0 else 0.0
        return min((self.done + min(part, 1.0)) / self.nodes, 1.0)

    @property
    def preview(self) -> Image | None:
        """The intermediate picture, where this tells of one."""
        if self.data is None:
            return None
        from PIL import Image

        with Image.open(io.BytesIO(self.data)) as opened:
            opened.load()
            return opened
