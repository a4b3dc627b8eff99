"""What type checkers read of a catalogue: `Graph` with a typed method for each node, as the text of a `.pyi` file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from engine.datatypes.sockets import ANY_TYPE
from engine.graph.dynamic import CHOOSING, GROWING, GROWS, ROWS, options_of
from engine.graph.entries import is_word, plain_name
from engine.graph.schema import Catalogue, Files, InputSpec, NodeSpec
from engine.graph.script_write import METHODS

_HEAD: Final = '''"""The nodes of this machine, for type checkers; `safelight export --stubs` makes it anew."""

from typing import Any, Literal, NamedTuple, Sequence

from engine.build import GraphBase, Output, Outputs
'''

_PYTHON: Final[Mapping[str, str]] = {"INT": "int", "FLOAT": "float", "STRING": "str", "BOOLEAN": "bool"}


def stubs(catalogue: Catalogue) -> str:
    """The text of a module with a class for each type of output and `Graph`, whose methods are the nodes.

    Choices that are fixed are `Literal`s, several outputs a `NamedTuple`. Nodes whose names are no words of Python are left
    out: `Graph.node` takes them by name.
    """
    listed = {spec.name: spec for spec in catalogue}
    listed |= {alias: spec for alias in catalogue.aliases if (spec := catalogue.spec(alias)) is not None}
    methods = {name: listed[name] for name in sorted(listed) if is_word(name) and name not in METHODS}
    specs = {spec.name: spec for spec in methods.values() if is_word(spec.name)}
    kinds = {kind for spec in specs.values() for output in spec.outputs for kind in _kinds(output.type)}
    kinds |= {kind for spec in methods.values() for one in spec.inputs for kind in _kinds(one.type)}
    lines = [_HEAD]
    lines += [f"class {_class_of(kind)}(Output): ..." for kind in sorted(kinds)]
    lines.append("")
    for spec in specs.values():
        lines += _several(spec)
    lines.append("class Graph(GraphBase):")
    lines.append('    """A graph with a method for each node."""')
    for name, spec in methods.items():
        lines += _method(name, spec)
    return "\n".join(lines) + "\n"


def _several(spec: NodeSpec) -> Iterator[str]:
    """The class of what a node with several outputs gives."""
    if len(spec.outputs) < 2 or spec.more_outputs:
        return
    names: set[str] = set()
    yield f"class {spec.name}_outputs(NamedTuple):"
    for at, one in enumerate(spec.outputs):
        name = plain_name(one.name).lstrip("_") or "output"
        name = f"output_{at}" if name in names or not is_word(name) or name in _OF_TUPLES else name
        names.add(name)
        yield f"    {name}: {_made(one.type)}"
    yield ""


_OF_TUPLES: Final = frozenset({"count", "index"})


def _method(called: str, spec: NodeSpec) -> Iterator[str]:
    given = [one for one in spec.inputs if is_word(one.name) and one.name != "self"]
    others = (
        len(given) < len(spec.inputs)
        or spec.open_inputs
        or any(one.type == CHOOSING or one.type in GROWS for one in given)
    )
    places, optional = [], False
    for one in given:
        has_default = not one.required or one.default is not None
        if has_default and not optional:
            optional = True
            places.append("*")
        places.append(f"{one.name}: {_taken(one)}{' = ...' if has_default else ''}")
    if not optional:
        places.append("*")
    places += ["_id: str | None = ...", "_title: str | None = ..."]
    if others:
        places.append("**others: Any")
    yield f"    def {called}(self, {', '.join(places)}) -> {_given(spec)}:"
    told = " ".join(spec.doc.partition("\n")[0].split()) or spec.display_name or spec.name
    told = told.replace("\\", "/").replace('"', "'")
    yield f'        """{told}"""'


def _given(spec: NodeSpec) -> str:
    if spec.more_outputs or not spec.outputs:
        return "Outputs"
    if len(spec.outputs) == 1:
        return _made(spec.outputs[0].type)
    return f"{spec.name}_outputs" if is_word(spec.name) else "Any"


def _made(kind: str) -> str:
    """The type of an output; of one that may be several things, anything."""
    return "Any" if ANY_TYPE in kind or "," in kind else _class_of(kind)


def _taken(one: InputSpec) -> str:
    if one.type == ANY_TYPE:
        return "Any"
    if one.type == ROWS:
        return "Sequence[dict[str, Any]]"
    if one.type == GROWING:
        return "Sequence[Any] | dict[str, Any]"
    found = [_PYTHON[kind] for kind in _kinds(one.type) if kind in _PYTHON]
    if one.choices is not None or one.type == CHOOSING:
        found = [_choices(one)]
    elif one.is_widget and not found:
        found = ["Any"]
    links = [_class_of(kind) for kind in _kinds(one.type)]
    return " | ".join(dict.fromkeys([*found, *links])) or "Any"


def _choices(one: InputSpec) -> str:
    listed = options_of(one) if one.type == CHOOSING else one.choices
    if listed is None or isinstance(listed, Files):
        return "str"
    if not listed or any(type(choice) not in (str, int, bool) for choice in listed):
        return "Any"
    return f"Literal[{', '.join(map(repr, listed))}]"


def _kinds(type: str) -> list[str]:
    parts = [kind.strip() for kind in type.split(",")]
    return [kind for kind in parts if kind and kind not in (ANY_TYPE, GROWING, CHOOSING, ROWS)]


def _class_of(kind: str) -> str:
    plain = plain_name(kind)
    return f"{plain}_Output"
