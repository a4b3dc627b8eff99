"""Names of variables for the outputs of a graph's nodes, such as a person would give."""

from __future__ import annotations

import builtins
import keyword
import re
from collections import Counter
from collections.abc import Container, Mapping, Sequence
from typing import Final

from engine.graph.prompt import Prompt
from engine.graph.schema import Catalogue, NodeSpec

_TAKEN: Final = frozenset({"g", "Graph", "Workflow"})
_LONGEST: Final = 40
_VAGUE: Final = frozenset({"a", "b", "x", "on_true", "on_false", "value", "any", "input", "source"})
"""Names of inputs that say nothing of what is given to them."""


def uses(prompt: Prompt) -> dict[str, dict[int, list[str]]]:
    """Node → number of an output that is read → names of the inputs that read it."""
    used: dict[str, dict[int, list[str]]] = {}
    for node in prompt.values():
        for name, link in node.links():
            used.setdefault(link.node, {}).setdefault(link.slot, []).append(name)
    return used


def names_of(
    prompt: Prompt,
    order: Sequence[str],
    catalogue: Catalogue,
    titles: Mapping[str, str],
    unpacked: Container[str],
) -> dict[str, dict[int, str]]:
    """For each node whose outputs are read, the names of these by number, all different.

    One output is called by the title of its node (`titles`: those that people gave), else by the input that it feeds, else by
    its own name; several by their own names where they are `unpacked`, else all by one name, that of the node.
    """
    used = uses(prompt)
    taken: Counter[str] = Counter()
    result: dict[str, dict[int, str]] = {}
    for node_id in order:
        slots = used.get(node_id, {})
        class_type = prompt[node_id].class_type
        spec = catalogue.spec(class_type)
        title = _word(titles.get(node_id, ""))
        if node_id in unpacked:
            found = {slot: _word(_by_use(spec, slot, slots[slot], several=True)) for slot in sorted(slots)}
            result[node_id] = {slot: _free(wanted or "value", taken) for slot, wanted in found.items()}
        elif slots:
            single = spec is not None and len(spec.outputs) == 1 and not spec.more_outputs
            wanted = title or _word(_by_use(spec, 0, slots.get(0, []), several=False) if single else class_type)
            name = _free(wanted or "node", taken)
            result[node_id] = dict.fromkeys(slots, name)
    return result


def _by_use(spec: NodeSpec | None, slot: int, inputs: Sequence[str], *, several: bool) -> str:
    own = spec.outputs[slot].name if spec is not None and 0 <= slot < len(spec.outputs) else ""
    feeds = set(inputs)
    if len(feeds) == 1 and not (several and own) and (name := next(iter(feeds)).partition(".")[0]) not in _VAGUE:
        return name
    return own or (f"{spec.name}_{slot}" if spec is not None else f"output_{slot}")


def _word(text: str) -> str:
    """`text` as a name: small letters, digits and `_`; empty where nothing of it can be one."""
    plain = re.sub(r"[^0-9a-z]+", "_", text.lower()).strip("_")[:_LONGEST].rstrip("_")
    if not plain or plain[0].isdigit():
        return ""
    return f"{plain}_" if keyword.iskeyword(plain) or hasattr(builtins, plain) or plain in _TAKEN else plain


def _free(wanted: str, taken: Counter[str]) -> str:
    name, number = wanted, taken[wanted]
    while name in taken:
        number += 1
        name = f"{wanted}_{number + 1}" if not wanted.endswith("_") else f"{wanted}{number + 1}"
    taken[wanted] = max(number, taken[wanted])
    taken[name] += 0
    return name
