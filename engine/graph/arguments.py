"""Calling a workflow: values by parameter name are checked, all at once, and put into both forms of the graph."""

from __future__ import annotations

import copy
import difflib
import marshal
import secrets
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from engine.graph.parameters import Parameter, put_value
from engine.graph.problems import PROBLEM_TYPES, GraphError, Problem, one_of, problem, shown
from engine.graph.schema import Catalogue, Files, InputSpec
from engine.graph.signature import Signature, media_kind
from engine.graph.values import ChoicesOf, Values, WrongValueError

RANDOM: Final = "random"
"""As the value of a seed: one is drawn."""

_LARGEST_DRAWN: Final = 2**53 - 1
"""Every program that reads JSON reads such a number exactly."""

_WORDS: Final = {
    "true": True,
    "yes": True,
    "on": True,
    "1": True,
    "false": False,
    "no": False,
    "off": False,
    "0": False,
}


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """A workflow with its values in place."""

    prompt: dict[str, Any]
    workflow: dict[str, Any] | None
    values: dict[str, Any]
    """Every parameter with the value that runs, seeds that were drawn among them."""


def check_arguments(
    signature: Signature, given: Mapping[str, Any], catalogue: Catalogue, choices: ChoicesOf, *, as_text: bool = False
) -> dict[str, Any]:
    """The given values as their nodes get them, by parameter name.

    Values are of the parameter's JSON type: no text for a number, no number for a text; a whole number does for FLOAT, and
    5.0 for INT.
    `as_text`: they are text, from a form or a command line, and are read. A file must be one of `choices`.

    Raises GraphError with every problem: `unknown_parameter`, `missing_parameter`, `invalid_input_type`,
    `value_smaller_than_min`, `value_bigger_than_max`, `value_not_in_list`.
    """
    problems = [_unknown(name, signature) for name in given if signature.parameter(name) is None]
    reader = Values(catalogue, choices)
    bound: dict[str, Any] = {}
    for one in signature.parameters:
        if one.name in given:
            try:
                bound[one.name] = _read(one, given[one.name], reader, as_text)
            except WrongValueError as wrong:
                problems.append(_wrong(one, given[one.name], wrong, reader))
        elif needed(one, choices):
            problems.append(_missing(one, reader))
    if problems:
        raise GraphError(problems)
    return bound


def call(
    prompt: Mapping[str, Any],
    workflow: Mapping[str, Any] | None,
    signature: Signature,
    bound: Mapping[str, Any],
    catalogue: Catalogue,
) -> Call:
    """The graph with the values of `check_arguments` in it, and declared defaults for the others; nothing given is changed."""
    values = {**defaults_of(signature), **bound}
    own = {id: {**node, "inputs": dict(node.get("inputs", {}))} for id, node in prompt.items()}
    saved = _copied(workflow) if workflow is not None else None
    told: dict[str, Any] = {}
    for one in signature.parameters:
        if one.name in values:
            if values[one.name] != own[one.node]["inputs"].get(one.input):
                put_value(own, one, values[one.name], catalogue, saved)
            told[one.name] = values[one.name]
        else:
            told[one.name] = one.default
    return Call(prompt=own, workflow=saved, values=told)


def _copied(workflow: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of JSON, all of it. Every call makes one, and this is ten times as fast as a copy of whatever it may be."""
    try:
        copied: dict[str, Any] = marshal.loads(marshal.dumps(dict(workflow)))
    except ValueError:  # what a program put in is no JSON
        return copy.deepcopy(dict(workflow))
    return copied


def needed(parameter: Parameter, choices: Callable[[Files], Any]) -> bool:
    """Whether a call must give it: it is declared so, or the file that the workflow was saved with is not here."""
    if parameter.required:
        return True
    if parameter.spec is None or media_kind(parameter.spec) is None:
        return False
    try:
        Values(Catalogue(), choices).convert(parameter.spec, parameter.default)
    except WrongValueError:  # `name [output]` is there too
        return True
    return False


def defaults_of(signature: Signature) -> dict[str, Any]:
    """The value of each parameter that none is given for, where it is one and not a link."""
    return {
        one.name: one.default
        for one in signature.parameters
        if one.default is not None and not isinstance(one.default, list)
    }


def _read(parameter: Parameter, value: Any, reader: Values, as_text: bool) -> Any:
    spec = parameter.spec
    if spec is None:
        return value
    if spec.seed and value == RANDOM:
        return secrets.randbelow(int(min(spec.le if spec.le is not None else _LARGEST_DRAWN, _LARGEST_DRAWN)) + 1)
    if as_text:
        value = _from_text(spec, value)
    elif not _fits(spec, value):
        raise WrongValueError("invalid_input_type", expected=reader.expected(spec))
    return reader.convert(spec, value)


def _from_text(spec: InputSpec, value: Any) -> Any:
    """What a text says, for the types that would read it otherwise: every text but "" is true, and a choice may be a number."""
    if not isinstance(value, str):
        return value
    if spec.type == "BOOLEAN":
        word = value.strip().lower()
        if word not in _WORDS:
            raise WrongValueError("invalid_input_type", expected="true or false")
        return _WORDS[word]
    if isinstance(spec.choices, tuple):
        return next((choice for choice in spec.choices if str(choice) == value), value)
    return value


def _fits(spec: InputSpec, value: Any) -> bool:
    """Whether a value of JSON is of the type of the input."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if spec.choices is not None:
        return isinstance(value, str | int | float | bool)
    if spec.type == "INT":
        return number and (isinstance(value, int) or value.is_integer())
    if spec.type == "FLOAT":
        return number
    if spec.type == "STRING":
        return isinstance(value, str)
    return isinstance(value, bool) if spec.type == "BOOLEAN" else True


def _unknown(name: str, signature: Signature) -> Problem:
    names = [one.name for one in signature.parameters]
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    hint = f"Did you mean {one_of(near)}?" if near else "Use one of the names."
    expected = f"one of {', '.join(names)}" if names else "no parameter"
    message = f"{shown(name)}: there is no such parameter"
    return problem("unknown_parameter", message=message, input_name=name, expected=expected, received=name, hint=hint)


def _wrong(parameter: Parameter, value: Any, wrong: WrongValueError, reader: Values) -> Problem:
    facts = {"expected": reader.expected(parameter.spec) if parameter.spec is not None else "", **wrong.facts}
    message = f"{shown(parameter.name)}: {PROBLEM_TYPES[wrong.type].message}"
    return problem(wrong.type, message=message, spec=_named(parameter), received=value, **facts)


def _missing(parameter: Parameter, reader: Values) -> Problem:
    expected = reader.expected(parameter.spec) if parameter.spec is not None else ""
    message = f"{shown(parameter.name)}: it has no default, and is missing"
    return problem("missing_parameter", message=message, spec=_named(parameter), expected=expected)


def _named(parameter: Parameter) -> InputSpec | None:
    """The declaration under the parameter's name, by which whoever calls knows it."""
    return msgspec.structs.replace(parameter.spec, name=parameter.name) if parameter.spec is not None else None
