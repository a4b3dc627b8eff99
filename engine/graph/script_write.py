"""A graph as a Python script that builds it (`engine.build`). `script_read` reads it back, exactly.

The nodes are those that run: subgraphs are expanded, their nodes with ids such as `12:3`, and what is muted or bypassed is gone.
What Python cannot say of a saved workflow (places, groups, notes, subgraphs) stands after the calls, as the workflow itself.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from engine.graph import topology
from engine.graph.entries import Entries, is_word, undeclared
from engine.graph.prompt import Link, Node, Prompt, is_link, node_from_json
from engine.graph.schema import Catalogue
from engine.graph.script_names import names_of, uses

METHODS: Final = frozenset({"drawn", "entry", "link", "node", "order", "problems", "prompt", "workflow"})
"""What a graph has beside its nodes."""

_WIDTH: Final = 110
_MOST_NAMED: Final = 6


def script(
    prompt: Mapping[str, Any], catalogue: Catalogue, workflow: Mapping[str, Any] | None = None, name: str = ""
) -> str:
    """The text of a Python module that builds `prompt` (JSON of any graph, sound or not).

    `workflow` is the saved form that it came from, which the script then carries. `name` is what the first line calls it.
    """
    return "\n".join(_Script(prompt, catalogue).lines(workflow, name)) + "\n"


class _Script:
    def __init__(self, prompt: Mapping[str, Any], catalogue: Catalogue) -> None:
        self._prompt = prompt
        self._catalogue = catalogue
        self._titles = any(isinstance(one, Mapping) and "_meta" in one for one in prompt.values())
        self._entries = Entries(catalogue, titles=self._titles)
        self._nodes: Prompt = {key: _node(entry) for key, entry in prompt.items() if _is_plain(entry)}
        self._order = [one for group in topology.groups(topology.sources(self._nodes)) for one in group]
        self._order = _as_read(self._nodes, self._order)
        titles = {key: title for key in self._nodes if (title := self._own_title(key))}
        used = uses(self._nodes)
        self._unpacked = {key for key in self._nodes if self._can_unpack(key, used.get(key, {}))}
        self._names = names_of(self._nodes, self._order, catalogue, titles, self._unpacked)
        self._written: set[str] = set()

    def lines(self, workflow: Mapping[str, Any] | None, name: str) -> Iterator[str]:
        yield _heading(name)
        yield ""
        yield "from engine.build import Graph"
        yield ""
        yield f"g = Graph({'titles=True' if self._titles else ''})"
        yield ""
        raw = [node_id for node_id in self._prompt if node_id not in self._nodes]
        for node_id in self._order:
            yield from self._call(node_id)
        for node_id in raw:
            yield f"g.entry({_quoted(node_id)}, {_literal(self._prompt[node_id])})"
        listed = list(self._prompt)
        if listed != [*self._order, *raw]:
            yield ""
            yield from _wrapped("g.order(", [_quoted(one) for one in listed], ")", together=True)
        if workflow is not None:
            yield ""
            yield "# The workflow as it was drawn: read this script back with `safelight export`, and it is there again."
            yield f'g.drawn(r"""\n{_json_lines(workflow)}\n""")'
        yield ""
        yield 'if __name__ == "__main__":'
        yield "    from engine import Workflow"
        yield ""
        yield "    with Workflow(g) as workflow:"
        yield "        for file in workflow.run().files:"
        yield "            print(file)"

    def _call(self, node_id: str) -> Iterator[str]:
        node = self._nodes[node_id]
        spec = self._catalogue.spec(node.class_type)
        arguments = []
        loose = spec is not None and any(type(node.inputs[one]) is not Link for one in undeclared(spec, node.inputs))
        if loose or not all(is_word(one) for one in node.inputs):
            body = [f"{_quoted(one)}: {self._value(value)}" for one, value in node.inputs.items()]
            arguments = [_quoted(node.class_type), _joined("{", body, "}")]
            head = "g.node("
        else:
            arguments = [f"{one}={self._value(value)}" for one, value in node.inputs.items()]
            plain = is_word(node.class_type) and node.class_type not in METHODS
            head = f"g.{node.class_type}(" if plain else "g.node("
            arguments = arguments if plain else [_quoted(node.class_type), *arguments]
        if node_id != self._entries.next_id():
            arguments.append(f"_id={_quoted(node_id)}")
        title = node.meta.get("title", "")
        if title != (self._entries.title_of(node.class_type) if self._titles else ""):
            arguments.append(f"_title={_quoted(title)}")
        self._entries.add(node_id, node.class_type, {})
        yield from _wrapped(self._target(node_id) + head, arguments, ")")
        self._written.add(node_id)

    def _target(self, node_id: str) -> str:
        """What the call is assigned to: one name, one for each output, or nothing."""
        names = self._names.get(node_id)
        if not names:
            return ""
        spec = self._catalogue.spec(self._nodes[node_id].class_type)
        count = len(spec.outputs) if spec is not None else 0
        if node_id in self._unpacked:
            return ", ".join(names.get(slot, "_") for slot in range(count)) + " = "
        return f"{next(iter(names.values()))} = "

    def _can_unpack(self, node_id: str, slots: Iterable[int]) -> bool:
        """Whether every output that is read gets a name of its own."""
        spec = self._catalogue.spec(self._nodes[node_id].class_type)
        if spec is None or spec.more_outputs or not 1 < len(spec.outputs) <= _MOST_NAMED or not slots:
            return False
        return all(0 <= slot < len(spec.outputs) for slot in slots)

    def _value(self, value: Any) -> str:
        if type(value) is not Link:
            return _literal(value)
        names = self._names.get(value.node, {})
        if value.node not in self._written or value.slot < 0:
            return f"g.link({_literal(value.node)}, {value.slot})"
        if value.node in self._unpacked:
            return names[value.slot]
        spec = self._catalogue.spec(self._nodes[value.node].class_type)
        if spec is not None and len(spec.outputs) == 1 and not spec.more_outputs:
            return names[0] if value.slot == 0 else f"g.link({_literal(value.node)}, {value.slot})"
        return f"{names[value.slot]}[{value.slot}]"

    def _own_title(self, node_id: str) -> str:
        node = self._nodes[node_id]
        title = node.meta.get("title", "")
        spec = self._catalogue.spec(node.class_type)
        return "" if title in ("", node.class_type, spec.display_name if spec is not None else "") else title


def _as_read(nodes: Prompt, fallback: list[str]) -> list[str]:
    """Every node after those that it reads, close to the order of the prompt; within circles as `fallback` has it."""
    rank = {node_id: at for at, node_id in enumerate(fallback)}
    result: dict[str, None] = {}
    for root in nodes:
        waiting = [root]
        while waiting:
            node_id = waiting[-1]
            ahead = [
                link.node
                for _, link in nodes[node_id].links()
                if link.node in nodes and link.node not in result and rank[link.node] < rank[node_id]
            ]
            if ahead and node_id not in result:
                waiting.extend(reversed(ahead))
            else:
                result.setdefault(waiting.pop())
    return list(result)


def _is_plain(entry: Any) -> bool:
    """Whether a call says all of an entry of the prompt."""
    if not isinstance(entry, Mapping) or not entry.keys() <= {"class_type", "inputs", "_meta"}:
        return False
    if (
        not isinstance(entry.get("class_type"), str)
        or not entry["class_type"]
        or not isinstance(entry.get("inputs"), Mapping)
    ):
        return False
    if not all(isinstance(one, str) for one in entry["inputs"]):
        return False
    meta = entry.get("_meta", {"title": "-"})
    return (
        isinstance(meta, Mapping)
        and meta.keys() == {"title"}
        and isinstance(meta["title"], str)
        and meta["title"] != ""
    )


def _node(entry: Mapping[str, Any]) -> Node:
    """The entry, with links where they are links and every constant as it stands."""
    read = node_from_json(entry)
    for name, value in entry["inputs"].items():
        if not is_link(value):
            read.inputs[name] = value
        elif type(value[0]) is not str:
            read.inputs[name] = Link(value[0], value[1])
    return read


def _heading(name: str) -> str:
    called = " ".join(name.split()).replace("\\", "/").replace('"', "'")
    return f'"""{called + ": a" if called else "A"} graph as Python. `safelight export` makes it a workflow or a prompt again."""'


def _literal(value: Any) -> str:
    if type(value) is float and not math.isfinite(value):
        return f'float("{value}")'
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_literal, value))}]"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_quoted(name)}: {_literal(one)}" for name, one in value.items()) + "}"
    return _quoted(value) if type(value) is str else repr(value)


def _quoted(text: str) -> str:
    """As `repr`, between double quotes where that needs no escape."""
    said = repr(text)
    return f'"{said[1:-1]}"' if said[0] == "'" and '"' not in text else said


def _joined(begin: str, parts: list[str], end: str) -> str:
    whole = begin + ", ".join(parts) + end
    if len(whole) <= _WIDTH - 20:
        return whole
    return begin + "".join(f"\n        {part}," for part in parts) + f"\n    {end}"


def _wrapped(begin: str, parts: list[str], end: str, *, together: bool = False) -> Iterator[str]:
    whole = begin + ", ".join(parts) + end
    if len(whole) <= _WIDTH and "\n" not in whole:
        yield whole
        return
    yield begin
    if together:
        line = "   "
        for part in parts:
            if len(line) + len(part) > _WIDTH:
                yield line
                line = "   "
            line += f" {part},"
        yield line
    else:
        for part in parts:
            yield f"    {part},"
    yield end


def _json_lines(workflow: Mapping[str, Any]) -> str:
    """The workflow as JSON, a line for each node, link and group, so that versions can be compared."""
    rows = []
    for key, value in workflow.items():
        if isinstance(value, list) and value:
            inner = ",\n".join(f"  {_json(one)}" for one in value)
            rows.append(f"{_json(key)}: [\n{inner}\n]")
        else:
            rows.append(f"{_json(key)}: {_json(value)}")
    return "{\n" + ",\n".join(rows) + "\n}"


def _json(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    try:
        text.encode()
    except UnicodeEncodeError:  # half a letter
        text = json.dumps(value)
    return text
