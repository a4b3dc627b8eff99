"""The folder options that `serve` and its workers share."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path

from engine.config import Folders, SettingsError


def folders_of(options: argparse.Namespace) -> Folders:
    """What was written on the command line; the defaults for commands that have no such options.

    Raises SettingsError for a file or a folder that is named there and is not there.
    """
    if not hasattr(options, "output_directory"):
        return Folders()
    found = Folders(
        output=folder_or_none(options.output_directory),
        input=folder_or_none(options.input_directory),
        temp=folder_or_none(options.temp_directory),
        user=folder_or_none(options.user_directory),
        models=folder_or_none(options.models_directory),
        extra_model_paths=_paths(name for names in options.extra_model_paths_config for name in names),
        custom_nodes=_paths(options.custom_nodes),
        disable_metadata=options.disable_metadata,
    )
    for path in found.extra_model_paths:
        if not path.is_file():
            raise SettingsError(f"--extra-model-paths-config: there is no file {path}.")
    for path in found.custom_nodes:
        if not path.is_dir():
            raise SettingsError(f"--custom-nodes: there is no folder {path}.")
    return found


def folder_arguments(folders: Folders) -> list[str]:
    """The options that `folders_of` reads `folders` from."""
    single = {
        "--output-directory": folders.output,
        "--input-directory": folders.input,
        "--temp-directory": folders.temp,
        "--user-directory": folders.user,
        "--models-directory": folders.models,
    }
    arguments = [part for option, path in single.items() if path is not None for part in (option, str(path))]
    if folders.disable_metadata:
        arguments.append("--disable-metadata")
    for file in folders.extra_model_paths:
        arguments += ["--extra-model-paths-config", str(file)]
    for folder in folders.custom_nodes:
        arguments += ["--custom-nodes", str(folder)]
    return arguments


def folder_or_none(name: str | None) -> Path | None:
    """The absolute path of a folder that may have been named."""
    return None if name is None else Path(name).expanduser().absolute()


def _paths(names: Iterable[str]) -> tuple[Path, ...]:
    return tuple(Path(name).expanduser().absolute() for name in names)
