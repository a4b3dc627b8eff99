"""Reading a constant by the declared type of its input.

As the field does:

- INT: `int(value)` of numbers, booleans and text (3.7 → 3, "5" → 5, True → 1); FLOAT: `float(value)`. Both refuse `null`,
  NaN and infinities (the field's FLOAT takes the last two, which no range then holds back).
- STRING: `str(value)`, of `null` too. BOOLEAN: `bool(value)`: every text but "" is true, "false" as well.
- COMBO: one of the choices. Any other type: as it is; but a constant where other nodes' outputs belong (IMAGE…) is refused,
  `null` only where the input is required.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Container, Mapping, Sequence
from typing import Any, Final

from engine.datatypes.sockets import ANY_TYPE, PRIMITIVE_TYPES, WIDGET_TYPES
from engine.graph.dynamic import CHOOSING, options_of
from engine.graph.problems import as_json, one_of, shown
from engine.graph.prompt import unwrap
from engine.graph.schema import FOLDERS, Catalogue, Files, InputSpec

ChoicesOf = Callable[[Files], Sequence[str]]
"""Looks up the file names that are the choices of an input."""


class WrongValueError(Exception):
    """A constant that its input does not take: the type of problem and what else is known of it."""

    def __init__(self, type: str, **facts: Any) -> None:
        super().__init__(type)
        self.type = type
        self.facts = facts


_MOST_LISTED: Final = 12


class Values:
    """Reads constants by the declared type of their input."""

    def __init__(self, catalogue: Catalogue, choices: ChoicesOf) -> None:
        self._catalogue = catalogue
        self._choices = choices
        self._listed: dict[Files, tuple[str, ...]] = {}
        self._sets: dict[Files, frozenset[str]] = {}
        self._linked_types: frozenset[str] | None = None

    def convert(self, spec: InputSpec, value: Any, owned: bool = False) -> Any:
        """`value` as the node gets it. Raises WrongValueError. `owned`: range and choice are the pack's own business."""
        several = bool(spec.options.get("allow_batch")) and isinstance(spec.choices, Files)
        if type(value) is list and not several:
            raise WrongValueError("bad_linked_input", expected=self.expected(spec))
        if type(value) is dict:
            value = unwrap(value)
        read = _READERS.get(spec.type) or (_of_several if spec.widget in _READERS else None)
        if read is not None:
            value = read(spec, value)
            if not owned:
                _check_range(spec, value)
        elif spec.type == CHOOSING:
            return self._choose(spec, options_of(spec), value)
        elif (
            spec.choices is None
            and not spec.is_widget
            and self._is_linked_type(spec.type)
            and (value is not None or spec.required)
        ):
            raise WrongValueError(
                "invalid_input_type", expected=self.expected(spec), hint="Link the output of a node to this input."
            )
        if several and isinstance(value, list):
            return [self._choose(spec, spec.choices, one) for one in value]
        if spec.choices is not None and not owned:
            return self._choose(spec, spec.choices, value)
        return value

    def expected(self, spec: InputSpec) -> str:
        """What an input takes, in words."""
        if isinstance(spec.choices, Files):
            what = "subfolder with pictures" if spec.choices.kind == FOLDERS else "file"
            return f"a {what} of the {spec.choices.folder} folder"
        if spec.choices is not None:
            return f"one of {_listed(spec.choices)}"
        if spec.type == CHOOSING:
            return f"one of {_listed(options_of(spec))}"
        if spec.type in ("INT", "FLOAT") or spec.widget in ("INT", "FLOAT"):
            return spec.type + _range_text(spec)
        return spec.type if spec.is_widget or spec.type in WIDGET_TYPES else f"a link to {spec.type}"

    def _is_linked_type(self, type: str) -> bool:
        """Whether values of `type` come from other nodes. Packs have editor widgets of their own types: no node makes those."""
        if type == ANY_TYPE:
            return False
        if self._linked_types is None:
            made = {kind for spec in self._catalogue for output in spec.outputs for kind in output.type.split(",")}
            self._linked_types = frozenset(made - WIDGET_TYPES - {ANY_TYPE})
        kinds = type.split(",")
        return all(kind in self._linked_types for kind in kinds)

    def _choose(self, spec: InputSpec, choices: Any, value: Any) -> Any:
        if isinstance(choices, Files):
            return self._choose_file(choices, value)
        for choice in (*choices, *spec.retired):
            if choice == value:
                return choice
        if spec.setting and not choices:
            hint = f"The settings name none yet: add [{spec.setting}.NAME] to safelight.toml, and start again."
            raise WrongValueError("value_not_in_list", expected=f"a name under [{spec.setting}]", hint=hint)
        raise WrongValueError("value_not_in_list", **_choice_facts(choices, value))

    def _choose_file(self, files: Files, value: Any) -> Any:
        listed = self._list(files)
        if isinstance(value, str):
            known = self._sets[files]
            if value in known:
                return value
            forward = value.replace("\\", "/")  # saved on Windows, read elsewhere
            if forward in known:
                return forward
            if (
                files.folder == "output" and value.removesuffix(" [output]") in known
            ):  # as front ends of the field list it
                return value.removesuffix(" [output]")
            if files.folder == "input" and (annotated := self._annotated(value, known, files.kind)) is not None:
                return annotated
        raise WrongValueError("value_not_in_list", **_choice_facts(listed, value, files.folder))

    def _annotated(self, value: str, known: Container[str], kind: str) -> str | None:
        """`name [input]`, `name [output]` and `name [temp]` name a file of that folder."""
        name, _, folder = value.rpartition(" [")
        if folder == "input]":
            return value if name in known else None
        if folder in ("output]", "temp]"):
            other = Files(folder[:-1], kind=kind)
            self._list(other)
            return value if name in self._sets[other] else None
        return None

    def _list(self, files: Files) -> tuple[str, ...]:
        if files not in self._listed:
            try:
                found = tuple(self._choices(files))
            except Exception as error:  # an unreadable folder is a problem of this input, not of the check
                details = f"{type(error).__name__}: {error}"
                raise WrongValueError("exception_during_inner_validation", details=details) from error
            self._listed[files] = (*found, *(name for name in files.extra if name not in found))
            self._sets[files] = frozenset(self._listed[files])
        return self._listed[files]


def _choice_facts(choices: Sequence[Any], value: Any, folder: str = "") -> dict[str, str]:
    if not choices:
        hint = f"There are no files in the {folder} folder yet: put one there." if folder else "It has no choices."
        return {"expected": f"a file of the {folder} folder" if folder else "one of the choices", "hint": hint}
    names = [str(choice) for choice in choices]
    near = difflib.get_close_matches(str(as_json(value))[:200], names, n=3, cutoff=0.5)
    hint = f"Did you mean {one_of(near)}?" if near else "Choose one of the list."
    return {"expected": f"one of {_listed(choices)}", "hint": hint}


def _listed(choices: Sequence[Any]) -> str:
    more = f", … ({len(choices)} in all)" if len(choices) > _MOST_LISTED else ""
    return ", ".join(shown(str(choice)) for choice in choices[:_MOST_LISTED]) + more


def _read_int(spec: InputSpec, value: Any) -> int:
    if isinstance(value, int | float | str):
        try:
            return int(value)
        except (ValueError, OverflowError):
            pass
    raise WrongValueError("invalid_input_type", expected="INT" + _range_text(spec), hint="Give a whole number.")


def _read_float(spec: InputSpec, value: Any) -> float:
    if isinstance(value, int | float | str):
        try:
            number = float(value)
        except (ValueError, OverflowError):
            number = float("nan")
        if number - number == 0:
            return number
    raise WrongValueError("invalid_input_type", expected="FLOAT" + _range_text(spec), hint="Give a finite number.")


def _read_string(spec: InputSpec, value: Any) -> str:
    try:
        return str(value)
    except (ValueError, RecursionError) as error:  # more digits than Python prints
        raise WrongValueError("invalid_input_type", expected="STRING", hint="Give a text.") from error


def _read_boolean(spec: InputSpec, value: Any) -> bool:
    return bool(value)


_READERS: Final[Mapping[str, Callable[[InputSpec, Any], Any]]] = {
    "INT": _read_int,
    "FLOAT": _read_float,
    "STRING": _read_string,
    "BOOLEAN": _read_boolean,
}


def _of_several(spec: InputSpec, value: Any) -> Any:
    """A constant for an input of several types with the widget of one: as it is if it is of one of them, else read as that."""
    if PRIMITIVE_TYPES.get(type(value)) in spec.type.split(",") and value == value:
        return value
    return _READERS[spec.widget](spec, value)


def _check_range(spec: InputSpec, value: Any) -> None:
    if type(value) is bool or not isinstance(value, int | float):
        return
    if spec.ge is not None and value < spec.ge:
        raise WrongValueError("value_smaller_than_min", expected=spec.type + _range_text(spec))
    if spec.le is not None and value > spec.le:
        raise WrongValueError("value_bigger_than_max", expected=spec.type + _range_text(spec))


def _range_text(spec: InputSpec) -> str:
    low, high = (_number(spec, bound) if bound is not None else None for bound in (spec.ge, spec.le))
    if low is not None and high is not None:
        return f" from {low} to {high}"
    if low is not None:
        return f", at least {low}"
    return f", at most {high}" if high is not None else ""


def _number(spec: InputSpec, bound: float) -> str:
    return str(int(bound)) if spec.type == "INT" or bound == int(bound) else str(bound)
