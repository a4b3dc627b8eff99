"""What nodes reach as `ctx.save_images`: pictures into the working folders, named as editors expect."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.media.atomic import Seal
from engine.media.png import save_pictures

if TYPE_CHECKING:
    from torch import Tensor


class PictureSaver:
    """Saves into the folders that `directory("output" | "temp" | "input")` gives."""

    def __init__(self, directory: Callable[[str], Path]) -> None:
        self._directory = directory

    def __call__(
        self,
        images: Tensor,
        prefix: str,
        folder: str = "output",
        prompt: Mapping[str, Any] | None = None,
        workflow: Mapping[str, Any] | None = None,
        more: Mapping[str, Any] | None = None,
        *,
        embed: bool = True,
        seal: Seal | None = None,
    ) -> list[dict[str, str]]:
        """Save images (B, H, W, C), 0..1, and return one `{filename, subfolder, type}` each. Raises MediaError."""
        home = self._directory(folder).resolve()
        told: dict[str, Any] = {"prompt": prompt, "workflow": workflow, "more": more}
        paths = save_pictures(images, home, prefix, **told, embed=embed, seal=seal)
        return [{"filename": path.name, "subfolder": _relative(path.parent, home), "type": folder} for path in paths]


def _relative(folder: Path, home: Path) -> str:
    below = folder.relative_to(home).as_posix()
    return "" if below == "." else below
