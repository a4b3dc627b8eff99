"""Two prompts of one workflow: are they the same graph with the same values?

Node ids need not agree: a node is told by what it is and what it feeds, from the ends of the graph inwards; nodes that lead
to no output are not looked at. Values that one side leaves out count as the class's default, and what the class does not
declare counts for nothing, as a run drops it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

Prompt = Mapping[str, Any]

CHOOSING: Final = "COMFY_DYNAMICCOMBO_V3"
_EXACT: Final = 2**53
"""Numbers beyond are rounded by a front end, whose numbers are floats; ours are whole."""
_MADE_UP: Final = {"IMAGECOMPARE": ["", ""]}
"""Values that a front end makes by itself, by type of input: what it shows, not what a person chose."""
_PLAIN: Final = {"INT": 0, "FLOAT": 0, "STRING": "", "BOOLEAN": False}
_NONE: Final = object()


@dataclass(frozen=True)
class Difference:
    """One place where the two differ."""

    kind: str
    node: str
    input: str = ""
    theirs: Any = None
    ours: Any = None

    def __str__(self) -> str:
        where = f"{self.node}.{self.input}" if self.input else self.node
        return f"{self.kind} at {where}: front end {_short(self.theirs)}, ours {_short(self.ours)}"


@dataclass
class Comparison:
    """What differs in one workflow."""

    name: str
    differences: list[Difference] = field(default_factory=list)

    @property
    def equal(self) -> bool:
        """Whether nothing that matters differs."""
        return not self.differences


def compare(name: str, theirs: Prompt, ours: Prompt, declared: Prompt) -> Comparison:
    """Compare what a front end posts with our prompt; `declared` is the `object_info` that it had."""
    if set(theirs) == {"error"}:
        return Comparison(name, [Difference("the front end fails", "-", theirs=theirs["error"])])
    match = _Match(_that_runs(theirs, declared), _that_runs(ours, declared), declared)
    return Comparison(name, match.differences())


class _Match:
    """Pairs of nodes, from the ends of the graph inwards."""

    def __init__(self, theirs: Prompt, ours: Prompt, declared: Prompt) -> None:
        self.theirs, self.ours, self.declared = theirs, ours, declared
        self.pairs: dict[str, str] = {}
        self.taken: set[str] = set()

    def differences(self) -> list[Difference]:
        found: list[Difference] = []
        for node_id in _ends(self.theirs):
            if node_id in self.pairs:
                continue
            best = self._best(node_id)
            if best is None:
                found.append(Difference("node missing", self._named(node_id)))
                continue
            differences, pairs = best
            self._accept(pairs)
            found += differences
        found += [
            Difference("node missing", self._named(one))
            for one in self.theirs
            if one not in self.pairs and not _under(found, one)
        ]
        extra = [one for one in self.ours if one not in self.taken]
        found += [Difference("node too many", f"{one} {self.ours[one]['class_type']}") for one in extra]
        return _unique(found)

    def _best(self, node_id: str) -> tuple[list[Difference], dict[str, str]] | None:
        """The counterpart of an end with the fewest differences; the one of the same id if it is as good as any."""
        kind = self.theirs[node_id]["class_type"]
        same = [one for one, node in self.ours.items() if node["class_type"] == kind and one not in self.taken]
        same.sort(key=lambda one: one != node_id)
        tried = []
        for other in same:
            pairs: dict[str, str] = {}
            differences = list(self._walk(node_id, other, pairs))
            tried.append((differences, pairs))
            if not differences:
                break
        return min(tried, key=lambda one: len(one[0]), default=None)

    def _accept(self, pairs: Mapping[str, str]) -> None:
        self.pairs.update(pairs)
        self.taken.update(pairs.values())

    def _walk(self, one: str, other: str, pairs: dict[str, str]) -> Iterator[Difference]:
        known = pairs.get(one, self.pairs.get(one))
        if known is not None:
            if known != other:
                yield Difference("link from another node", self._named(one), theirs=one, ours=other)
            return
        pairs[one] = other
        mine, yours = self.theirs[one], self.ours[other]
        if mine["class_type"] != yours["class_type"]:
            yield Difference("other node", self._named(one), theirs=mine["class_type"], ours=yours["class_type"])
            return
        for name in {**mine["inputs"], **yours["inputs"]}:
            yield from self._input(one, name, mine["inputs"], yours["inputs"], pairs)

    def _input(
        self, node_id: str, name: str, mine: Prompt, yours: Prompt, pairs: dict[str, str]
    ) -> Iterator[Difference]:
        theirs, ours = mine.get(name, _NONE), yours.get(name, _NONE)
        linked, ours_linked = _is_link(theirs, self.theirs), _is_link(ours, self.ours)
        if linked and ours_linked:
            if theirs[1] != ours[1]:
                yield Difference("another output", self._named(node_id), name, theirs, ours)
            yield from self._walk(theirs[0], ours[0], pairs)
        elif linked or ours_linked:
            yield Difference("link against value", self._named(node_id), name, _shown(theirs), _shown(ours))
        else:
            yield from self._value(node_id, name, mine, theirs, ours)

    def _value(self, node_id: str, name: str, mine: Prompt, theirs: Any, ours: Any) -> Iterator[Difference]:
        declared = self.declared.get(self.theirs[node_id]["class_type"])
        spec = _spec(declared, name, mine) if declared else None
        if declared is not None and spec is None:
            return  # a run drops it
        default = _default(spec) if spec is not None else _NONE
        for value, missing in ((theirs, "value too many"), (ours, "value missing")):
            if value is _NONE:
                rest = ours if value is theirs else theirs
                if default is _NONE or not _same(rest, default):
                    yield Difference(missing, self._named(node_id), name, _shown(theirs), _shown(ours))
                return
        if not _same(theirs, ours):
            yield Difference("another value", self._named(node_id), name, theirs, ours)

    def _named(self, node_id: str) -> str:
        return f"{node_id} {self.theirs[node_id]['class_type']}"


def _unique(found: list[Difference]) -> list[Difference]:
    return list({str(one): one for one in found}.values())


def _under(found: list[Difference], node_id: str) -> bool:
    return any(one.node.startswith(f"{node_id} ") for one in found)


def _ends(prompt: Prompt) -> list[str]:
    """Nodes that feed none, in the order of the prompt."""
    read = {value[0] for node in prompt.values() for value in node["inputs"].values() if _is_link(value, prompt)}
    return [one for one in prompt if one not in read]


def _that_runs(prompt: Prompt, declared: Prompt) -> dict[str, Any]:
    """The nodes that lead to one that shows or saves something: no run reaches the others."""
    waiting = [one for one, node in prompt.items() if declared.get(node["class_type"], {}).get("output_node", True)]
    found = set(waiting)
    while waiting:
        for value in prompt[waiting.pop()]["inputs"].values():
            if _is_link(value, prompt) and value[0] not in found:
                found.add(value[0])
                waiting.append(value[0])
    return {one: node for one, node in prompt.items() if one in found}


def _is_link(value: Any, prompt: Prompt) -> bool:
    return isinstance(value, list) and len(value) == 2 and isinstance(value[0], str) and value[0] in prompt


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, bool) != isinstance(other, bool):
        return False
    if isinstance(one, int | float) and isinstance(other, int | float):
        return one == other or (abs(one) >= _EXACT and float(one) == float(other))
    if isinstance(one, dict) and set(one) == {"__value__"}:
        return _same(one["__value__"], other)  # how a front end tells a list from a link
    if isinstance(other, dict) and set(other) == {"__value__"}:
        return _same(one, other["__value__"])
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    return type(one) is type(other) and bool(one == other)


def _spec(declared: Prompt, name: str, given: Prompt) -> list[Any] | None:
    """The declaration of an input, also of one that a group brings."""
    found = _section(declared.get("input"), name)
    if found is not None:
        return found
    group, dot, rest = name.partition(".")
    head = _section(declared.get("input"), group) if dot else None
    if head is None:
        return None
    options = head[1] if len(head) > 1 else {}
    if head[0] == CHOOSING:
        chosen = next((one for one in options.get("options", ()) if one.get("key") == given.get(group)), None)
        return _spec({"input": chosen["inputs"]}, rest, _inside(given, group)) if chosen else None
    return ["*", {}]


def _inside(given: Prompt, group: str) -> Prompt:
    return {name.removeprefix(f"{group}."): value for name, value in given.items()}


def _section(sections: Any, name: str) -> list[Any] | None:
    for section in ("required", "optional"):
        entries = (sections or {}).get(section) or {}
        if name in entries:
            return list(entries[name])
    return None


def _default(spec: list[Any]) -> Any:
    """What a front end fills in."""
    options = spec[1] if len(spec) > 1 and isinstance(spec[1], Mapping) else {}
    if "default" in options:
        return options["default"]
    choices = spec[0] if isinstance(spec[0], list) else options.get("options")
    if isinstance(choices, list) and choices:
        return choices[0]["key"] if isinstance(choices[0], Mapping) else choices[0]
    return (_PLAIN | _MADE_UP).get(spec[0] if isinstance(spec[0], str) else "", _NONE)


def _shown(value: Any) -> Any:
    return "nothing" if value is _NONE else value


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}…"
