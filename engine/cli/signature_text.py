"""A workflow's signature for people and for scripts: what `run NAME --help` and `workflows NAME` print."""

from __future__ import annotations

import argparse
import json
import textwrap
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from engine.cli.call_options import is_own, option_of
from engine.cli.terminal import columns
from engine.graph.parameters import Parameter
from engine.graph.schema import Files
from engine.graph.signature import Signature, media_kind
from engine.graph.signature_schema import parameter_schema
from engine.graph.values import ChoicesOf

_MOST_LISTED: Final = 12
_WIDTH: Final = 110
_WORDS: Final = {"INT": "N", "FLOAT": "N", "STRING": "TEXT", "BOOLEAN": "true|false"}


def help_lines(
    source: str, signature: Signature, own_options: argparse.ArgumentParser, choices: ChoicesOf
) -> Iterator[str]:
    """The help of one workflow: what it is, its options with type, range, default and meaning, and what it gives."""
    yield f"usage: safelight run {source} [--PARAMETER VALUE …] [options of run]"
    if signature.doc:
        yield ""
        yield from _wrapped(signature.doc, "")
    yield from ("", "parameters" if signature.parameters else "It has no parameters.")
    rows = [(_written(one, own_options), _facts(one, choices)) for one in signature.parameters]
    for row, one in zip(columns(rows), signature.parameters, strict=True):
        yield row
        for text in _meaning(one):
            yield from _wrapped(text, " " * 6)
    yield from _output_lines(signature)
    yield ""
    yield f"Any other input: --set ({'safelight workflows ' + source} lists them). Options of run: safelight run --help"


def signature_json(name: str, signature: Signature, choices: ChoicesOf) -> dict[str, Any]:
    """The signature as JSON: each parameter with its JSON Schema."""
    return {
        "name": name,
        "doc": signature.doc,
        "parameters": [
            {
                "name": one.name,
                "label": one.label,
                "node": one.node,
                "input": one.input,
                "type": one.type,
                "required": one.required,
                "default": one.default,
                "schema": parameter_schema(one, choices),
            }
            for one in signature.parameters
        ],
        "outputs": [msgspec.to_builtins(one) for one in signature.outputs],
        "problems": [msgspec.to_builtins(one) for one in signature.problems],
    }


def signature_lines(signature: Signature, choices: ChoicesOf) -> Iterator[str]:
    """Parameters and outputs, a line each."""
    if signature.doc:
        yield from (*_wrapped(signature.doc, ""), "")
    if signature.parameters:
        yield "parameters"
        yield from columns([(one.name, _facts(one, choices)) for one in signature.parameters])
    yield from _output_lines(signature)


def _output_lines(signature: Signature) -> Iterator[str]:
    if signature.outputs:
        yield from ("", "outputs")
        yield from columns([(one.name, one.kind, f"node {one.node}", one.doc) for one in signature.outputs])


def _written(one: Parameter, own_options: argparse.ArgumentParser) -> str:
    if is_own(one.name, own_options):
        return f"--set {one.name}=…"
    kind = media_kind(one.spec)
    return f"{option_of(one.name)} {'FILE' if kind is not None else _WORDS.get(one.type, 'VALUE')}"


def _facts(one: Parameter, choices: ChoicesOf) -> str:
    facts = list(_range(one, choices))
    if one.required:
        facts.append("required")
    elif one.default is not None:
        facts.append(f"default {_short(one.default)}")
    return "; ".join(facts)


def _range(one: Parameter, choices: ChoicesOf) -> Iterator[str]:
    spec = one.spec
    kind = media_kind(spec)
    if kind is not None:
        yield f"{kind}: a path, or - for standard input"
    elif spec is not None and spec.choices is not None:
        listed = list(choices(spec.choices)) if isinstance(spec.choices, Files) else list(spec.choices)
        more = f" and {len(listed) - _MOST_LISTED} more" if len(listed) > _MOST_LISTED else ""
        yield f"one of {', '.join(str(one) for one in listed[:_MOST_LISTED])}{more}"
    else:
        bounds = [] if spec is None else [_number(bound) if bound is not None else "" for bound in (spec.ge, spec.le)]
        yield f"{one.type} {'…'.join(bounds)}" if any(bounds) else one.type
        if spec is not None and spec.seed:
            yield "or random"


def _meaning(one: Parameter) -> Iterator[str]:
    if one.label and one.label != one.name:
        yield one.label
    if told := one.doc or (one.spec.tip if one.spec is not None else ""):
        yield told


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else str(value)


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 60 else f"{text[:59]}…"


def _wrapped(text: str, indent: str) -> list[str]:
    return [
        line
        for part in text.splitlines()
        for line in textwrap.wrap(part, _WIDTH, initial_indent=indent, subsequent_indent=indent)
    ]
