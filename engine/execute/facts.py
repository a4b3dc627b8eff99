"""SpecFacts: what the executor asks of a NodeSpec again and again, worked out once."""

from __future__ import annotations

from collections.abc import Mapping

from xxhash import xxh3_128_digest

from engine.graph.dynamic import lazy_names
from engine.graph.schema import FOLDERS, Files, Mentions, NodeSpec

_NAMES = frozenset({"sampler_name", "scheduler"})
_TYPES = frozenset({"SAMPLER", "GUIDER"})


class SpecFacts:
    """Facts of one node type. `plain` types need nothing but constants and links in their keys: the quick way."""

    __slots__ = (
        "files",
        "folders",
        "gives_lists",
        "inputs",
        "lazy",
        "lists",
        "mentions",
        "name_bytes",
        "open_inputs",
        "outputs",
        "plain",
        "prefix",
        "raw",
        "samples",
        "settings",
        "spec",
    )

    def __init__(self, spec: NodeSpec) -> None:
        self.spec = spec
        self.inputs = frozenset(item.name for item in spec.inputs)
        self.lazy = lazy_names(spec.inputs)
        self.raw = frozenset(item.name for item in spec.inputs if item.raw_link)
        listed = {i.name: i.choices for i in spec.inputs if isinstance(i.choices, Files)}
        self.files: Mapping[str, str] = {name: one.folder for name, one in listed.items() if one.kind != FOLDERS}
        self.folders: Mapping[str, str] = {name: one.folder for name, one in listed.items() if one.kind == FOLDERS}
        self.mentions: Mapping[str, Mentions] = {i.name: i.mentions for i in spec.inputs if i.mentions is not None}
        self.settings: Mapping[str, str] = {i.name: i.setting for i in spec.inputs if i.setting}
        self.outputs = spec.slots
        self.lists = tuple(output.is_list for output in spec.outputs) + (False,) * (self.outputs - len(spec.outputs))
        self.gives_lists = any(self.lists)
        self.open_inputs = spec.open_inputs
        looks = self.files or self.folders or self.mentions or self.settings or self.lazy
        self.plain = not (looks or spec.has_fingerprint or spec.reads_id or not spec.cache)
        self.samples = any(one.name in _NAMES or one.type in _TYPES for one in spec.inputs)
        """Whether it may run samplers or schedules by name, which packs can bring."""
        text = "\0".join((spec.name, spec.version, repr(spec.input_is_list), repr(self.lists)))
        self.prefix = xxh3_128_digest(text.encode())
        self.name_bytes = {item.name: name_bytes(item.name) for item in spec.inputs}


def name_bytes(name: str) -> bytes:
    """Self-delimiting bytes of an input name."""
    data = name.encode()
    return b"%d=" % len(data) + data
