"""A call of a workflow from the command line: its signature, the values that were given, and the graph with these in place."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from engine.cli import exits
from engine.cli.call_options import option_of, unknown_option, values_by_name
from engine.cli.exits import CliError
from engine.cli.graph_source import Graph
from engine.cli.media_inputs import UnusableFileError
from engine.graph.arguments import call, check_arguments
from engine.graph.parameters import Parameter, parameters
from engine.graph.problems import GraphError, Problem, told
from engine.graph.prompt import titles_of
from engine.graph.schema import Catalogue, Files
from engine.graph.signature import Kind, Signature, media_kind, signature_of
from engine.graph.values import ChoicesOf

Place = Callable[[str, Kind, str, Sequence[str]], str]
"""(parameter, kind, what was written, files that may be named) → the name that the node gets. Raises UnusableFileError."""


@dataclass(frozen=True)
class Call:
    """A graph whose parameters have their values."""

    graph: Graph
    signature: Signature
    values: dict[str, Any]
    """Every parameter with the value that runs."""
    titles: dict[str, str]
    """What to call each node, by its id."""
    given: dict[str, Any]
    """The values that were given."""


class Caller:
    """Checks values for the parameters of one graph, and puts them into copies of it."""

    def __init__(
        self,
        graph: Graph,
        catalogue: Catalogue,
        own_options: argparse.ArgumentParser,
        choices: ChoicesOf,
        place: Place,
        signature: Signature | None = None,
    ) -> None:
        self.graph = graph
        self.catalogue = catalogue
        self.signature = signature or signature_with_set(graph, catalogue)
        self.media: tuple[str, ...] = ()
        """Paths of the files that were given."""
        self._own_options = own_options
        self._choices = choices
        self._place = place

    def bind(self, written: Sequence[tuple[str, str | None]]) -> dict[str, Any]:
        """The values of the options, as their nodes get them. Raises CliError USAGE or UNREADABLE with every problem."""
        return self.check(values_by_name(written, self.signature))

    def check(self, texts: Mapping[str, str], signature: Signature | None = None) -> dict[str, Any]:
        """The same of texts by parameter name, in a wider signature where one is given."""
        signature = signature or self.signature
        files, unusable = self._files(texts, signature)
        problems = list(unusable)
        try:
            given = {**texts, **files}
            bound = check_arguments(signature, given, self.catalogue, self._choices_of(signature), as_text=True)
        except GraphError as error:
            problems += [self._told(one, texts) for one in error.problems]
        if problems:
            raise self._refused(problems, only_files=len(problems) == len(unusable))
        return bound

    def call(self, bound: Mapping[str, Any], signature: Signature | None = None) -> Call:
        """The graph with the values in it."""
        signature = signature or self.signature
        made = call(self.graph.prompt, self.graph.workflow, signature, bound, self.catalogue)
        graph = replace(self.graph, prompt=made.prompt, workflow=made.workflow)
        return Call(graph, signature, made.values, titles_of(made.prompt), dict(bound))

    def settable(self) -> list[Parameter]:
        """What `--set` can set by name."""
        return parameters(self.graph.prompt, self.catalogue, self.graph.workflow)

    def _files(self, texts: Mapping[str, str], signature: Signature) -> tuple[dict[str, str], list[Problem]]:
        """The files among the values, by the names that their nodes get; and what is wrong with others."""
        placed, problems = dict[str, str](), list[Problem]()
        for one in signature.parameters:
            kind = media_kind(one.spec)
            files = one.spec.choices if one.spec is not None else None
            if kind is None or one.name not in texts or not isinstance(files, Files):
                continue
            self.media = (*self.media, texts[one.name])
            try:
                placed[one.name] = self._place(one.name, kind, texts[one.name], self._choices(files))
            except UnusableFileError as error:
                problems.append(error.problem)
                placed[one.name] = str(one.default)
        return placed, problems

    def _choices_of(self, signature: Signature) -> ChoicesOf:
        """Files that may be named: those that are there, and those that the graph names now: the check of it tells of these."""
        now = tuple(one.default for one in signature.parameters if isinstance(one.default, str))
        return lambda files: [*self._choices(files), *now]

    def _told(self, one: Problem, texts: Mapping[str, str]) -> Problem:
        if one.type != "unknown_parameter" or not isinstance(one.received, str):
            return one
        names = [one.name for one in self.settable()]
        return unknown_option(one.received, self.signature, self._own_options, names)

    def _refused(self, problems: Sequence[Problem], *, only_files: bool) -> CliError:
        number = len(told(problems))
        count = "1 problem" if number == 1 else f"{number} problems"
        text = f"{self.graph.name} was not called: {count}.\n{GraphError(problems)}"
        return CliError(
            exits.UNREADABLE if only_files else exits.USAGE, text, status="invalid", problems=list(problems)
        )


def with_options(problems: Sequence[Problem], signature: Signature) -> list[Problem]:
    """Problems of the graph; those of a file that is not here say which option gives one."""
    files = {(one.node, one.input): one.name for one in signature.parameters if media_kind(one.spec) is not None}

    def hinted(one: Problem) -> Problem:
        name = files.get((one.node_id or "", one.input_name or "")) if one.type == "value_not_in_list" else None
        return (
            msgspec.structs.replace(one, hint=f"Give one by {option_of(name)} FILE. {one.hint}".strip())
            if name
            else one
        )

    return [hinted(one) for one in problems]


def signature_with_set(graph: Graph, catalogue: Catalogue) -> Signature:
    """The signature of the graph. What `--set` has set needs no other value, and keeps the one that stands there now."""
    found = signature_of(graph.prompt, catalogue, graph.workflow)
    done = {(one.node, one.input) for one in graph.set}

    def fixed(one: Parameter) -> Parameter:
        now = graph.prompt[one.node]["inputs"].get(one.input)
        return msgspec.structs.replace(one, required=False, default=now)

    kept = (fixed(one) if (one.node, one.input) in done else one for one in found.parameters)
    return msgspec.structs.replace(found, parameters=tuple(kept))
