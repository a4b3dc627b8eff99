"""Inputs that a node has by its values and links: those that a choice brings, and those that grow as they are linked.

V3 classes declare them as one input, whose options hold the declarations of the others in V1's form. Prompts and files name
them `group.input`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from engine.datatypes.sockets import ANY_TYPE
from engine.graph.schema import Files, InputSpec

CHOOSING: Final = "COMFY_DYNAMICCOMBO_V3"
GROWING: Final = "COMFY_AUTOGROW_V3"
MATCHING: Final = "COMFY_MATCHTYPE_V3"
ROWS: Final = "COMFY_DYNAMICGROUP_V3"
GROWS: Final = frozenset({GROWING, ROWS})
"""Groups that have as many inputs as they are given: one by one, or rows of several, which are named `group.row.input`."""

FILES: Final = "files"
"""Option of an input within rows: the folder of `models/` whose files are its choices."""


def brought(group: InputSpec, value: Any) -> list[InputSpec]:
    """The inputs that the choice `value` of `group` brings, required ones first; none for inputs that are no such choice."""
    if group.type != CHOOSING:
        return []
    found = next((one.get("inputs") for one in _options(group) if one.get("key") == value), None)
    return [_spec(f"{group.name}.{name}", *declared) for name, declared in _declared(found)]


def options_of(group: InputSpec) -> tuple[str, ...]:
    """The choices of a `group` that brings inputs."""
    return tuple(str(one.get("key")) for one in _options(group))


def _options(group: InputSpec) -> list[Mapping[str, Any]]:
    listed = group.options.get("options")
    return [one for one in listed if isinstance(one, Mapping)] if isinstance(listed, list | tuple) else []


def growable(group: InputSpec) -> list[InputSpec]:
    """All inputs that a `group` that grows may have, in order. The least number of them must be there."""
    if group.type == ROWS:
        return _in_rows(group, _whole(group.options.get("max"), _MOST))
    template = group.options.get("template")
    facts: Mapping[str, Any] = template if isinstance(template, Mapping) else {}
    inner = next((one for _, one in _declared(facts.get("input"))), None)
    if inner is None:
        return []
    declared, required = inner
    least = _whole(facts.get("min"), 1) if required else 0
    return [_spec(one, declared, at < least) for at, one in enumerate(_names(group.name, facts))]


def lazy_names(inputs: Iterable[InputSpec]) -> frozenset[str]:
    """The names of all lazy inputs that a node of these declared `inputs` may have, also of those that grow."""
    declared = [one for spec in inputs for one in ((spec, *growable(spec)) if spec.type in GROWS else (spec,))]
    return frozenset(one.name for one in declared if one.lazy)


def template_of(spec: InputSpec) -> str:
    """The name of the template that an input shares its type with; empty where it shares it with none."""
    template = spec.options.get("template")
    return str(template.get("template_id") or "") if isinstance(template, Mapping) and spec.type not in GROWS else ""


def grown(group: InputSpec, inputs: Sequence[Mapping[str, Any]]) -> list[InputSpec]:
    """The inputs of a `group` that grows, of a saved node with these `inputs`; none for other inputs.

    They are those that the node lists. Where it lists the linked ones alone, as front ends of the field do in what they
    send, there is one more than are linked or must be there.
    """
    if group.type == ROWS:
        return _in_rows(group, max(_rows_of(group, inputs), _whole(group.options.get("min"), 1)))
    if group.type != GROWING:
        return []
    template = group.options.get("template")
    facts: Mapping[str, Any] = template if isinstance(template, Mapping) else {}
    inner = next((one for _, one in _declared(facts.get("input"))), None)
    if inner is None:
        return []
    listed = [one for one in inputs if str(one.get("name")).startswith(f"{group.name}.")]
    names = [str(one["name"]) for one in listed if isinstance(one.get("widget"), Mapping)]
    if all(one.get("link") is not None for one in listed):
        known = _names(group.name, facts)
        last = max((at + 1 for at, name in enumerate(known) if name in names), default=0)
        names = known[: max(last, _whole(facts.get("min"), 1)) + 1]
    return [_spec(name, *inner) for name in names]


def _in_rows(group: InputSpec, count: int) -> list[InputSpec]:
    """The inputs of so many rows."""
    fields = list(_declared(group.options.get("template")))
    least = _whole(group.options.get("min"), 1)
    return [
        _spec(f"{group.name}.{row}.{name}", declared, required and row < least)
        for row in range(min(count, _MOST))
        for name, (declared, required) in fields
    ]


def _rows_of(group: InputSpec, inputs: Sequence[Mapping[str, Any]]) -> int:
    """How many rows the inputs that a saved node lists are of."""
    parts = [str(one.get("name")).split(".") for one in inputs]
    rows = [int(part[1]) for part in parts if len(part) == 3 and part[0] == group.name and part[1].isdecimal()]
    return max(rows, default=-1) + 1


def _names(group: str, template: Mapping[str, Any]) -> list[str]:
    named = template.get("names")
    if isinstance(named, list | tuple):
        return [f"{group}.{name}" for name in named]
    return [f"{group}.{template.get('prefix', '')}{at}" for at in range(min(_whole(template.get("max"), _MOST), _MOST))]


_MOST: Final = 100
"""Inputs that grow from one, at most."""


def _whole(value: Any, otherwise: int) -> int:
    return value if isinstance(value, int) else otherwise


def _bound(value: Any) -> int | float | None:
    return value if type(value) in (int, float) else None


def _declared(groups: Any) -> Iterator[tuple[str, tuple[Any, bool]]]:
    """(name, (declaration, whether required)) of each input in V1's form."""
    for section in ("required", "optional"):
        entries = groups.get(section) if isinstance(groups, Mapping) else None
        for name, declared in entries.items() if isinstance(entries, Mapping) else ():
            yield str(name), (declared, section == "required")


def _spec(name: str, declared: Any, required: bool) -> InputSpec:
    kind, given = (*declared, None, None)[:2] if isinstance(declared, list | tuple) else (declared, None)
    options = dict(given) if isinstance(given, Mapping) else {}
    if kind == MATCHING:
        template = options.get("template")
        kind = str(template.get("allowed_types") or ANY_TYPE) if isinstance(template, Mapping) else ANY_TYPE
    widget = options.get("widgetType")
    listed = kind if isinstance(kind, list | tuple) else options.get("options") if kind == "COMBO" else None
    one_of_them = isinstance(listed, list | tuple) and not (options.get("multiselect") or options.get("multi_select"))
    return InputSpec(
        name=name,
        type=kind if isinstance(kind, str) else "COMBO",
        required=required,
        default=options.get("default"),
        ge=_bound(options.get("min")),
        le=_bound(options.get("max")),
        step=_bound(options.get("step")),
        choices=Files(options[FILES])
        if FILES in options
        else tuple(listed)
        if one_of_them and listed is not None
        else None,
        multiline=options.get("multiline") is True,
        lazy=bool(options.get("lazy")),
        link_only=bool(options.get("forceInput")) or bool(options.get("rawLink")),
        seed=bool(options.get("control_after_generate")),
        widget=widget if isinstance(widget, str) else "",
        options=options,
    )
