"""What a run was asked with, as JSON: for hidden inputs, and for pictures that carry it. Read when a node first asks for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from engine.graph.prompt import Prompt

JsonSource: TypeAlias = Mapping[str, Any] | Callable[[], Mapping[str, Any]]
"""A JSON object, or what reads it when a node first asks for it."""


class Documents:
    """The graph that runs, the saved workflow that it came from, and what else the client wants embedded in pictures."""

    __slots__ = ("_copied", "_embedded", "_graph", "_prompt", "_prompt_is_own", "_workflow")

    def __init__(
        self,
        copied: Callable[[Any], Any],
        graph: Prompt,
        prompt: JsonSource | None = None,
        workflow: JsonSource | None = None,
        embedded: JsonSource | None = None,
    ) -> None:
        """`copied` makes copies of JSON. `embedded` is all that goes into pictures by name, the workflow among it."""
        self._copied = copied
        self._graph = graph
        self._prompt = prompt
        self._prompt_is_own = False
        self._workflow = workflow
        self._embedded = embedded

    @property
    def prompt(self) -> Mapping[str, Any]:
        """The graph as JSON; what nodes change of it changes no input."""
        if not self._prompt_is_own:
            self._prompt_is_own = True
            self._prompt = self._own_prompt(self._prompt)
        assert not callable(self._prompt)
        assert self._prompt is not None
        return self._prompt

    def _own_prompt(self, given: JsonSource | None) -> Mapping[str, Any]:
        from engine.graph.prompt import prompt_to_json

        if callable(given):  # read for this run alone
            return given()
        found: Mapping[str, Any] = self._copied(given if given is not None else prompt_to_json(self._graph))
        return found

    @property
    def workflow(self) -> Mapping[str, Any] | None:
        """The saved workflow, if there is one: what nodes change of it in `extra_pnginfo` shows here."""
        embedded = self._read_embedded()
        if embedded is not None and isinstance(embedded.get("workflow"), dict):
            found: Mapping[str, Any] = embedded["workflow"]
            return found
        if callable(self._workflow):
            self._workflow = self._workflow()
        return self._workflow

    @property
    def extra_pnginfo(self) -> Mapping[str, Any] | None:
        """All that the client wants embedded in pictures, by name; the workflow is among it."""
        embedded = self._read_embedded()
        if embedded is not None:
            return embedded
        return {"workflow": self.workflow} if self.workflow is not None else None

    def _read_embedded(self) -> Mapping[str, Any] | None:
        if callable(self._embedded):
            self._embedded = self._embedded()
        return self._embedded
