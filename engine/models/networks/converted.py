"""Names of an original layout, read off the converter that a library has for it: run over the numbers of rows, not weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from engine.models.families.base import Fused, Rows


def derived(
    convert: Callable[[dict[str, Any]], Mapping[str, Any]], tensors: Mapping[str, Sequence[int]]
) -> tuple[dict[str, str], Fused]:
    """Return ({library module: original module} of what is one module in both, what stands stacked or in another order).

    `convert` takes tensors by original name and gives them by the library's. `tensors`: original tensor names, each with
    the numbers of rows of the parts that the converter may take apart or swap; each part is one row for it.

    Raises ValueError where the converter makes one tensor of several.
    """
    import torch

    places = [(name.rpartition(".")[0], part) for name, rows in tensors.items() for part in range(len(rows))]
    numbers = {place: number for number, place in enumerate(places)}
    sizes = {name.rpartition(".")[0]: tuple(rows) for name, rows in tensors.items()}
    given = {
        name: torch.tensor([[numbers[name.rpartition(".")[0], part]] for part in range(len(rows))])
        for name, rows in tensors.items()
    }
    paths: dict[str, str] = {}
    fused: dict[str, dict[str, Rows]] = {}
    for name, value in convert(given).items():
        found = [places[number] for number in value.flatten().tolist()]
        modules, parts = {module for module, _ in found}, [part for _, part in found]
        if len(modules) != 1:
            raise ValueError(f"{name}: made of {len(modules)} modules, {', '.join(sorted(modules))}")
        ours, theirs = name.rpartition(".")[0], modules.pop()
        if parts == list(range(len(sizes[theirs]))):
            paths[ours] = theirs
        else:
            fused.setdefault(theirs, {})[ours] = _pieces(sizes[theirs], parts)
    return paths, fused


def _pieces(sizes: Sequence[int], parts: Sequence[int]) -> Rows:
    """The rows of these parts, in their order."""
    ends = [sum(sizes[: part + 1]) for part in range(len(sizes))]
    return tuple((ends[part] - sizes[part], ends[part]) for part in parts)
