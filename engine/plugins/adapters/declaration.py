"""From what a class says of its inputs and outputs to the parts of a NodeSpec. Packs say it in many ways; none may raise here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from engine.datatypes.sockets import ANY_TYPE
from engine.graph.schema import MOST_OUTPUTS, InputSpec, OutputSpec
from engine.plugins.adapters.plain import choice_values, is_number, number, plain, text_of

HIDDEN_KINDS: Final = frozenset({"UNIQUE_ID", "PROMPT", "EXTRA_PNGINFO", "DYNPROMPT"})
_ACCOUNT_KINDS: Final = frozenset({"AUTH_TOKEN_COMFY_ORG", "API_KEY_COMFY_ORG"})
SEED_NAMES: Final = frozenset({"seed", "noise_seed"})
"""Editors put a control after generate behind whole numbers of these names."""

_NOBODYS_TYPE: Final = "SAFELIGHT_PROBE"
_READ: Final = frozenset(
    {"tooltip", "multiline", "forceInput", "lazy", "rawLink", "control_after_generate", "widgetType"}
)
_BOUNDS: Final = ("min", "max", "step")


def input_spec(name: str, declared: Any, *, required: bool) -> InputSpec:
    """An input as `INPUT_TYPES` declares it: a type alone, or `(type, options, …)`."""
    kind, options = _taken_apart(declared)
    choices = choices_of(kind, options)
    io_type = "COMBO" if choices is not None else type_name(kind)
    several = choices is not None and bool(options.get("multiselect") or options.get("multi_select"))
    passed_on = {key: value for key, value in options.items() if key not in _READ and key not in ("default", "options")}
    bounds = {key: passed_on.pop(key) for key in _BOUNDS if is_number(passed_on.get(key))}
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
        widget=_text(options.get("widgetType")),
        options=plain(passed_on),
    )


def output_specs(types: Any, names: Any, lists: Any, tips: Any) -> tuple[OutputSpec, ...]:
    """The outputs that RETURN_TYPES declares; the other three may be shorter, or not there."""
    kinds = [types] if isinstance(types, str) else list(types or ())
    found = []
    for slot, kind in enumerate(kinds):
        io_type = _output_type(kind)
        found.append(
            OutputSpec(
                name=_text(_at(names, slot)) or io_type,
                type=io_type,
                is_list=bool(_at(lists, slot)),
                tip=_text(_at(tips, slot)),
            )
        )
    return tuple(found)


def more_outputs(types: Any) -> str:
    """The type of outputs beyond those that RETURN_TYPES lists, where it answers any index; else empty."""
    if type(types) in (tuple, list, str) or not isinstance(types, tuple | list):
        return ""
    try:
        return _output_type(types[max(MOST_OUTPUTS, len(types)) - 1]) if len(types) < MOST_OUTPUTS else ""
    except Exception:
        return ""


def _output_type(kind: Any) -> str:
    return "COMBO" if isinstance(kind, list) else type_name(kind[0] if _is_nested(kind) else kind)


def type_name(kind: Any) -> str:
    """The name of a socket type. A type that says it differs from no other (`__ne__` overridden) is `*`."""
    if not isinstance(kind, str):
        return text_of(kind)
    try:
        if type(kind) is not str and not (_NOBODYS_TYPE != kind):  # noqa: SIM202, SIM300 - packs override `!=` and nothing else
            return ANY_TYPE
    except Exception:
        return text_of(kind)
    return ",".join(part.strip() for part in text_of(kind).split(","))  # blanks in a union say nothing


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
    return choice_values(listed)


def hidden_of(declared: Any) -> tuple[dict[str, str], tuple[str, ...], bool]:
    """Of a `hidden` section: the names that the engine fills, those of an account (which are None), and whether there are more.

    Names of other kinds are passed only when a graph gives them: packs ask whether they are there.
    """
    known: dict[str, str] = {}
    empty, more = [], False
    for name in _names(declared):
        kind = declared[name]
        if isinstance(kind, list | tuple) and len(kind) == 1:
            kind = kind[0]
        if isinstance(kind, str) and str.__str__(kind) in HIDDEN_KINDS:
            known[text_of(name)] = str.__str__(kind)
        elif isinstance(kind, str) and str.__str__(kind) in _ACCOUNT_KINDS:
            empty.append(text_of(name))
        else:
            more = True
    return known, tuple(empty), more


def section(declared: Any, name: str) -> Any:
    """A section of what INPUT_TYPES gave, or an empty one. Raises TypeError where no names can be looked up."""
    if not isinstance(declared, Mapping):
        raise TypeError(
            f"INPUT_TYPES gave {type(declared).__name__}, not a dict of `required`, `optional` and `hidden`."
        )
    found = declared.get(name)
    if found is None:
        return {}
    if not hasattr(type(found), "__getitem__") or isinstance(found, list | tuple | str | bytes):
        raise TypeError(f"INPUT_TYPES gave {type(found).__name__} for `{name}`, not a dict of inputs by name.")
    return found


def named(entries: Any) -> list[tuple[str, Any]]:
    """(name, declaration) of each input in a section; a container that cannot be listed declares none by name."""
    return [(text_of(name), entries[name]) for name in _names(entries)]


def claims(entries: Any, name: str) -> bool:
    """Whether a section holds `name`, as far as it says."""
    if not hasattr(type(entries), "__contains__"):
        return False
    try:
        return bool(name in entries)
    except Exception:
        return False


def claims_all(entries: Any) -> bool:
    """Whether a section says that it holds whatever name it is asked for."""
    return claims(entries, _NOBODYS_TYPE)


def claims_some(entries: Any) -> bool:
    """Whether a section decides by itself what it holds, which may be more than it lists."""
    return getattr(type(entries), "__contains__", None) not in (dict.__contains__, None)


def _taken_apart(declared: Any) -> tuple[Any, Mapping[str, Any]]:
    if isinstance(declared, str):
        return declared, {}
    if not isinstance(declared, list | tuple) or not declared:
        return ANY_TYPE, {}
    options = declared[1] if len(declared) > 1 else None
    return declared[0], options if isinstance(options, Mapping) else {}


def _names(entries: Any) -> list[Any]:
    if not hasattr(type(entries), "__iter__"):  # one that answers every index would be listed for ever
        return []
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
    return text_of(value) if isinstance(value, str) else ""


def _bound(value: Any) -> int | float | None:
    return None if value is None else number(value)
