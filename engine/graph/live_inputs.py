"""The inputs that one node of a prompt has, where its values and links say which: for the check before a run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from engine.graph.dynamic import CHOOSING, GROWS, brought, growable, options_of, template_of
from engine.graph.problems import shown
from engine.graph.prompt import Link
from engine.graph.schema import InputSpec

GROUPS: Final = GROWS | {CHOOSING}


class LiveInputs:
    """What groups of inputs come to, given the `inputs` of a node.

    `declared`: the inputs that the choices made and the growing groups bring. `unexpected`: why an input that stands there
    is none of the node's.
    """

    def __init__(self, groups: Iterable[InputSpec], inputs: Mapping[str, Any]) -> None:
        self.declared: dict[str, InputSpec] = {}
        self._growing: dict[str, list[InputSpec]] = {}
        self._choices: dict[str, Any] = {}
        self._unknown: list[str] = []
        waiting = list(groups)
        while waiting:
            found = list(self._inside(waiting.pop(), inputs))
            self.declared.update((one.name, one) for one in found)
            waiting += [one for one in found if one.type in GROUPS]
        reasons = {name: self._why_not(name, value) for name, value in inputs.items() if "." in name}
        self.unexpected = {name: reason for name, reason in reasons.items() if reason}

    def _inside(self, group: InputSpec, inputs: Mapping[str, Any]) -> Iterator[InputSpec]:
        if group.type in GROWS:
            self._growing[group.name] = growable(group)
            yield from self._growing[group.name]
        elif group.name in inputs:
            value = inputs[group.name]
            if type(value) is Link or value not in options_of(group):
                self._unknown.append(f"{group.name}.")
            else:
                self._choices[group.name] = value
                yield from brought(group, value)

    def may_have(self, name: str) -> bool:
        """Whether an input of this name may be the node's: it is declared, or in no group whose inputs are all known."""
        return self._closed(name) is None

    def _closed(self, name: str) -> str | None:
        """The group that `name` is in, where it is known that it has no such input."""
        if name in self.declared or name.startswith(tuple(self._unknown)):
            return None
        parts = name.split(".")
        for at in range(1, len(parts)):
            around, within = ".".join(parts[:at]), ".".join(parts[: at + 1])
            if (around in self._growing or around in self._choices) and within not in self.declared:
                return around
        return None

    def _why_not(self, name: str, value: Any) -> str | None:
        around = self._closed(name)
        if around in self._growing:
            names = [one.name for one in self._growing[around]]
            return f"{shown(around)} takes at most {len(names)} inputs: {_listed(names)}"
        if (
            around is None or type(value) is not Link
        ):  # a value that no choice asks for is left out, as others undeclared
            return None
        return f"there is no such input where {shown(around)} is {shown(str(self._choices[around]))}"


def _listed(names: list[str]) -> str:
    if len(names) > 3:
        return f"{shown(names[0])} to {shown(names[-1])}"
    return ", ".join(map(shown, names))


def matched(specs: Mapping[str, InputSpec]) -> dict[str, list[str]]:
    """Template → the names of the inputs that share its type, for templates of more than one."""
    found: dict[str, list[str]] = {}
    for name, spec in specs.items():
        template = template_of(spec)
        if template:
            found.setdefault(template, []).append(name)
    return {template: names for template, names in found.items() if len(names) > 1}
