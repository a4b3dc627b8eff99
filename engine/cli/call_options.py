"""What stands on the command line of `safelight run`: its own options, and those that are parameters of the workflow.

Which parameters there are is known once the workflow has been read. Until then an option that is not one of `run` has one value:
what stands after `=`, else the next word, unless that begins with `--`.
"""

from __future__ import annotations

import argparse
import difflib
from collections.abc import Sequence
from typing import NamedTuple

from engine.cli import exits
from engine.cli.exits import CliError
from engine.graph.parameters import Parameter
from engine.graph.problems import Problem, one_of, problem
from engine.graph.signature import Signature


class Written(NamedTuple):
    """The words after `run`, sorted."""

    own: list[str]
    """The options and the argument that `run` itself has, for its parser."""
    values: list[tuple[str, str | None]]
    """Option → value of all others; None where there is none, as of a switch."""
    help_of_workflow: bool
    """Whether help was asked for and a workflow is named, so that its help is meant."""


def sorted_words(words: Sequence[str], own_options: argparse.ArgumentParser) -> Written:
    """Tell the options of `run` from those of the workflow. What is wrong with the former is left to the parser."""
    known = own_options._option_string_actions
    own, values, helps, named = list[str](), list[tuple[str, str | None]](), False, False
    waiting = list(reversed(words))
    while waiting:
        word = waiting.pop()
        if word == "--":
            own += [word, *reversed(waiting)]
            named = named or bool(waiting)
            break
        name, sign, text = word.partition("=")
        if word in ("-h", "--help"):
            helps = True
        elif not word.startswith("--"):
            own.append(word)
            named = named or not word.startswith("-") or word == "-"
        elif name in known:
            own.append(word)
            if not sign and known[name].nargs != 0 and waiting:
                own.append(waiting.pop())
        elif sign:
            values.append((name[2:], text))
        else:
            values.append((name[2:], waiting.pop() if waiting and not waiting[-1].startswith("--") else None))
    if helps and not named:
        own.append("--help")
    return Written(own, values, helps and named)


def option_of(name: str) -> str:
    """The option of a parameter: `--sampler-name` of `sampler_name`."""
    return f"--{name.replace('_', '-')}"


def is_own(name: str, own_options: argparse.ArgumentParser) -> bool:
    """Whether an option of `run` itself has the name of a parameter, which only `--set` reaches then."""
    known = own_options._option_string_actions
    return option_of(name) in known or f"--{name}" in known


def values_by_name(written: Sequence[tuple[str, str | None]], signature: Signature) -> dict[str, str]:
    """Values by the name of their parameter, or, where there is none of that name, by the name as it was written.

    A switch without a value is `true`, and `--no-NAME` is `false`, where NAME is a BOOLEAN. Raises CliError USAGE for others
    without a value.
    """
    found: dict[str, str] = {}
    for name, text in written:
        parameter = _named(name, signature)
        if parameter is None and name.startswith("no-") and text is None:
            switch = _named(name[3:], signature)
            if switch is not None and switch.type == "BOOLEAN":
                found[switch.name] = "false"
                continue
        if text is None and parameter is not None and parameter.type != "BOOLEAN":
            raise CliError(
                exits.USAGE, f"--{name}: expected a value. One that begins with -- is given as --{name}=VALUE."
            )
        found[parameter.name if parameter is not None else name] = "true" if text is None else text
    return found


def _named(name: str, signature: Signature) -> Parameter | None:
    exact = signature.parameter(name)
    if exact is not None:
        return exact
    plain = name.replace("-", "_")
    return next((one for one in signature.parameters if one.name.replace("-", "_") == plain), None)


def unknown_option(
    name: str, signature: Signature, own_options: argparse.ArgumentParser, settable: Sequence[str]
) -> Problem:
    """The problem of an option that neither `run` nor the workflow has. `settable` are the names that `--set` takes."""
    options = [option_of(one.name) for one in signature.parameters if not is_own(one.name, own_options)]
    expected = f"one of {', '.join(options)}" if options else "no parameter"
    near = difflib.get_close_matches(f"--{name}", [*options, *own_options._option_string_actions], n=2, cutoff=0.65)
    if name.replace("-", "_") in settable:
        hint = f"It is not among the workflow's parameters; --set {name.replace('-', '_')}=VALUE sets it."
    elif near:
        hint = f"Did you mean {one_of(near)}?"
    else:
        hint = "--help after the workflow's name lists them."
    message = f"--{name}: there is no such option"
    return problem("unknown_parameter", message=message, input_name=name, expected=expected, hint=hint)
