"""Where files are: the folders of one base directory, and names that never lead out of them."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from engine.listings import Listings

PICTURES: Final = frozenset({".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif"})
VIDEOS: Final = frozenset({".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".ogv", ".gif"})
SOUNDS: Final = frozenset({".wav", ".flac", ".mp3", ".ogg", ".oga", ".opus", ".m4a", ".aac"})
INPUT_KINDS: Final[Mapping[str, frozenset[str]]] = {
    "": PICTURES,
    "video": VIDEOS,
    "audio": SOUNDS | VIDEOS,
    "latent": frozenset({".latent"}),
}
"""Suffixes of the files in the working folders that an input offers, by what it takes."""

FOLDERS: Final = "folder"
"""What an input takes that offers subfolders in place of files."""

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
    "ipadapter": WEIGHTS,
    "latent_upscale_models": WEIGHTS,
    "audio_encoders": WEIGHTS,
    "model_patches": WEIGHTS,
    "background_removal": WEIGHTS,
    "geometry_estimation": WEIGHTS,
    "detection": WEIGHTS,
    "configs": frozenset({".yaml", ".yml", ".json"}),
    "diffusers": frozenset(),
    "datasets": frozenset(),
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
"""The folder of models that are folders themselves."""

DATASETS: Final = "datasets"
"""The folder of data sets for training, each a folder of encoded examples."""

INDEX: Final = "model_index.json"

INDEXES: Final[Mapping[str, str]] = {FOLDER_MODELS: INDEX, DATASETS: "metadata.json"}
"""Folders whose entries are folders themselves, with the file by which one is known."""

_ANNOTATION: Final = re.compile(r"^(?P<name>.*\S)\s*\[(?P<kind>input|output|temp)\]$")


class PathError(ValueError):
    """A name that stands for no file we may open; the message says where it was looked for and which names are near."""


class ExtraFolder(NamedTuple):
    """A further place for the files of `folder` (one of MODEL_FOLDERS, `custom_nodes`, or a name of its own)."""

    folder: str
    path: Path
    first: bool = False
    """Whether it is searched before the folders of the base directory."""


class Paths:
    """The folders of one base directory, plus further model folders that are only read. Safe among threads.

    Raises PathError from every method that is given a name which is absolute, leads up and out, or is not there.
    """

    def __init__(
        self,
        base: Path | str,
        *,
        models: Sequence[Path] = (),
        models_directory: Path | str | None = None,
        output: Path | str | None = None,
        input: Path | str | None = None,
        temp: Path | str | None = None,
        user: Path | str | None = None,
        custom_nodes: Path | str | None = None,
        extra: Iterable[ExtraFolder] = (),
    ) -> None:
        """Use `base`, with single folders elsewhere where they are given.

        `models` are searched after `base/models` (or `models_directory`), then `extra`, then what comes with the package.
        """
        self.base = Path(base).expanduser().absolute()
        self.input = self._elsewhere(input, "input")
        self.output = self._elsewhere(output, "output")
        self.temp = self._elsewhere(temp, "temp")
        self.user = self._elsewhere(user, "user")
        self.custom_nodes = self._elsewhere(custom_nodes, "custom_nodes")
        self.cache = self.base / ".safelight" / "cache"
        self.tokenizers = self.base / ".safelight" / "tokenizers"
        self._own = shipped("models")
        main = self._elsewhere(models_directory, "models")
        roots = (main, *(Path(root).expanduser().absolute() for root in models), self._own)
        self.model_roots: tuple[Path, ...] = tuple(dict.fromkeys(roots))
        extra = [one._replace(folder=LEGACY.get(one.folder, one.folder)) for one in extra]
        self._extra = tuple(one for one in extra if one.folder != "custom_nodes")
        more = (one.path for one in extra if one.folder == "custom_nodes")
        self.custom_node_folders: tuple[Path, ...] = tuple(dict.fromkeys((self.custom_nodes, *more)))
        self._suffixes: dict[str, frozenset[str] | None] = {**dict.fromkeys(one.folder for one in self._extra)}
        self._suffixes |= MODEL_FOLDERS
        self._listings = Listings()
        self._within: tuple[tuple[str, ...], tuple[str, ...]] | None = None
        self._folders = {name: self._search(name) for name in self._suffixes}

    def add_folders(self, found: Mapping[str, tuple[Sequence[str], Sequence[str]]]) -> None:
        """Look for the files of model folders where packs say: name → (places in order, suffixes; none: any)."""
        places, suffixes = dict(self._folders), dict(self._suffixes)
        for name, (folders, ends) in found.items():
            name = LEGACY.get(name, name)
            places[name] = tuple(dict.fromkeys(Path(folder).absolute() for folder in folders))
            suffixes[name] = frozenset(end for end in ends if end) or None
        self._folders, self._suffixes = places, suffixes

    def _elsewhere(self, folder: Path | str | None, name: str) -> Path:
        return self.base / name if folder is None else Path(folder).expanduser().absolute()

    def _search(self, name: str) -> tuple[Path, ...]:
        """Where the files of the model folder `name` are looked for, in order."""
        spellings = SPELLINGS.get(name, (name,))
        mine = [one for one in self._extra if one.folder == name]
        found = [one.path for one in mine if one.first]
        found += [root / spelling for root in self.model_roots if root != self._own for spelling in spellings]
        found += [one.path for one in mine if not one.first]
        found += [self._own / spelling for spelling in spellings]
        return tuple(dict.fromkeys(found))

    def directory(self, kind: str) -> Path:
        """The folder `input`, `output`, `temp`, `user` or `custom_nodes`, made when it is missing."""
        folder = self._working_folder(kind)
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def folders(self, folder: str) -> tuple[Path, ...]:
        """Where the files of `folder` ("checkpoints", "loras", …, or "input") are looked for, in order."""
        if folder in ("input", "output", "temp"):
            return (self._working_folder(folder),)
        found = self._folders.get(LEGACY.get(folder, folder))
        if found is None:
            known = ", ".join([*self._suffixes, "input", "output", "temp"])
            raise PathError(f"There is no folder {folder!r}; expected one of: {known}.")
        return found

    def model_folders(self) -> list[str]:
        """The names of all model folders."""
        return list(dict.fromkeys((*MODEL_FOLDERS, *self._suffixes)))

    def listing(self, folder: str, kind: str = "") -> tuple[str, ...]:
        """The file names in `folder`, sorted, subfolders with `/`, by allowed suffix; links are followed.

        Of `input`, `output` and `temp` the pictures, or what INPUT_KINDS says of `kind`; "folder" lists the subfolders with
        pictures in them or below.

        Cheap to ask for: folders are read again only when they have changed, and until then the same tuple is returned.
        """
        if kind == FOLDERS:
            return self._subfolders(self.listing(folder))
        roots = self.folders(folder)
        suffixes = self._suffixes.get(LEGACY.get(folder, folder), INPUT_KINDS[kind])
        return self._listings.names(roots, suffixes, INDEXES.get(folder, ""))

    def _subfolders(self, names: tuple[str, ...]) -> tuple[str, ...]:
        """The folders that files of these `names` are in, worked out again only for another tuple."""
        if self._within is None or self._within[0] is not names:
            parts = (name.split("/")[:-1] for name in names)
            found = {"/".join(one[: at + 1]) for one in parts for at in range(len(one))}
            self._within = (names, tuple(sorted(found, key=lambda name: (name.casefold(), name))))
        return self._within[1]

    def files_in(self, folder: str, name: str) -> list[tuple[str, Path]]:
        """All files in the subfolder `name` of `folder` and one level below, but hidden ones, in the order of their names.

        Each comes with the name of the folder below `name` that it is in, empty for `name` itself.
        `name` may end in ` [output]` or ` [temp]` where `folder` is `input`. Raises PathError when there is no such folder.
        """
        if folder == "input" and (match := _ANNOTATION.match(name)):
            folder, name = match["kind"], match["name"]
        found = next((one for root in self.folders(folder) if (one := contained(root, name)).is_dir()), None)
        if found is None:
            near = difflib.get_close_matches(name, self.listing(folder, FOLDERS), n=3, cutoff=0.4)
            hint = f"Nearest names: {', '.join(near)}." if near else "Put the pictures into a folder there."
            raise PathError(f"There is no folder {name!r} in {folder}. {hint}")
        inside = _visible(found)
        below = [(place.name, one) for place in inside if place.is_dir() for one in _visible(place)]
        return [(where, one) for where, one in (*(("", one) for one in inside), *below) if one.is_file()]

    def listings(self, folder: str) -> list[tuple[Path, tuple[str, ...]]]:
        """As `listing`, but for each of the `folders` by itself."""
        suffixes = self._suffixes.get(LEGACY.get(folder, folder), PICTURES)
        index = INDEXES.get(folder, "")
        return [(root, self._listings.names((root,), suffixes, index)) for root in self.folders(folder)]

    def folder_files(self, folder: str, kind: str = "") -> list[str]:
        """`listing` as a list of the caller's own."""
        return list(self.listing(folder, kind))

    def locate(self, folder: str, name: str) -> Path | None:
        """The file that `name` stands for in `folder`, or None; never raises for an unknown or malicious name."""
        if folder == "input" and (match := _ANNOTATION.match(name)):
            folder, name = match["kind"], match["name"]
        needed = INDEXES.get(folder, "")
        try:
            paths = (contained(root, name) for root in self.folders(folder))
            return next((path for path in paths if (path / needed).is_file()), None)
        except (ValueError, OSError):
            return None

    def find(self, folder: str, name: str) -> Path:
        """The file that `name` stands for in `folder`; in `input` it may end in ` [output]` or ` [temp]`.

        Raises PathError with the nearest names when there is none.
        """
        path = self.locate(folder, name)
        if path is not None:
            return path
        _parts(name)
        raise PathError(self._missing(folder, name))

    def produced(self, entry: Mapping[str, Any]) -> Path | None:
        """The file that an output node's `{filename, subfolder, type}` means, there or not; None when it means none of ours."""
        try:
            folder = self._working_folder(str(entry.get("type") or "output"))
            name, subfolder = str(entry["filename"]), str(entry.get("subfolder") or ".")
            return contained(contained(folder, subfolder), name)
        except (ValueError, KeyError, OSError):
            return None

    def _working_folder(self, kind: str) -> Path:
        if kind not in ("input", "output", "temp", "user", "custom_nodes"):
            raise PathError(f"There is no folder {kind!r}; expected input, output, temp, user or custom_nodes.")
        folder: Path = getattr(self, kind)
        return folder

    def _missing(self, folder: str, name: str) -> str:
        if broken := next(
            (path for root in self.folders(folder) if (path := contained(root, name)).is_symlink()), None
        ):
            return (
                f"{broken} is a link to {broken.readlink()}, which is not there. Put the file there, or mend the link."
            )
        names = self.listing(folder)
        near = difflib.get_close_matches(name, names, n=3, cutoff=0.4)
        looked = ", ".join(str(root) for root in self.folders(folder) if root.is_dir()) or str(self.folders(folder)[0])
        if near:
            hint = f"Nearest names: {', '.join(near)}."
        elif names:
            hint = f"There are: {', '.join(names[:8])}{', …' if len(names) > 8 else ''}."
        else:
            hint = "There are no files yet: put the file there."
        return f"No file {name!r} in {folder} (looked in {looked}). {hint}"


def _visible(folder: Path) -> list[Path]:
    names = (one for one in folder.iterdir() if not one.name.startswith("."))
    return sorted(names, key=lambda one: (one.name.casefold(), one.name))


def shipped(folder: str) -> Path:
    """A folder that comes with the program (`models`, `workflows`): inside the package, or beside it in a checkout."""
    package = Path(__file__).resolve().parent
    inside = package / "shipped" / folder
    return inside if inside.is_dir() else package.parent / folder


def bare_name(name: str) -> str:
    """`name` without a trailing ` [input]`, ` [output]` or ` [temp]`."""
    match = _ANNOTATION.match(name)
    return match["name"] if match else name


def _parts(name: str) -> list[str]:
    """The parts of a relative name; `..` takes back the one before it. Raises PathError for a name that leads out."""
    parts: list[str] = []
    sound = bool(name) and "\0" not in name and _encodable(name)
    sound = sound and name[0] not in "/\\~" and not re.match(r"^[A-Za-z]:", name)
    for part in name.split("/") if sound else ():
        if part == ".." and parts:
            parts.pop()
        elif ".." in part.split("\\"):
            sound = False
            break
        elif part not in ("", "."):
            parts.append(part)
    if not sound:
        raise PathError(f"The name {name!r} leads out of its folder. Give a name relative to it, without '..'.")
    return parts


def _encodable(name: str) -> bool:
    """Whether it can be a file name at all: half of a surrogate pair cannot."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def contained(root: Path, name: str) -> Path:
    """`root/name`, which lies inside `root` by its name. Raises PathError otherwise.

    Links on the way are followed wherever they lead: clients cannot make any, so whoever owns the folder wants them there. The
    path keeps the link's own name, as what it leads to may have another suffix or none. `..` is worked out before any link.
    """
    return root.joinpath(*_parts(name))
