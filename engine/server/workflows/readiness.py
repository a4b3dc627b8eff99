"""Whether a workflow could run here now, and what it lacks if not: found without running or keeping anything."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from weakref import WeakKeyDictionary

import msgspec

from engine.graph.a1111 import ModelFiles
from engine.graph.arguments import needed
from engine.graph.problems import GraphError, Problem, node_errors
from engine.graph.schema import Files
from engine.graph.validate import check
from engine.server.workflows.library import SavedWorkflow
from engine.server.workflows.refused import missing_of, sentence


class Readiness(msgspec.Struct, frozen=True, kw_only=True):
    """What stands in the way of a run. `problems`: sentences, also those that do not keep it from running."""

    runnable: bool
    problems: tuple[str, ...] = ()
    missing_nodes: tuple[str, ...] = ()
    missing_models: tuple[str, ...] = ()


class Readinesses:
    """Looks at workflows, each anew only when files that it may name have changed."""

    def __init__(self, files: ModelFiles) -> None:
        self._files = files
        self._known: WeakKeyDictionary[SavedWorkflow, tuple[dict[tuple[str, str], Sequence[str]], Readiness]] = (
            WeakKeyDictionary()
        )

    def of(self, workflow: SavedWorkflow) -> Readiness:
        """How a workflow stands; a file that a call must give is no problem of it."""
        known = self._known.get(workflow)
        if known is not None and all(self._files.names(*folder) is names for folder, names in known[0].items()):
            return known[1]
        used: dict[tuple[str, str], Sequence[str]] = {}

        def choices(files: Files) -> Sequence[str]:
            names = used[files.folder, files.kind] = self._files.names(files.folder, files.kind)
            return names

        found = self._look(workflow, choices)
        self._known[workflow] = (used, found)
        return found

    def _look(self, workflow: SavedWorkflow, choices: Any) -> Readiness:
        given = {(one.node, one.input) for one in workflow.signature.parameters if needed(one, choices)}
        try:
            found: Sequence[Problem] = check(workflow.prompt, workflow.catalogue, choices=choices).problems
        except GraphError as error:
            found = error.problems
        own = [one for one in found if (one.node_id, one.input_name) not in given]
        told = [*workflow.signature.problems, *workflow.problems, *own]
        nodes, models = missing_of(workflow, node_errors(own))
        return Readiness(
            runnable=not any(one.stops for one in told),
            problems=tuple(dict.fromkeys(sentence(one) for one in told)),
            missing_nodes=tuple(nodes),
            missing_models=tuple(models),
        )
