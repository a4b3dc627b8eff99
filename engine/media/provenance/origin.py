"""What a graph tells of where a saved picture comes from: models that made it, and files that went into it.

What can be told is which nodes lie above the saving one, and of what types the links between them are; not how much of a
picture is left in the result. A loaded file counts as shown in the result where a way of pictures, latents and videos alone leads
from it; else, as a control picture does, it only steers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from engine.graph.prompt import Link, Node, Prompt
from engine.graph.schema import Files, NodeSpec
from engine.media.provenance.sources import ALGORITHMIC, COMPOSITE, GENERATED, PUT_TOGETHER

SpecOf = Callable[[str], NodeSpec | None]

ASKS: Final = "ContentCredentials"
"""The node type with which a graph asks for credentials."""

_SHOWN: Final = frozenset({"IMAGE", "LATENT", "VIDEO", "COMFY_MATCHTYPE_V3", "*"})
_MADE: Final = frozenset({"IMAGE", "LATENT", "VIDEO"})
_MAKERS: Final = frozenset({"MODEL", "GUIDER"})
_NETWORKS: Final = frozenset({"MODEL", "GUIDER", "VAE", "UPSCALE_MODEL", "CONTROL_NET", "MODEL_PATCH", "CLIP"})
_KINDS: Final = frozenset({"", "video"})


@dataclass(frozen=True)
class Source:
    """A loaded file: the `folder` and `name` that a node chooses it by, and whether it is shown in the result or steers it."""

    folder: str
    name: str
    shown: bool


@dataclass(frozen=True)
class Origin:
    """`kind`: the digital source type, or "" where files were changed without a model. `made`: whether a model made it.

    `wish`: what nodes `ContentCredentials` above the saving node say, by name; None where there is none.
    """

    kind: str
    made: bool
    sources: tuple[Source, ...] = ()
    wish: Mapping[str, str] | None = None


def origin_of(prompt: Prompt, node_id: str, spec_of: SpecOf) -> Origin:
    """Where what the node `node_id` of `prompt` saves comes from. Linear in the graph's size."""
    above = _above(prompt, [node_id], spec_of, None)
    shown = _above(prompt, [node_id], spec_of, _SHOWN)
    specs = {name: spec_of(_type_of(prompt, name)) for name in above if name != node_id}
    sources: list[Source] = []
    for name, spec in specs.items():
        sources += _files(prompt[name], spec, name in shown)
    sources.sort(key=lambda one: (not one.shown, one.folder, one.name))
    known = [spec for spec in specs.values() if spec is not None]
    made = any(map(_makes, known)) or any(_is_foreign(spec) for spec in specs.values())
    return Origin(_kind(known, made, sources), made, tuple(dict.fromkeys(sources)), _wish(prompt, above))


def _kind(specs: Iterable[NodeSpec], made: bool, sources: Sequence[Source]) -> str:
    if shown := {one for one in sources if one.shown}:
        worked = made or any(_NETWORKS & {one.type for one in spec.inputs} for spec in specs)
        return COMPOSITE if worked else PUT_TOGETHER if len(shown) > 1 else ""
    return GENERATED if made else ALGORITHMIC


def _above(prompt: Prompt, start: Iterable[str], spec_of: SpecOf, types: frozenset[str] | None) -> dict[str, None]:
    """The nodes that lead to `start`, and these; through links of `types` only, where it is not None."""
    found: dict[str, None] = {}
    waiting = list(start)
    while waiting:
        name = waiting.pop()
        if name in found or name not in prompt:
            continue
        found[name] = None
        for _, link in prompt[name].links():
            if types is None or _output(spec_of(_type_of(prompt, link)), link.slot) in types:
                waiting.append(link.node)
    return found


def _type_of(prompt: Prompt, named: str | Link) -> str:
    node = prompt.get(named.node if isinstance(named, Link) else named)
    return node.class_type if node is not None else ""


def _output(spec: NodeSpec | None, slot: int) -> str:
    """The type of an output; what is not known may carry anything."""
    known = spec.outputs if spec is not None else ()
    return known[slot].type if 0 <= slot < len(known) else "*"


def _makes(spec: NodeSpec) -> bool:
    """Whether pictures begin in a node: a sampler of whatever kind, a service elsewhere, a stored latent."""
    gives = _MADE & {one.type for one in spec.outputs}
    takes = _MAKERS & {one.type for one in spec.inputs}
    asks = any(one.setting for one in spec.inputs)
    stored = any(isinstance(one.choices, Files) and one.choices.kind == "latent" for one in spec.inputs)
    return bool(gives) and bool(takes or asks or stored)


def _is_foreign(spec: NodeSpec | None) -> bool:
    """Whether a pack's node gives pictures: it may do anything, so it is told as a model."""
    return spec is None or (not spec.module.startswith("nodes.") and bool(_MADE & {one.type for one in spec.outputs}))


def _files(node: Node, spec: NodeSpec | None, shown: bool) -> list[Source]:
    found = []
    for one in spec.inputs if spec is not None else ():
        files, value = one.choices, node.inputs.get(one.name)
        if not isinstance(files, Files) or files.kind not in _KINDS or not isinstance(value, str):
            continue
        if files.folder in ("input", "output"):
            found.append(Source(files.folder, value, shown))
    return found


def _wish(prompt: Prompt, above: Iterable[str]) -> Mapping[str, str] | None:
    asking = [prompt[name].inputs for name in above if _type_of(prompt, name) == ASKS]
    if not asking:
        return None
    pairs = ((key, value) for inputs in reversed(asking) for key, value in inputs.items())
    return {key: value for key, value in pairs if isinstance(value, str) and value}
