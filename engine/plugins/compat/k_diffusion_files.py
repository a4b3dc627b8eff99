"""`comfy.k_diffusion.utils`: pictures in a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar


class FolderOfImages:
    """The pictures below a folder, each as a tuple of one."""

    IMG_EXTENSIONS: ClassVar[set[str]] = {
        ".jpg",
        ".jpeg",
        ".png",
        ".ppm",
        ".bmp",
        ".pgm",
        ".tif",
        ".tiff",
        ".webp",
    }

    def __init__(self, root: Any, transform: Any = None) -> None:
        self.root = Path(root)
        self.transform = transform or (lambda picture: picture)
        self.paths = sorted(path for path in self.root.rglob("*") if path.suffix.lower() in self.IMG_EXTENSIONS)

    def __repr__(self) -> str:
        return f'FolderOfImages(root="{self.root}", len: {len(self)})'

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, key: int) -> tuple[Any]:
        from PIL import Image

        with Image.open(self.paths[key]) as picture:
            return (self.transform(picture.convert("RGB")),)
