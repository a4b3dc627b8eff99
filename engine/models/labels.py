"""The classes of pictures that a network was trained on: their numbers, and their names where a folder tells them."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from engine.models.errors import ModelError

if TYPE_CHECKING:
    from engine.models.handles import ModelHandle

CLASSES: Final = "num_embeds_ada_norm"
"""The argument of a network that says how many there are."""

OPTION: Final = "class_names"
"""Option of a model's handle: number of a class as text → its names, separated by commas."""


def class_names(model: ModelHandle) -> dict[int, str]:
    """Return the names of each class: "" where none are told. Raises ModelError for a network without classes."""
    count = model.config.get(CLASSES)
    if not count:
        raise ModelError(
            f"{model.source.path}: this network was not trained on classes of pictures. Use its text encoder instead."
        )
    told: Mapping[str, str] = model.options.get(OPTION, {})
    return {number: told.get(str(number), "") for number in range(int(count))}


def known_classes(model: ModelHandle) -> list[str]:
    """Return a line for each class: its number, and its names where they are told."""
    return [f"{number} {names}".rstrip() for number, names in class_names(model).items()]


def class_number(model: ModelHandle, label: str) -> int:
    """Return the number of a class, given as a number or by one of its names.

    Raises ModelError, with names that come near, for a class that the network does not know.
    """
    known, wanted = class_names(model), label.strip().lower()
    if wanted.isdigit() and int(wanted) in known:
        return int(wanted)
    by_name = {name.strip().lower(): number for number, names in known.items() for name in (*names.split(","), names)}
    by_name.pop("", None)
    if wanted in by_name:
        return by_name[wanted]
    near = difflib.get_close_matches(wanted, by_name, n=4, cutoff=0.5)
    hint = f" Near it: {', '.join(near)}." if near else ""
    names = "by number or name" if by_name else "by number; names are only told by a folder of diffusers"
    raise ModelError(
        f"{model.source.path}: no class {label!r}; expected 0 to {len(known) - 1}, {names}.{hint} ListClasses lists them."
    )
