"""Where files are: the folders of one base directory, and names that never lead out of them."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

PICTURES: Final = frozenset({".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif"})
WEIGHTS: Final = frozenset({".safetensors", ".sft", ".ckpt", ".pt", ".pt2", ".pth", ".bin", ".pkl", ".gguf"})

MODEL_FOLDERS: Final[Mapping[str, frozenset[str]]] = {
    "checkpoints": WEIGHTS,
    "loras": WEIGHTS,
    "vae": WEIGHTS,
    "controlnet": WEIGHTS,
    "embeddings": WEIGHTS,
    "text_encoders": WEIGHTS,
    "diffusion_models": WEIGHTS,
    "clip_vision": WEIGHTS,
    "style_models": WEIGHTS,
    "upscale_models": WEIGHTS,
    "vae_approx": WEIGHTS,
    "hypernetworks": WEIGHTS,
    "gligen": WEIGHTS,
    "photomaker": WEIGHTS,
    "latent_upscale_models": WEIGHTS,
    "audio_encoders": WEIGHTS,
    "model_patches": WEIGHTS,
    "configs": frozenset({".yaml", ".yml", ".json"}),
    "diffusers": frozenset(),
}
"""Folders of `models/` with the file name suffixes that count in them."""

SPELLINGS: Final[Mapping[str, tuple[str, ...]]] = {
    "text_encoders": ("text_encoders", "clip"),
    "diffusion_models": ("diffusion_models", "unet"),
    "controlnet": ("controlnet", "t2i_adapter"),
}
"""Folder names on disk, newest first, where the field has used several."""

LEGACY: Final[Mapping[str, str]] = {"clip": "text_encoders", "unet": "diffusion_models", "t2i_adapter": "controlnet"}

FOLDER_MODELS: Final = "diffusers"
"""The folder whose entries are folders themselves: models with an index file."""

INDEX: Final = "model_index.json"

_ANNOTATION: Final = re.compile(r"^(?P<name>.*\S)\s*\[(?P<kind>input|output|temp)\]$")


class PathError(ValueError):
    """A name that stands for no file we may open; the message says where it was looked for and which names are near."""


class Paths:
    """The folders of one base directory, plus further model folders that are only read.

    Raises PathError from every method that is given a name which is absolute, has `..`, or is not there.
    """

    def __init__(self, base: Path | str, *, models: Sequence[Path] = ()) -> None:
        """Use `base`; `models` are searched after `base/models`, before the ones that come with the package."""
        self.base = Path(base).expanduser().absolute()
        self.input = self.base / "input"
        self.output = self.base / "output"
        self.temp = self.base / "temp"
        self.user = self.base / "user"
        self.custom_nodes = self.base / "custom_nodes"
        self.cache = self.base / ".safelight" / "cache"
        own = Path(__file__).resolve().parent.parent / "models"
        roots = (self.base / "models", *(Path(root).expanduser().absolute() for root in models), own)
        self.model_roots: tuple[Path, ...] = tuple(dict.fromkeys(roots))

    def directory(self, kind: str) -> Path:
        """The folder `input`, `output`, `temp`, `user` or `custom_nodes`, made when it is missing."""
        folder = self._working_folder(kind)
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def folders(self, folder: str) -> tuple[Path, ...]:
        """Where the files of `folder` ("checkpoints", "loras", …, or "input") are looked for, in order."""
        if folder in ("input", "output", "temp"):
            return (self._working_folder(folder),)
        name = LEGACY.get(folder, folder)
        if name not in MODEL_FOLDERS:
            known = ", ".join([*MODEL_FOLDERS, "input", "output", "temp"])
            raise PathError(f"There is no folder {folder!r}; expected one of: {known}.")
        return tuple(root / spelling for root in self.model_roots for spelling in SPELLINGS.get(name, (name,)))

    def folder_files(self, folder: str) -> list[str]:
        """The file names in `folder`, sorted, subfolders with `/`, by allowed suffix; links that lead out are left out."""
        roots = self.folders(folder)
        if folder == FOLDER_MODELS:
            return sorted({path.parent.name for root in roots for path in root.glob(f"*/{INDEX}")})
        suffixes = MODEL_FOLDERS.get(LEGACY.get(folder, folder), PICTURES)
        names = {name for root in roots for name in _names_below(root, suffixes)}
        return sorted(names, key=lambda name: (name.casefold(), name))

    def locate(self, folder: str, name: str) -> Path | None:
        """The file that `name` stands for in `folder`, or None; never raises for an unknown or malicious name."""
        if folder == "input" and (match := _ANNOTATION.match(name)):
            folder, name = match["kind"], match["name"]
        needed = INDEX if folder == FOLDER_MODELS else ""
        try:
            paths = (_contained(root, name) for root in self.folders(folder))
            return next((path for path in paths if (path / needed).is_file()), None)
        except (PathError, OSError):
            return None

    def find(self, folder: str, name: str) -> Path:
        """The file that `name` stands for in `folder`; in `input` it may end in ` [output]` or ` [temp]`.

        Raises PathError with the nearest names when there is none.
        """
        path = self.locate(folder, name)
        if path is not None:
            return path
        _check_name(name)
        raise PathError(self._missing(folder, name))

    def produced(self, entry: Mapping[str, Any]) -> Path | None:
        """The file that an output node's `{filename, subfolder, type}` means, there or not; None when it means none of ours."""
        try:
            folder = self._working_folder(str(entry.get("type") or "output"))
            return _contained(folder, f"{entry.get('subfolder') or '.'}/{entry['filename']}")
        except (PathError, KeyError, OSError):
            return None

    def _working_folder(self, kind: str) -> Path:
        if kind not in ("input", "output", "temp", "user", "custom_nodes"):
            raise PathError(f"There is no folder {kind!r}; expected input, output, temp, user or custom_nodes.")
        folder: Path = getattr(self, kind)
        return folder

    def _missing(self, folder: str, name: str) -> str:
        names = self.folder_files(folder)
        near = difflib.get_close_matches(name, names, n=3, cutoff=0.4)
        looked = ", ".join(str(root) for root in self.folders(folder) if root.is_dir()) or str(self.folders(folder)[0])
        if near:
            hint = f"Nearest names: {', '.join(near)}."
        elif names:
            hint = f"There are: {', '.join(names[:8])}{', …' if len(names) > 8 else ''}."
        else:
            hint = "There are no files yet: put the file there."
        return f"No file {name!r} in {folder} (looked in {looked}). {hint}"


def bare_name(name: str) -> str:
    """`name` without a trailing ` [input]`, ` [output]` or ` [temp]`."""
    match = _ANNOTATION.match(name)
    return match["name"] if match else name


def _check_name(name: str) -> None:
    parts = re.split(r"[/\\]", name)
    if not name or "\0" in name or ".." in parts or name[0] in "/\\~" or re.match(r"^[A-Za-z]:", name):
        raise PathError(f"The name {name!r} leads out of its folder. Give a name relative to it, without '..'.")


def _contained(root: Path, name: str) -> Path:
    """`root/name`, resolved, which lies inside the resolved `root`. Raises PathError otherwise."""
    _check_name(name)
    path = (root / name).resolve()
    if not path.is_relative_to(root.resolve()):
        raise PathError(f"The name {name!r} leads out of {root} through a link. Copy the file into the folder.")
    return path


def _names_below(root: Path, suffixes: frozenset[str]) -> Iterator[str]:
    """Names relative to `root`; folders are entered once each, also through links that stay inside."""
    home = os.path.realpath(root)
    pending, seen = [""], {home}
    while pending:
        below = pending.pop()
        for entry in _entries(Path(home) / below):
            name = f"{below}{entry.name}"
            if entry.is_symlink() and not _inside(os.path.realpath(entry.path), home):
                continue
            if entry.is_dir():
                real = os.path.realpath(entry.path)
                if real not in seen and not entry.name.startswith("."):
                    seen.add(real)
                    pending.append(f"{name}/")
            elif Path(entry.name).suffix.lower() in suffixes and entry.is_file():
                yield name


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as found:
            return list(found)
    except OSError:
        return []


def _inside(path: str, home: str) -> bool:
    return path == home or path.startswith(home.rstrip(os.sep) + os.sep)
