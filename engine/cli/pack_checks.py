"""What `safelight pack test` finds in the declarations of a pack's nodes, and in values of its types."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from types import ModuleType
from typing import Any

import msgspec

from engine.cache.codecs import Codecs
from engine.cache.digests import digest
from engine.cli.findings import Finding, State
from engine.cli.pack_sources import few
from engine.datatypes.sockets import ANY_TYPE, WIDGET_TYPES
from engine.graph.prompt import wrap
from engine.graph.schema import Catalogue, Files, InputSpec, NodeSpec
from engine.graph.values import Values, WrongValueError
from engine.plugins.values import stores_itself, value_codec
from engine.server.routes.object_info_form import node_form


def schema_findings(
    specs: Sequence[NodeSpec], core_nodes: Collection[str], core_types: Collection[str]
) -> Iterator[Finding]:
    """Whether the declarations are sound, for editors and for the engine."""
    for spec in specs:
        if spec.name in core_nodes:
            advice = "The built-in one stays. Give yours another name, which begins with the pack's."
            yield Finding("nodes", "fail", f"{spec.name} is the name of a built-in node", advice)
        yield from _form_findings(spec)
        for one in spec.inputs:
            yield from _input_findings(spec, one)
    yield from _type_findings(specs, core_types)
    yield from _left_unsaid(specs)


def value_findings(modules: Iterable[ModuleType]) -> Iterator[Finding]:
    """Whether values of the pack's own types come back from the cache on disk as they were."""
    classes = {value for module in modules for value in list(vars(module).values()) if isinstance(value, type)}
    names = {module.__name__ for module in modules}
    for cls in sorted(classes, key=lambda one: one.__qualname__):
        if cls.__module__ in names and stores_itself(cls):
            yield _value_finding(cls)


def _form_findings(spec: NodeSpec) -> Iterator[Finding]:
    """The declaration must come back as it was from what editors read, and from the catalogue on disk."""
    try:
        form = node_form(spec, spec.name, lambda files: msgspec.Raw(b"[]"))
        plain = msgspec.json.decode(msgspec.json.encode(form))
        stored = msgspec.msgpack.decode(msgspec.msgpack.encode(spec), type=NodeSpec)
        again = msgspec.json.decode(msgspec.json.encode(node_form(stored, spec.name, lambda files: msgspec.Raw(b"[]"))))
    except (TypeError, ValueError, msgspec.MsgspecError, RecursionError) as error:
        text = f"{spec.name} cannot be told to editors: {type(error).__name__}: {error}"
        yield Finding("json", "fail", text, "Defaults, choices and options are JSON: text, numbers, lists, dicts.")
        return
    lost = [
        name for name, value in _named(form) if not _same(value, _at(plain, name)) or not _same(value, _at(again, name))
    ]
    if lost:
        text = f"{spec.name}: {few('.'.join(place) for place in lost)} would reach editors as something else"
        yield Finding("json", "fail", text, "NaN, infinities and numbers as keys of dicts are no JSON.")


def _named(form: dict[str, Any]) -> Iterator[tuple[tuple[str, ...], Any]]:
    """(Where, value) of each part of a definition, inputs by name."""
    for key, value in form.items():
        if key != "input":
            yield (key,), value
    for group, entries in form["input"].items():
        for name, value in entries.items():
            yield ("input", group, name), value


def _at(form: Any, place: tuple[str, ...]) -> Any:
    for key in place:
        form = form[key]
    return form


def _same(value: Any, other: Any) -> bool:
    """Equal as JSON, where lists and tuples are one, and 1 is not true."""
    if isinstance(value, msgspec.Raw):
        return True
    if isinstance(value, list | tuple):
        return isinstance(other, list) and len(value) == len(other) and all(map(_same, value, other))
    if isinstance(value, dict):
        return (
            isinstance(other, dict)
            and value.keys() == other.keys()
            and all(_same(value[key], other[key]) for key in value)
        )
    return type(value) is type(other) and bool(value == other)


def _input_findings(spec: NodeSpec, one: InputSpec) -> Iterator[Finding]:
    where = f"{spec.name}, input {one.name}"
    if one.ge is not None and one.le is not None and one.ge > one.le:
        yield Finding("inputs", "fail", f"{where}: no value lies between {one.ge} and {one.le}", "Swap the two bounds.")
    if one.step is not None and one.step <= 0:
        yield Finding("inputs", "warn", f"{where}: the step is {one.step}", "Give one above 0, or none.")
    if isinstance(one.choices, tuple) and not one.choices and not spec.dynamic:
        yield Finding(
            "inputs", "warn", f"{where}: there is nothing to choose from", "Nobody can use the node like this."
        )
    problem = _default_problem(one)
    if problem is not None:
        state: State = "warn" if spec.dynamic and one.type == "COMBO" else "fail"
        advice = "Editors begin with the default, and the node would be refused with it."
        yield Finding("inputs", state, f"{where}: {problem}", advice)


def _default_problem(one: InputSpec) -> str | None:
    """Why the default would be refused by the check of graphs, in words."""
    has_no_choice = isinstance(one.choices, Files) or one.choices == ()
    if one.default is None or has_no_choice or not (one.is_widget or one.type in WIDGET_TYPES):
        return None
    values = Values(Catalogue(), lambda files: ())
    try:
        values.convert(one, wrap(one.default))
    except WrongValueError:
        return f"the default is {one.default!r}, and it takes {values.expected(one)}"
    return None


def _type_findings(specs: Sequence[NodeSpec], core_types: Collection[str]) -> Iterator[Finding]:
    made = {kind for spec in specs for one in spec.outputs for kind in one.type.split(",")}
    known = {ANY_TYPE, *WIDGET_TYPES, *core_types, *made}
    missing: dict[str, list[str]] = {}
    for spec in specs:
        for one in spec.inputs:
            if not one.widget and not known & set(one.type.split(",")):
                missing.setdefault(one.type, []).append(f"{spec.name}.{one.name}")
    for kind, places in sorted(missing.items()):
        advice = "That is right if another pack makes it; else look at how it is spelt."
        yield Finding("types", "warn", f"no node of this pack or built in makes {kind}, as {few(places)} want", advice)


def _left_unsaid(specs: Sequence[NodeSpec]) -> Iterator[Finding]:
    unsaid: tuple[tuple[str, Callable[[NodeSpec], str], str], ...] = (
        ("category", lambda spec: spec.category, "Editors list nodes by it: category=… or CATEGORY."),
        ("docs", lambda spec: spec.doc, "Write a docstring, or DESCRIPTION: editors show it."),
    )
    for what, said, advice in unsaid:
        without = [spec.name for spec in specs if not said(spec)]
        if without:
            yield Finding(
                "nodes", "warn", f"{len(without)} of {len(specs)} nodes without {what}: {few(without)}", advice
            )


def _value_finding(cls: Any) -> Finding:
    """Make a value, and have it written and read again."""
    name = cls.__qualname__
    try:
        value = cls.example() if hasattr(cls, "example") else cls()
    except Exception as error:
        text = f"{name} was not tried: there is no value to try ({type(error).__name__}: {error})"
        return Finding("values", "warn", text, "Give it a class method `example()` that makes one.")
    codecs = Codecs([value_codec(_already_imported)])
    try:
        again = codecs.decode(b"".join(codecs.encode(value)))
        same = type(again) is cls and (again == value if digest(value) is None else digest(again) == digest(value))
    except Exception as error:  # of the pack's own code, or a CodecError
        return Finding(
            "values", "fail", f"{name} cannot be kept on disk: {error}", "to_plain gives lists, text, numbers, …"
        )
    if not same:
        text = f"{name} comes back from disk as another: {again!r} instead of {value!r}"
        return Finding("values", "fail", text, "from_plain makes what to_plain came from; give the class __eq__ too.")
    kept = "" if digest(value) is not None else " (make it a frozen dataclass, and equal values run nothing again)"
    return Finding("values", "ok", f"{name} comes back from disk as it was{kept}")


def _already_imported(module: str) -> None:
    raise ImportError(module)
