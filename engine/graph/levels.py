"""One level of a saved workflow as it lies in the file: the top, or the inside of a subgraph, whatever shows it.

Two nodes with one id are two nodes: the first keeps the id, the later ones get new ones, as in the field's front end.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.graph.problems import Problem, problem
from engine.graph.saved import (
    INPUT_SIDE,
    OUTPUT_SIDE,
    SET,
    End,
    Json,
    SavedLink,
    first_value,
    link_id,
    listed_links,
    node_id,
    objects,
    read_link,
)


class Level:
    """The nodes and links of one level, and for a subgraph the names of its inputs and outputs."""

    def __init__(self, content: Json, problems: list[Problem], prefix: str = "") -> None:
        self.nodes: dict[str, Json] = {}
        self.links: dict[int | str, End] = {}
        """Link id → origin."""
        self.results: dict[int, End] = {}
        """Output slot of the instance → what feeds it."""
        self.senders: dict[str, str] = {}
        """Name → the SetNode of that name."""
        self.input_names = [str(one.get("name", "")) for one in objects(content.get("inputs"))]
        self.is_group = bool(content.get("group"))
        self.loose: dict[tuple[str, int], End] = {}
        """(node, input slot) → origin, of links that the input itself does not list."""
        self._inward: list[SavedLink] = []
        """Links that come from the inputs of the subgraph."""
        self._content = content
        self._leads: list[list[tuple[str, Json]]] | None = None
        doubles = self._read_nodes(content, problems, prefix)
        self._read_links(content, problems, doubles)

    def _read_nodes(self, content: Json, problems: list[Problem], prefix: str) -> dict[str, list[str]]:
        """Fill `nodes`; returns the ids that several nodes have, each with the ids that these got."""
        listed = content.get("nodes")
        doubles: list[tuple[str, Json]] = []
        for entry in listed if isinstance(listed, list) else []:
            key = node_id(entry.get("id")) if isinstance(entry, Mapping) else None
            if key is None or not isinstance(entry.get("type"), str):
                problems.append(problem("invalid_workflow", details="a node without id or type", received=entry))
            elif key in self.nodes:
                doubles.append((key, entry))
            else:
                self.nodes[key] = entry
        renamed = self._renamed(content, doubles, problems, prefix) if doubles else {}
        for key, entry in self.nodes.items():
            if entry["type"] == SET and (name := first_value(entry)) is not None:
                self.senders.setdefault(str(name), key)
        return renamed

    def _renamed(
        self, content: Json, doubles: list[tuple[str, Json]], problems: list[Problem], prefix: str
    ) -> dict[str, list[str]]:
        state = content.get("state")
        kept = content.get("last_node_id", state.get("lastNodeId") if isinstance(state, Mapping) else None)
        last = max(kept if type(kept) is int else 0, *(int(one) for one in self.nodes if _is_number(one)), 0)
        found: dict[str, list[str]] = {}
        for key, entry in doubles:
            last += 1
            self.nodes[str(last)] = entry
            found.setdefault(key, [key]).append(str(last))
            details = f"{_called(entry)}, {key} in the file, is {last} here; {key} is {_called(self.nodes[key])}"
            told = problem("duplicate_node_id", node_id=f"{prefix}{last}", class_type=entry["type"], details=details)
            problems.append(told)
        return found

    def _read_links(self, content: Json, problems: list[Problem], doubles: Mapping[str, list[str]]) -> None:
        for link in listed_links(content.get("links")):
            if link is None:
                continue  # a link that was taken away, in files of old editors
            read = read_link(link)
            if read is None:
                problems.append(problem("invalid_workflow", details="a link without ends", received=link))
                continue
            key, end, target, slot = read
            if end.node in doubles:
                end = self._one_of(doubles[end.node], end.slot, key)
            self.links[key] = end
            if target == OUTPUT_SIDE:
                self.results.setdefault(slot, end)
            elif (node := self.nodes.get(target)) is not None:
                entry = _entry(node, slot)
                listed = entry.get("link") if entry is not None else None
                if listed != key and link_id(listed) != key:
                    self.loose[target, slot] = end
                if end.node == INPUT_SIDE:
                    self._inward.append((key, end, target, slot))

    def _one_of(self, same: list[str], slot: int, key: int | str) -> End:
        """The output that a link leaves from, of several nodes with one id: of the one that lists the link, else the first."""
        listing = [one for one in same if key in _listed(self.nodes[one], slot)]
        return End(listing[0] if len(listing) == 1 else same[0], slot)

    def origin(self, node: str, slot: int, entry: Json) -> End | None:
        """What is linked to input `slot` (its saved `entry`) of a node, if anything."""
        key = entry.get("link")
        if key is None:
            return self.loose.get((node, slot)) if self.loose else None
        name = link_id(key)
        found = None if name is None else self.links.get(name)
        return self.loose.get((node, slot)) if found is None else found

    def remove(self, node: str, slot: int, entry: dict[str, Any]) -> None:
        """Take the link to an input out of the file."""
        links = self._content.get("links")
        known = [one for one in map(read_link, listed_links(links)) if one is not None]
        keys = {one[0] for one in known if one[0] == link_id(entry.get("link")) or one[2:] == (node, slot)}
        entry["link"] = None
        self.loose.pop((node, slot), None)
        if isinstance(links, list):
            links[:] = [one for one in links if (read := read_link(one)) is None or read[0] not in keys]
        for output in (output for saved in self.nodes.values() for output in objects(saved.get("outputs"))):
            listed = output.get("links")
            if isinstance(listed, list):
                listed[:] = [one for one in listed if link_id(one) not in keys]

    def leads(self, slot: int) -> list[tuple[str, Json]]:
        """The (node, saved input) pairs that input `slot` of the subgraph feeds, in the order in which it lists the links."""
        if self._leads is None:
            self._leads = [[] for _ in self.input_names]
            for key, end, node, at in sorted(self._inward, key=self._place):
                if end.slot >= len(self._leads):
                    continue
                entry: Json | None = _entry(self.nodes[node], at)
                if entry is None or self.origin(node, at, entry) != end:  # it stands elsewhere among the node's inputs
                    inputs = objects(self.nodes[node].get("inputs"))
                    entry = next((one for one in inputs if one.get("link") == key), None)
                if entry is not None:
                    self._leads[end.slot].append((node, entry))
        return self._leads[slot] if slot < len(self._leads) else []

    def _place(self, link: SavedLink) -> int:
        """Where the input that a link leaves lists it."""
        inputs = objects(self._content.get("inputs"))
        ids = inputs[link[1].slot].get("linkIds") if link[1].slot < len(inputs) else None
        return ids.index(link[0]) if isinstance(ids, list) and link[0] in ids else len(self._inward)


def _entry(node: Json, slot: int) -> dict[str, Any] | None:
    """The saved input `slot` of a node."""
    inputs = node.get("inputs")
    entry = inputs[slot] if isinstance(inputs, list) and slot < len(inputs) else None
    return entry if isinstance(entry, dict) else None


def _listed(node: Json, slot: int) -> list[Any]:
    """The ids of the links that a saved node says leave its output `slot`."""
    outputs = objects(node.get("outputs"))
    links = outputs[slot].get("links") if slot < len(outputs) else None
    return [link_id(one) for one in links] if isinstance(links, list) else []


def _called(node: Json) -> str:
    title = node.get("title")
    return f'{node["type"]} "{title}"' if isinstance(title, str) and title else str(node["type"])


def _is_number(key: str) -> bool:
    return key.isdecimal() and len(key) < 19
