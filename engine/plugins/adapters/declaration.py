"""From what a class says of its inputs and outputs to the parts of a NodeSpec. Packs say it in many ways; none may raise here."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, Final

from engine.datatypes.sockets import ANY_TYPE
from engine.graph.schema import InputSpec, OutputSpec

HIDDEN_KINDS: Final = frozenset({"UNIQUE_ID", "PROMPT", "EXTRA_PNGINFO", "DYNPROMPT"})
SEED_NAMES: Final = frozenset({"seed", "noise_seed"})
"""Editors put a control after generate behind whole numbers of these names."""

_NOBODYS_TYPE: Final = "SAFELIGHT_PROBE"
_DEEPEST: Final = 16
_LARGEST: Final = 2**64 - 1
_SMALLEST: Final = -(2**63)
_READ: Final = frozenset({"tooltip", "multiline", "forceInput", "lazy", "rawLink", "control_after_generate"})
_BOUNDS: Final = ("min", "max", "step")


def input_spec(name: str, declared: Any, *, required: bool) -> InputSpec:
    """An input as `INPUT_TYPES` declares it: a type alone, or `(type, options, …)`."""
    kind, options = _taken_apart(declared)
    choices = choices_of(kind, options)
    io_type = "COMBO" if choices is not None else type_name(kind)
    several = choices is not None and bool(options.get("multiselect") or options.get("multi_select"))
    passed_on = {key: value for key, value in options.items() if key not in _READ and key not in ("default", "options")}
    bounds = {key: passed_on.pop(key) for key in _BOUNDS if _is_number(passed_on.get(key))}
    if several:
        passed_on["options"], choices = list(choices or ()), None
    elif choices is None and "options" in options:
        passed_on["options"] = options["options"]
    return InputSpec(
        name=name,
        type=io_type,
        required=required,
        default=plain(options.get("default")),
        ge=_bound(bounds.get("min")),
        le=_bound(bounds.get("max")),
        step=_bound(bounds.get("step")),
        choices=choices,
        multiline=options.get("multiline") is True,
        tip=_text(options.get("tooltip")),
        lazy=bool(options.get("lazy")),
        link_only=bool(options.get("forceInput")),
        raw_link=bool(options.get("rawLink")),
        seed=bool(options.get("control_after_generate")) or (io_type == "INT" and name in SEED_NAMES),
        options=plain(passed_on),
    )


def output_specs(types: Any, names: Any, lists: Any, tips: Any) -> tuple[OutputSpec, ...]:
    """The outputs that RETURN_TYPES declares; the other three may be shorter, or not there."""
    kinds = [types] if isinstance(types, str) else list(types or ())
    found = []
    for slot, kind in enumerate(kinds):
        io_type = "COMBO" if isinstance(kind, list) else type_name(kind[0] if _is_nested(kind) else kind)
        found.append(
            OutputSpec(
                name=_text(_at(names, slot)) or io_type,
                type=io_type,
                is_list=bool(_at(lists, slot)),
                tip=_text(_at(tips, slot)),
            )
        )
    return tuple(found)


def type_name(kind: Any) -> str:
    """The name of a socket type. A type that says it differs from no other (`__ne__` overridden) is `*`."""
    if not isinstance(kind, str):
        return str(kind)
    try:
        if type(kind) is not str and not (_NOBODYS_TYPE != kind):  # noqa: SIM202, SIM300 - packs override `!=` and nothing else
            return ANY_TYPE
    except Exception:
        return str.__str__(kind)
    return str.__str__(kind)


def choices_of(kind: Any, options: Mapping[str, Any]) -> tuple[str | int | float | bool, ...] | None:
    """The choices of a combo box; None for an input of another kind."""
    if isinstance(kind, str):
        listed = options.get("options") if type_name(kind) == "COMBO" else None
        if listed is None:
            return None
    elif isinstance(kind, Iterable):
        listed = kind
    else:
        return None
    return tuple(one if isinstance(one, str | int | float | bool) and _fits(one) else str(one) for one in listed)


def hidden_of(declared: Any) -> tuple[dict[str, str], tuple[str, ...]]:
    """Of a `hidden` section: the names that the engine fills, and those that nobody can fill and that are therefore None."""
    known, unknown = {}, []
    for name in _names(declared):
        kind = declared[name]
        if isinstance(kind, str) and str.__str__(kind) in HIDDEN_KINDS:
            known[str(name)] = str.__str__(kind)
        else:
            unknown.append(str(name))
    return known, tuple(unknown)


def section(declared: Any, name: str) -> Any:
    """A section of what INPUT_TYPES gave, or an empty one."""
    found = declared.get(name) if isinstance(declared, Mapping) else None
    return {} if found is None else found


def named(entries: Any) -> list[tuple[str, Any]]:
    """(name, declaration) of each input in a section; a container that cannot be listed declares none by name."""
    return [(str(name), entries[name]) for name in _names(entries)]


def claims_all(entries: Any) -> bool:
    """Whether a section says that it holds whatever name it is asked for."""
    try:
        return _NOBODYS_TYPE in entries
    except Exception:
        return False


def plain(value: Any, depth: int = 0) -> Any:
    """`value` as JSON can hold it: other objects as text."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int | float):
        return _number(value)
    if depth >= _DEEPEST:
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): plain(item, depth + 1) for key, item in value.items() if not callable(item)}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item, depth + 1) for item in value]
    return str(value)


def _taken_apart(declared: Any) -> tuple[Any, Mapping[str, Any]]:
    if isinstance(declared, str):
        return declared, {}
    if not isinstance(declared, list | tuple) or not declared:
        return ANY_TYPE, {}
    options = declared[1] if len(declared) > 1 else None
    return declared[0], options if isinstance(options, Mapping) else {}


def _names(entries: Any) -> list[Any]:
    try:
        return list(entries)
    except Exception:
        return []


def _at(values: Any, slot: int) -> Any:
    if isinstance(values, str):
        return values if slot == 0 else None
    try:
        return values[slot]
    except Exception:
        return None


def _is_nested(kind: Any) -> bool:
    return isinstance(kind, tuple) and bool(kind)


def _text(value: Any) -> str:
    return str.__str__(value) if isinstance(value, str) else ""


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and not math.isnan(value)


def _bound(value: Any) -> int | float | None:
    return None if value is None else _number(value)


def _number(value: float) -> int | float:
    """A plain number; whole ones that no 64 bits hold come as close as those do."""
    if isinstance(value, int):
        return max(_SMALLEST, min(_LARGEST, int(value)))
    return float(value)


def _fits(value: Any) -> bool:
    return not isinstance(value, int) or _SMALLEST <= value <= _LARGEST
