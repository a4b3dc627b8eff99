"""CustomCombo, whose choices stand on the node: the field's front end adds widgets for them that its class does not declare."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

CUSTOM_COMBO: Final = "CustomCombo"
_OPTION: Final = "option"


def listed(values: Sequence[Any]) -> dict[str, Any]:
    """The values of a node that saves them as a list: the choice, its place among the options from 0, and these."""
    names = ["choice", "index", *(f"{_OPTION}{number}" for number in range(1, len(values) - 1))]
    return dict(zip(names, values, strict=False))


def placed(values: Mapping[str, Any]) -> dict[str, Any]:
    """The same with the place of its choice as `index`: the choice may be another than the node saved, as a subgraph shows it."""
    choice = values.get("choice")
    options = {name.removeprefix(_OPTION): value for name, value in values.items() if name.startswith(_OPTION)}
    place = next((int(at) - 1 for at, value in options.items() if at.isdecimal() and value == choice), None)
    return dict(values) if place is None or not choice else {**values, "index": place}
