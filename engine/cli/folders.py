"""The folder options that `serve` and its workers share."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path

from engine.config import Folders


def folders_of(options: argparse.Namespace) -> Folders:
    """What was written on the command line; the defaults for commands that have no such options."""
    if not hasattr(options, "output_directory"):
        return Folders()
    return Folders(
        output=_folder(options.output_directory),
        input=_folder(options.input_directory),
        temp=_folder(options.temp_directory),
        user=_folder(options.user_directory),
        models=_folder(options.models_directory),
        extra_model_paths=_paths(name for names in options.extra_model_paths_config for name in names),
        custom_nodes=_paths(options.custom_nodes),
    )


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
    for file in folders.extra_model_paths:
        arguments += ["--extra-model-paths-config", str(file)]
    for folder in folders.custom_nodes:
        arguments += ["--custom-nodes", str(folder)]
    return arguments


def _folder(name: str | None) -> Path | None:
    return None if name is None else Path(name).expanduser().absolute()


def _paths(names: Iterable[str]) -> tuple[Path, ...]:
    return tuple(Path(name).expanduser().absolute() for name in names)
