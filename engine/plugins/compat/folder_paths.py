"""`folder_paths`: where files are. Packs read and change its variables, so the functions look at them at every call."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from engine.listings import Listings
from engine.media.atomic import next_number
from engine.media.names import expand_pattern, place
from engine.paths import LEGACY, MODEL_FOLDERS, WEIGHTS
from engine.plugins.compat.effects import as_folders
from engine.plugins.compat.host import the_host

__all__ = ["os", "time"]  # packs have been seen to reach through

Folder = tuple[list[str], set[str]]
"""Folders that are searched, and the suffixes that count there (none: all files)."""

_paths = the_host().paths

base_path = str(_paths.base)
models_dir = str(_paths.model_roots[0])
output_directory = str(_paths.output)
input_directory = str(_paths.input)
temp_directory = str(_paths.temp)
user_directory = str(_paths.user)
supported_pt_extensions: set[str] = set(WEIGHTS)
extension_mimetypes_cache: dict[str, str] = {"webp": "image"}
filename_list_cache: dict[str, Any] = {}
_listings = Listings()


def _known_folders() -> dict[str, Folder]:
    names = [*_paths.model_folders(), *LEGACY]
    found: dict[str, Folder] = {}
    for name in names:
        suffixes = MODEL_FOLDERS.get(LEGACY.get(name, name), frozenset())
        found[name] = ([str(folder) for folder in _places(name)], set(suffixes))
    for old, new in LEGACY.items():
        found[old] = found[new]
    found["custom_nodes"] = ([str(folder) for folder in _paths.custom_node_folders], set())
    found["classifiers"] = ([os.path.join(models_dir, "classifiers")], {""})  # noqa: PTH118
    return found


def _places(name: str) -> list[Path]:
    """Where the files of a model folder are, in order. Packs list these folders without asking whether they are there:
    those of the base directory are made, and of further roots (one comes with the package) only what is there counts.
    """
    found = []
    main, *others = _paths.model_roots
    for folder in _paths.folders(name):
        if folder.is_relative_to(main):
            with suppress(OSError):
                folder.mkdir(parents=True, exist_ok=True)
        elif any(map(folder.is_relative_to, others)) and not folder.is_dir():
            continue
        found.append(folder)
    return found


folder_names_and_paths: dict[str, Any] = _known_folders()
FIRST = as_folders(folder_names_and_paths)
"""The model folders before any pack changed them."""


def map_legacy(folder_name: str) -> str:
    """The present name of a model folder."""
    return LEGACY.get(folder_name, folder_name) if folder_name != "t2i_adapter" else folder_name


def get_output_directory() -> str:
    """Where results are saved."""
    return _made(output_directory)


def get_input_directory() -> str:
    """Where uploads are."""
    return _made(input_directory)


def get_temp_directory() -> str:
    """Where previews are saved."""
    return _made(temp_directory)


def get_user_directory() -> str:
    """Where settings are kept."""
    return _made(user_directory)


def set_output_directory(output_dir: str) -> None:
    """Save results elsewhere."""
    globals()["output_directory"] = output_dir


def set_input_directory(input_dir: str) -> None:
    """Look for uploads elsewhere."""
    globals()["input_directory"] = input_dir


def set_temp_directory(temp_dir: str) -> None:
    """Save previews elsewhere."""
    globals()["temp_directory"] = temp_dir


def get_system_user_directory(name: str = "system") -> str:
    """A folder of the program itself among the settings."""
    return _made(os.path.join(user_directory, f"__{name}"))  # noqa: PTH118


def get_public_user_directory(user_id: str) -> str | None:
    """The settings of one user; None for a name that is not one."""
    if user_id.startswith("__") or "/" in user_id or "\\" in user_id or user_id in ("", ".", ".."):
        return None
    return os.path.join(user_directory, user_id)  # noqa: PTH118


def get_directory_by_type(type_name: str) -> str | None:
    """The folder `output`, `temp` or `input`; None for another word."""
    makers = {"output": get_output_directory, "temp": get_temp_directory, "input": get_input_directory}
    return makers[type_name]() if type_name in makers else None


def get_input_subfolders() -> list[str]:
    """The folders below the uploads, relative to them."""
    home = Path(get_input_directory())
    return sorted(path.relative_to(home).as_posix() for path in home.rglob("*") if path.is_dir())


def filter_files_content_types(files: list[str], content_types: list[str]) -> list[str]:
    """The file names whose kind ("image", "video", "audio", "model") is among `content_types`."""
    import mimetypes

    found = []
    for name in files:
        suffix = name.rpartition(".")[2].lower()
        guessed = (mimetypes.guess_type(name)[0] or "").partition("/")[0]
        kind = extension_mimetypes_cache.get(
            suffix, "model" if suffix in {"gltf", "glb", "obj", "fbx", "stl"} else guessed
        )
        if kind in content_types:
            found.append(name)
    return found


def annotated_filepath(name: str) -> tuple[str, str | None]:
    """`name` without its ` [output]`, and the folder that this means; None where it has none."""
    for kind, folder in (
        ("output", get_output_directory),
        ("input", get_input_directory),
        ("temp", get_temp_directory),
    ):
        if name.endswith(f"[{kind}]"):
            return name.removesuffix(f"[{kind}]").removesuffix(" "), folder()
    return name, None


def get_annotated_filepath(name: str, default_dir: str | None = None) -> str:
    """The file that an annotated name stands for; without an annotation in `default_dir`, else among the uploads."""
    bare, folder = annotated_filepath(name)
    return os.path.join(folder or default_dir or get_input_directory(), bare)  # noqa: PTH118


def exists_annotated_filepath(name: str) -> bool:
    """Whether there is such a file."""
    return Path(get_annotated_filepath(name)).exists()


def add_model_folder_path(folder_name: str, full_folder_path: str, is_default: bool = False) -> None:
    """Search `full_folder_path` too for the files of `folder_name`, first with `is_default`."""
    folder_name = map_legacy(folder_name)
    entry = folder_names_and_paths.get(folder_name)
    if entry is None:
        folder_names_and_paths[folder_name] = ([full_folder_path], set())
        return
    folders = entry[0]
    if full_folder_path in folders:
        if not is_default or folders[0] == full_folder_path:
            return
        folders.remove(full_folder_path)
    folders.insert(0 if is_default else len(folders), full_folder_path)


def get_folder_paths(folder_name: str) -> list[str]:
    """Where the files of a model folder are searched. Raises KeyError for an unknown one."""
    return list(folder_names_and_paths[map_legacy(folder_name)][0])


def recursive_search(directory: str, excluded_dir_names: list[str] | None = None) -> tuple[list[str], dict[str, float]]:
    """The files below `directory`, relative to it, and the time of change of each folder."""
    excluded, files, folders = set(excluded_dir_names or ()), [], {}
    for folder, below, names in os.walk(directory, followlinks=True):
        below[:] = [name for name in below if name not in excluded]
        folders[folder] = Path(folder).stat().st_mtime
        files += [os.path.relpath(os.path.join(folder, name), directory) for name in names]  # noqa: PTH118
    return files, folders


def filter_files_extensions(files: Any, extensions: Any) -> list[str]:
    """The names with one of the suffixes, sorted; all of them when none is given."""
    return sorted(name for name in files if not extensions or os.path.splitext(name)[1].lower() in extensions)  # noqa: PTH122


def get_filename_list(folder_name: str) -> list[str]:
    """The file names in a model folder; none for a folder that nobody has registered."""
    entry = folder_names_and_paths.get(map_legacy(folder_name))
    if entry is None:
        return []
    roots = tuple(Path(folder) for folder in entry[0])
    suffixes = frozenset(suffix for suffix in entry[1] if suffix) or None
    return list(_listings.names(roots, suffixes))


def get_full_path(folder_name: str, filename: str) -> str | None:
    """The file `filename` of a model folder; None when it is not there."""
    entry = folder_names_and_paths.get(map_legacy(folder_name))
    relative = os.path.relpath(os.path.join("/", filename), "/")  # noqa: PTH118 - '..' stays below
    for folder in entry[0] if entry is not None else ():
        path = os.path.join(folder, relative)  # noqa: PTH118
        if os.path.isfile(path):  # noqa: PTH113
            return path
    return None


def get_full_path_or_raise(folder_name: str, filename: str) -> str:
    """As get_full_path. Raises FileNotFoundError when it is not there."""
    path = get_full_path(folder_name, filename)
    if path is None:
        folders = folder_names_and_paths.get(map_legacy(folder_name), ([],))[0]
        raise FileNotFoundError(
            f"No file {filename!r} in the model folder {folder_name!r} (looked in {', '.join(folders) or 'no folder'}). "
            "Put the file there."
        )
    return path


def get_relative_path(full_path: str) -> tuple[str, str] | None:
    """(Model folder, name in it) of a file; None when it is in none."""
    for name, entry in folder_names_and_paths.items():
        for folder in entry[0]:
            if Path(full_path).is_relative_to(folder):
                return name, Path(full_path).relative_to(folder).as_posix()
    return None


def get_save_image_path(
    filename_prefix: str, output_dir: str, image_width: int = 0, image_height: int = 0
) -> tuple[str, str, int, str, str]:
    """Where to save: (folder, file name's stem, next free number, folder relative to `output_dir`, prefix filled in).

    Raises MediaError for a prefix that leads out of `output_dir`.
    """
    prefix = expand_pattern(filename_prefix, width=int(image_width), height=int(image_height), now=datetime.now())
    home = Path(_made(output_dir))
    folder, stem = place(home, prefix)
    folder.mkdir(parents=True, exist_ok=True)
    below = folder.relative_to(home.resolve()).as_posix()
    return str(folder), stem, next_number(folder, stem), "" if below == "." else below, prefix


def is_subpath(path: str, folder: str) -> bool:
    """Whether `path` lies in `folder`."""
    return Path(path).resolve().is_relative_to(Path(folder).resolve())


def _made(folder: str) -> str:
    Path(folder).mkdir(parents=True, exist_ok=True)
    return folder
