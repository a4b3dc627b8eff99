"""`--sweep NAME=VALUES`: which values a parameter goes through.

Numbers are separated by commas, and `1..10`, `1..10:3`, `0.2..1.0:0.2` (with a step) are ranges; choices and switches are
separated by commas; a seed also takes `random` and `random*4`. A text or a file is one value, commas and all: more come by
writing the option again, which adds values whatever the type.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from engine.cli import exits
from engine.cli.calls import Caller
from engine.cli.exits import CliError
from engine.graph.arguments import RANDOM
from engine.graph.parameters import Names, Parameter
from engine.graph.problems import GraphError, Problem
from engine.graph.prompt import prompt_from_json
from engine.graph.schema import Files
from engine.graph.signature import Signature, media_kind

_NUMBER = r"-?\d+(?:\.\d+)?"
_RANGE: Final = re.compile(rf"({_NUMBER})\.\.({_NUMBER})(?::(\d+(?:\.\d+)?))?")
_RANDOM: Final = re.compile(rf"{RANDOM}\s*\*\s*(\d+)")


class Axis(NamedTuple):
    """A parameter with the values that it goes through, and how each is called on the sheet."""

    parameter: Parameter
    values: list[Any]
    labels: list[str]


class Sweep(NamedTuple):
    """All that is swept, and the values that stay."""

    axes: list[Axis]
    fixed: dict[str, Any]
    signature: Signature
    """That of the workflow, and what else is swept."""

    @property
    def cells(self) -> int:
        """How many combinations there are."""
        return math.prod(len(axis.values) for axis in self.axes)


def read_sweep(caller: Caller, entries: Sequence[str], texts: Mapping[str, str], most: int) -> Sweep:
    """The sweep that the options mean; `texts` are the values of other parameters.

    Raises CliError USAGE or UNREADABLE, with every problem of a value, or for more than `most` cells.
    """
    parameters, written = _written(caller, entries)
    twice = [name for name in parameters if name in texts]
    if twice:
        raise CliError(exits.USAGE, f"{twice[0]} is given, and swept too: leave one of them out.")
    listed = {name: [text for one in written[name] for text in _texts(parameters[name], one, most)] for name in written}
    _bound([len(texts) for texts in listed.values()], most)
    extra = tuple(one for one in parameters.values() if caller.signature.parameter(one.name) is None)
    signature = msgspec.structs.replace(caller.signature, parameters=(*caller.signature.parameters, *extra))
    kept = tuple(one for one in caller.signature.parameters if one.name not in parameters)
    problems, codes, axes = list[Problem](), set[int](), list[Axis]()
    fixed: dict[str, Any] = {}
    try:
        fixed = caller.check(texts, msgspec.structs.replace(signature, parameters=kept))
    except CliError as error:
        _collect(error, problems, codes)
    for name, values in listed.items():
        axes.append(_axis(caller, parameters[name], values, problems, codes))
    if problems:
        text = f"{caller.graph.name} was not called: {len(problems)} problem{'s' * (len(problems) != 1)}.\n{GraphError(problems)}"
        raise CliError(max(codes) if len(codes) == 1 else exits.USAGE, text, status="invalid", problems=problems)
    return Sweep(axes, fixed, signature)


def _written(caller: Caller, entries: Sequence[str]) -> tuple[dict[str, Parameter], dict[str, list[str]]]:
    """The parameters by name, and what was written for each."""
    parameters, written = dict[str, Parameter](), dict[str, list[str]]()
    for entry in entries:
        name, sign, text = entry.partition("=")
        if not sign or not name:
            raise CliError(exits.USAGE, f"--sweep {entry}: expected NAME=VALUES, such as --sweep cfg=3,5,7.")
        found = _parameter(caller, name)
        parameters.setdefault(found.name, found)
        written.setdefault(found.name, []).append(text)
    return parameters, written


def _parameter(caller: Caller, name: str) -> Parameter:
    """The parameter of the signature, or whatever `--set` would set by this name. Raises CliError USAGE."""
    plain = name.replace("-", "_")
    signed = [one for one in caller.signature.parameters if name == one.name or plain == one.name.replace("-", "_")]
    if signed:
        return signed[0]
    graph = caller.graph
    try:
        found = Names(prompt_from_json(graph.prompt), caller.catalogue, graph.workflow).find(name)
    except GraphError as error:
        listed = ", ".join(one.name for one in caller.signature.parameters)
        told = f"--sweep {name}: {error}\n  parameters: {listed or 'none'}"
        raise CliError(exits.USAGE, told, problems=error.problems) from error
    place = (found.node, found.input)
    return next((one for one in caller.signature.parameters if (one.node, one.input) == place), found)


def _texts(parameter: Parameter, text: str, most: int) -> Iterator[str]:
    """The values in one `--sweep`."""
    spec = parameter.spec
    if spec is None or media_kind(spec) is not None or (spec.type == "STRING" and spec.choices is None):
        yield text
        return
    if spec.choices is not None and text in (() if isinstance(spec.choices, Files) else map(str, spec.choices)):
        yield text  # a choice with a comma in its name
        return
    for part in (one.strip() for one in text.split(",")):
        if not part:
            raise CliError(exits.USAGE, f"--sweep {parameter.name}={text}: there is an empty value between its commas.")
        drawn, span = _RANDOM.fullmatch(part), _RANGE.fullmatch(part)
        if drawn and spec.seed:
            _bound([int(drawn[1])], most)
            yield from [RANDOM] * int(drawn[1])
        elif span and spec.type in ("INT", "FLOAT"):
            yield from _range(parameter, part, span, most)
        else:
            yield part


def _range(parameter: Parameter, part: str, span: re.Match[str], most: int) -> Iterator[str]:
    """The numbers of a range, its end among them where a step leads there, without the errors of binary fractions."""
    first, last = Decimal(span[1]), Decimal(span[2])
    whole = first == first.to_integral_value() and last == last.to_integral_value()
    if span[3] is None and not whole:
        raise CliError(exits.USAGE, f"--sweep {parameter.name}: {part} needs a step, such as {part}:0.1.")
    step = Decimal(span[3] or 1)
    if not step:
        raise CliError(exits.USAGE, f"--sweep {parameter.name}: {part} has a step of 0.")
    count = int(abs(last - first) / step) + 1
    _bound([count], most)
    sign = 1 if last >= first else -1
    yield from (f"{first + sign * step * at:f}" for at in range(count))


def _bound(counts: Sequence[int], most: int) -> None:
    cells = math.prod(counts)
    if cells > most:
        product = f" ({' × '.join(map(str, counts))})" if len(counts) > 1 else ""
        message = f"--sweep: {cells} cells{product} are more than {most}. Sweep fewer values, or allow more by --most-cells N."
        raise CliError(exits.USAGE, message)


def _axis(caller: Caller, parameter: Parameter, texts: Sequence[str], problems: list[Problem], codes: set[int]) -> Axis:
    alone = Signature(parameters=(parameter,), outputs=())
    axis = Axis(parameter, [], [])
    for text in texts:
        try:
            value = caller.check({parameter.name: text}, alone)[parameter.name]
        except CliError as error:
            _collect(error, problems, codes)
            continue
        if value not in axis.values:
            axis.values.append(value)
            axis.labels.append(_label(parameter, value, text))
    return axis


def _collect(error: CliError, problems: list[Problem], codes: set[int]) -> None:
    found = error.facts.get("problems")
    if not isinstance(found, list):
        raise error
    problems += found
    codes.add(error.code)


def _label(parameter: Parameter, value: Any, text: str) -> str:
    if media_kind(parameter.spec) is not None:
        return Path(text).name
    return f"{value:g}" if isinstance(value, float) else str(value)
