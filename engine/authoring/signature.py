"""From a typed function to a NodeSpec: names, types, defaults, ranges and docs are read once, off the signature."""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Callable
from typing import Annotated, Any, Literal, NamedTuple, TypeVar, Union, get_args, get_origin

import msgspec

from engine.authoring.definition import ExecutionBlocker, Expand, WithUi
from engine.authoring.inputs import In, Lazy, Out
from engine.authoring.json_values import is_json
from engine.datatypes.sockets import ANY_TYPE, PRIMITIVE_TYPES, Socket
from engine.graph.dynamic import GROWS
from engine.graph.schema import InputSpec, OutputSpec


class NodeDeclarationError(TypeError):
    """A node's signature does not say what a node needs; the message names node, parameter and the line to write."""


class _Annotation(NamedTuple):
    io_type: str
    choices: tuple[Any, ...] | None = None
    extra: In | Out | None = None
    optional: bool = False
    lazy: bool = False
    is_list: bool = False


def inputs_of(name: str, function: Callable[..., Any]) -> tuple[bool, tuple[InputSpec, ...]]:
    """Read the inputs of `function`: (whether its first parameter is `ctx`, the inputs in order)."""
    hints = _hints(name, function)
    parameters = list(inspect.signature(function).parameters.values())
    if parameters and parameters[0].name == "self":
        parameters = parameters[1:]
    wants_ctx = bool(parameters) and parameters[0].name == "ctx"
    declared = [one for one in parameters[wants_ctx:] if one.kind is not inspect.Parameter.VAR_KEYWORD]
    return wants_ctx, tuple(_input(name, parameter, hints) for parameter in declared)


def takes_more(function: Callable[..., Any]) -> bool:
    """Whether `function` has a parameter `**more`, so that the node takes inputs beyond the declared ones."""
    return any(one.kind is inspect.Parameter.VAR_KEYWORD for one in inspect.signature(function).parameters.values())


def outputs_of(name: str, function: Callable[..., Any]) -> tuple[OutputSpec, ...]:
    """Read the outputs of `function` off its return annotation; a NamedTuple gives one output per field."""
    annotation = _without_blocker(_hints(name, function).get("return", inspect.Parameter.empty))
    if get_origin(annotation) in (Expand, WithUi):
        annotation = get_args(annotation)[0]
    if annotation in (None, type(None), inspect.Parameter.empty):
        return ()
    if isinstance(annotation, type) and issubclass(annotation, tuple) and hasattr(annotation, "_fields"):
        fields = typing.get_type_hints(annotation, include_extras=True)
        return tuple(_output(name, fields[field], field) for field in annotation._fields)
    return (_output(name, annotation, ""),)


def _without_blocker(annotation: Any) -> Any:
    """What is left of a result that may be an ExecutionBlocker instead of a value."""
    if get_origin(annotation) not in (Union, types.UnionType):
        return annotation
    return Union[tuple(one for one in get_args(annotation) if one is not ExecutionBlocker)]  # noqa: UP007 - made of a tuple


def _hints(name: str, function: Callable[..., Any]) -> dict[str, Any]:
    try:
        return typing.get_type_hints(function, include_extras=True)
    except NameError as error:
        raise NodeDeclarationError(
            f"Node {name}: the type {error.name!r} in its signature is not known in module {function.__module__}. "
            f"Import it at the top of the module (not under TYPE_CHECKING), e.g. from engine.api import {error.name}."
        ) from error
    except (
        TypeError
    ) as error:  # of an In(...) in quotes, which is what `from __future__ import annotations` makes of it
        raise NodeDeclarationError(
            f"Node {name}: its signature cannot be read: {error}. In(…) takes {', '.join(In.__struct_fields__)}."
        ) from error


def _input(node: str, parameter: inspect.Parameter, hints: dict[str, Any]) -> InputSpec:
    if parameter.name not in hints:
        kind = type(parameter.default)
        likely = kind.__name__ if kind in PRIMITIVE_TYPES else "Image"
        raise NodeDeclarationError(
            f"Node {node}: parameter {parameter.name!r} has no type. Write for example {parameter.name}: {likely}."
        )
    read = _read(node, parameter.name, hints[parameter.name])
    extra = read.extra if isinstance(read.extra, In) else In()
    has_default = parameter.default is not inspect.Parameter.empty
    if has_default and not is_json(parameter.default):
        raise NodeDeclarationError(
            f"Node {node}: the default of {parameter.name!r} is a {type(parameter.default).__name__}, and editors keep JSON. "
            f"Write {parameter.name}: … | None = None and make the default inside the function."
        )
    choices = extra.choices if extra.choices is not None else read.choices
    if extra.setting:
        choices = ()  # filled in by `engine.graph.offers.settle`
    made = InputSpec(
        name=parameter.name,
        type="COMBO" if choices is not None else read.io_type,
        default=parameter.default if has_default else None,
        ge=extra.ge,
        le=extra.le,
        step=extra.step,
        choices=choices,
        retired=extra.retired,
        multiline=extra.multiline,
        tip=extra.tip,
        lazy=read.lazy,
        link_only=extra.link_only,
        raw_link=extra.raw_link,
        seed=extra.seed,
        mentions=extra.mentions,
        setting=extra.setting,
        widget=extra.widget,
        options=extra.options if extra.round is None else {"round": extra.round, **extra.options},
    )
    if made.type in GROWS:  # has no value of its own
        return msgspec.structs.replace(made, required=False)
    # Prompts must hold every required input. A default that no widget could put there makes an optional one.
    optional = read.optional or (has_default and (parameter.default is None or not made.is_widget))
    return msgspec.structs.replace(made, required=False) if optional else made


def _output(node: str, annotation: Any, field: str) -> OutputSpec:
    read = _read(node, field or "return", annotation)
    extra = read.extra if isinstance(read.extra, Out) else Out()
    name = extra.name or field or read.io_type
    return OutputSpec(name=name, type=read.io_type, is_list=read.is_list, tip=extra.tip, match=extra.match)


def _read(node: str, where: str, annotation: Any) -> _Annotation:
    """Read one annotation, peeling `Annotated`, `Lazy`, `| None` and `list` off it."""
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        extra = next((item for item in args[1:] if isinstance(item, In | Out)), None)
        return _read(node, where, args[0])._replace(extra=extra) if extra else _read(node, where, args[0])
    if origin is Lazy:
        return _read(node, where, args[0])._replace(lazy=True)
    if origin in (Union, types.UnionType):
        members = [_read(node, where, arg) for arg in args if arg is not type(None)]
        io_type = ",".join(dict.fromkeys(member.io_type for member in members))
        return members[0]._replace(io_type=io_type, optional=type(None) in args)
    if origin is list:
        return _read(node, where, args[0])._replace(is_list=True)
    if origin is Literal:
        return _Annotation("COMBO", choices=args)
    if annotation is Any or isinstance(annotation, TypeVar):
        return _Annotation(ANY_TYPE)
    if isinstance(annotation, type):
        return _Annotation(_class_type(annotation))
    raise NodeDeclarationError(
        f"Node {node}: {where} has the type {annotation!r}, which names no socket type. "
        f"Use a type of engine.api (Image, Latent, …), int, float, str, bool, Literal[…], or a class of your own."
    )


def _class_type(annotation: type) -> str:
    if annotation in PRIMITIVE_TYPES:
        return PRIMITIVE_TYPES[annotation]
    if issubclass(annotation, Socket):
        return annotation.io_type
    return annotation.__name__.upper()
