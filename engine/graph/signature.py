"""A saved workflow as a typed function: which parameters it takes, and which outputs it gives.

What the workflow declares (`engine.graph.declared`) is its signature. Where it declares no parameters, they are inferred: the
texts that reach the samplers (`prompt`, `negative`), seeds, steps, sizes and the like, and the pictures, sounds and films that
it loads. Of several of one kind the one that runs first has the plain name, the others are numbered (`seed`, `seed_2`), so that a
name does not depend on the ids of nodes. Where it declares no outputs, they are what its output nodes save: the last one to run
goes by its kind (`image`), those before it are numbered.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, Literal, TypeAlias

import msgspec

from engine.graph.declared import declared_doc, declared_outputs
from engine.graph.parameters import Names, Parameter
from engine.graph.problems import Problem, problem
from engine.graph.prompt import Link, NodeId, Prompt, prompt_from_json
from engine.graph.saved import objects
from engine.graph.schema import FOLDERS, Catalogue, Files, InputSpec, NodeSpec

Kind: TypeAlias = Literal["image", "mask", "audio", "video", "mesh", "text", "file"]
"""What is in the files of an output, or of an input that takes a file."""

_UPLOADS: Final[Mapping[str, Kind]] = {
    "image_upload": "image",
    "animated_image_upload": "image",
    "audio_upload": "audio",
    "video_upload": "video",
    "mesh_upload": "mesh",
    "file_upload": "file",
}

_KINDS: Final[Mapping[str, Kind]] = {
    "IMAGE": "image",
    "MASK": "image",
    "AUDIO": "audio",
    "VIDEO": "video",
    "MESH": "mesh",
    "STRING": "text",
    "INT": "text",
    "FLOAT": "text",
    "BOOLEAN": "text",
}

_SETTINGS: Final[Mapping[str, str]] = {
    "seed": "seed",
    "noise_seed": "seed",
    "steps": "steps",
    "cfg": "cfg",
    "guidance": "guidance",
    "denoise": "denoise",
    "sampler_name": "sampler_name",
    "scheduler": "scheduler",
}
"""Input → the parameter that it is, on whatever node."""

_SIZES: Final = ("width", "height", "length", "batch_size")
"""Of nodes that begin a latent."""

_LONGEST_DOC: Final = 600


class Output(msgspec.Struct, frozen=True, kw_only=True):
    """One result: its name, the output node that gives it, and what it is."""

    name: str
    node: NodeId
    kind: Kind
    doc: str = ""


class Signature(msgspec.Struct, frozen=True, kw_only=True):
    """The parameters and outputs of a workflow, in order."""

    parameters: tuple[Parameter, ...]
    outputs: tuple[Output, ...]
    doc: str = ""
    problems: tuple[Problem, ...] = ()
    """What it declares and does not have. None of them keeps it from running."""

    def parameter(self, name: str) -> Parameter | None:
        """The parameter called `name`, or None."""
        return next((one for one in self.parameters if one.name == name), None)

    def output(self, name: str) -> Output | None:
        """The output called `name`, or None."""
        return next((one for one in self.outputs if one.name == name), None)


def signature_of(
    prompt: Mapping[str, Any], catalogue: Catalogue, workflow: Mapping[str, Any] | None = None
) -> Signature:
    """The signature of a graph (prompt JSON), which `workflow`, its saved form, may declare. Node ids are those of the prompt."""
    graph = prompt_from_json(prompt)
    names = Names(graph, catalogue, workflow)
    declared = tuple(names.known[name] for name in names.declared)
    order = _order(graph, catalogue)
    parameters = declared or tuple(_inferred(graph, catalogue, names, order))
    outputs = tuple(_declared_outputs(graph, catalogue, workflow)) or tuple(_inferred_outputs(graph, catalogue, order))
    gone = tuple(problem("parameter_gone", received=one.name, expected=f"{one.node}.{one.input}") for one in names.gone)
    return Signature(parameters=parameters, outputs=outputs, doc=_doc(workflow), problems=gone)


def media_kind(spec: InputSpec | None) -> Kind | None:
    """What file an input takes that a client may send along: None for any other input."""
    if spec is None or not isinstance(spec.choices, Files) or spec.choices.folder != "input":
        return None
    if spec.choices.kind == FOLDERS:
        return None
    return next((kind for option, kind in _UPLOADS.items() if spec.options.get(option)), "file")


def _doc(workflow: Mapping[str, Any] | None) -> str:
    """What the workflow says of itself: as declared, else its first note."""
    told = declared_doc(workflow)
    for node in objects(workflow.get("nodes")) if workflow is not None and not told else ():
        values = node.get("widgets_values")
        if node.get("type") in ("Note", "MarkdownNote") and isinstance(values, list) and values:
            told = str(values[0])
            break
    return told.strip() if len(told) <= _LONGEST_DOC else told[: _LONGEST_DOC - 1].strip() + "…"


def _order(graph: Prompt, catalogue: Catalogue) -> list[NodeId]:
    """The nodes that outputs need, each after what it reads; of equals, as in the graph."""
    done: dict[NodeId, int] = {}
    waiting = [(id, False) for id in reversed(list(graph)) if _is_output(graph, catalogue, id)]
    opened: set[NodeId] = set()
    while waiting:
        id, read = waiting.pop()
        if id in done or id not in graph:
            continue
        sources = [link.node for _, link in graph[id].links() if link.node in graph]
        if read:
            done[id] = max((done.get(source, 0) + 1 for source in sources), default=0)
        elif id not in opened:  # of a circle, which never runs, each node is opened once
            opened.add(id)
            waiting.append((id, True))
            waiting.extend((source, False) for source in reversed(sources))
    places = {id: at for at, id in enumerate(graph)}
    return sorted(done, key=lambda id: (done[id], places[id]))


def _is_output(graph: Prompt, catalogue: Catalogue, id: NodeId) -> bool:
    spec = catalogue.spec(graph[id].class_type)
    return spec is not None and spec.output_node


# ---- parameters


def _inferred(graph: Prompt, catalogue: Catalogue, names: Names, order: Sequence[NodeId]) -> Iterator[Parameter]:
    found: dict[tuple[NodeId, str], str] = {}
    rank = {id: at for at, id in enumerate(order)}
    for name in ("prompt", "negative"):
        for place in sorted(names.texts.get(name, ()), key=lambda place: rank.get(place[0], len(rank))):
            found.setdefault(place, name)
    for id in order:
        spec = catalogue.spec(graph[id].class_type)
        for input_name, name in _settings(spec) if spec is not None else ():
            held = _held(graph, catalogue, id, input_name)
            if held is not None:
                found.setdefault(held, name)
    counts: dict[str, int] = {}
    for (id, input_name), name in found.items():
        counts[name] = counts.get(name, 0) + 1
        yield names.parameter(name if counts[name] == 1 else f"{name}_{counts[name]}", id, input_name)


def _settings(spec: NodeSpec) -> Iterator[tuple[str, str]]:
    """(input, parameter) of what a node has that people set."""
    begins = any(output.type == "LATENT" for output in spec.outputs) and not any(
        one.type == "LATENT" for one in spec.inputs
    )
    for one in spec.inputs:
        kind = media_kind(one)
        if kind is not None and kind != "file":
            yield one.name, "mask" if kind == "image" and _only_masks(spec) else kind
        elif one.name in _SETTINGS:
            yield one.name, _SETTINGS[one.name]
        elif begins and one.name in _SIZES:
            yield one.name, one.name


def _only_masks(spec: NodeSpec) -> bool:
    return bool(spec.outputs) and all(output.type == "MASK" for output in spec.outputs)


def _held(graph: Prompt, catalogue: Catalogue, id: NodeId, input_name: str) -> tuple[NodeId, str] | None:
    """Where the constant stands that an input gets: in it, or in a node that holds nothing but a value. None: it is computed."""
    seen = set()
    while id in graph and (id, input_name) not in seen:
        seen.add((id, input_name))
        value = graph[id].inputs.get(input_name)
        if type(value) is not Link:
            return id, input_name
        source = graph.get(value.node)
        spec = catalogue.spec(source.class_type) if source is not None else None
        widgets = [one.name for one in spec.inputs] if spec is not None else []
        if widgets != ["value"]:
            return None
        id, input_name = value.node, "value"
    return None


# ---- outputs


def _declared_outputs(graph: Prompt, catalogue: Catalogue, workflow: Mapping[str, Any] | None) -> Iterator[Output]:
    for one in declared_outputs(workflow, graph, catalogue):
        if one.node in graph and _is_output(graph, catalogue, one.node):
            yield Output(name=one.name, node=one.node, kind=_kind(graph, catalogue, one.node), doc=one.doc)


def _inferred_outputs(graph: Prompt, catalogue: Catalogue, order: Sequence[NodeId]) -> Iterator[Output]:
    found = [id for id in reversed(order) if _is_output(graph, catalogue, id)]
    saved = [id for id in found if _saves(graph, catalogue, id)]
    counts: dict[str, int] = {}
    for id in found:
        kind = _kind(graph, catalogue, id)
        if saved and id not in saved and kind != "text":
            continue  # a preview beside what is kept
        counts[kind] = counts.get(kind, 0) + 1
        yield Output(name=kind if counts[kind] == 1 else f"{kind}_{counts[kind]}", node=id, kind=kind)


def _saves(graph: Prompt, catalogue: Catalogue, id: NodeId) -> bool:
    spec = catalogue.spec(graph[id].class_type)
    return spec is not None and spec.input("filename_prefix") is not None


def _kind(graph: Prompt, catalogue: Catalogue, id: NodeId) -> Kind:
    """What an output node gives: of the type of what is linked to it."""
    for _, link in graph[id].links():
        source = graph.get(link.node)
        spec = catalogue.spec(source.class_type) if source is not None else None
        if spec is not None and 0 <= link.slot < len(spec.outputs):
            return _KINDS.get(spec.outputs[link.slot].type, "file")
    return "file"
