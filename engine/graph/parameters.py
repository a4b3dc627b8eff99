"""Named parameters: what a person sets about a graph without knowing its node ids.

A saved workflow may name them itself, in `extra.safelight.parameters` (`engine.graph.declared`). Beyond these,
`prompt` and `negative` are the texts whose encoders feed the samplers, and every widget whose input name occurs once in the
graph goes by that name (`seed`, `steps`, `width`…). Anything else is `NODE.input`, with the id, title or type of the node.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from engine.graph.declared import Declared, declared_parameters
from engine.graph.problems import GraphError, Problem, one_of, problem
from engine.graph.prompt import Link, Node, NodeId, Prompt, prompt_from_json, wrap
from engine.graph.schema import Catalogue, Files, InputSpec, NodeSpec
from engine.graph.texts import Drawing, with_seed
from engine.graph.values import Values, WrongValueError
from engine.graph.widgets import DYNAMIC
from engine.graph.workflow import workflow_to_prompt
from engine.graph.workflow_edit import write_value

_ROLES = {"positive": "prompt", "conditioning": "prompt", "negative": "negative"}
"""Input of a sampler or guider → name of the text that feeds it; the first of these that a node has counts as its prompt."""


class Parameter(msgspec.Struct, frozen=True, kw_only=True):
    """One thing to set: its name, the node and input that it stands for, the declared type and the value it has now.

    `spec` is the node's declaration of the input, narrowed to what the workflow declares of it.
    """

    name: str
    node: NodeId
    input: str
    type: str
    default: Any = None
    spec: InputSpec | None = None
    label: str = ""
    """What people read instead of the name."""
    doc: str = ""
    required: bool = False
    """Declared to have no default: whoever runs the workflow says it."""


def parameters(
    prompt: Mapping[str, Any], catalogue: Catalogue, workflow: Mapping[str, Any] | None = None
) -> list[Parameter]:
    """The named parameters of a graph (prompt JSON or `Prompt`): those that `workflow` names first, then the derived ones.

    An input that has a name already is not listed again under a derived one, though `set_value` takes that too.
    """
    listed: dict[tuple[NodeId, str], Parameter] = {}
    for one in Names(_as_prompt(prompt), catalogue, workflow).known.values():
        listed.setdefault((one.node, one.input), one)
    return list(listed.values())


def set_value(
    prompt: dict[str, Any],
    key: str,
    text: Any,
    catalogue: Catalogue,
    workflow: dict[str, Any] | None = None,
) -> Parameter:
    """Set one input of `prompt` (JSON, changed in place), and the widget of `workflow` that it came from, if given.

    `key` is the name of a parameter, or `NODE.input` with the id, the title or (if it occurs once) the type of a node.
    `text` is read by the declared type of the input; a value that is no text is taken by that type too. Choices in a dynamic
    prompt are drawn where there is a workflow, which keeps them. Returns what was set.

    Raises GraphError: `unknown_parameter`, `ambiguous_parameter`, `invalid_input_type`.
    """
    graph = _as_prompt(prompt)
    names = Names(graph, catalogue, workflow)
    found = names.find(key)
    value = _read(found, graph[found.node], text, catalogue)
    put_value(prompt, found, value, catalogue, workflow)
    return msgspec.structs.replace(found, default=value)


def put_value(
    prompt: dict[str, Any], parameter: Parameter, value: Any, catalogue: Catalogue, workflow: dict[str, Any] | None
) -> None:
    """Put a value, which is of the right type already, into the input of `parameter`, in both forms; both change in place."""
    prompt[parameter.node].setdefault("inputs", {})[parameter.input] = wrap(value)
    if workflow is not None:
        write_value(workflow, parameter.node, parameter.input, value, catalogue)
        if isinstance(value, str) and parameter.spec is not None and parameter.spec.options.get(DYNAMIC) is True:
            prompt[parameter.node]["inputs"][parameter.input] = _drawn(value, parameter, workflow, catalogue)


def _drawn(text: str, parameter: Parameter, workflow: dict[str, Any], catalogue: Catalogue) -> str:
    """A dynamic prompt with its choices drawn; the seed that they were drawn from is put down in `workflow`."""
    drawing = Drawing(workflow)
    if ":" in parameter.node:  # an instance may show it, and then it goes as it is
        node = workflow_to_prompt(with_seed(workflow, drawing.seed), catalogue).prompt.get(parameter.node, {})
        if node.get("inputs", {}).get(parameter.input) == text:
            return text
    resolved = drawing.resolve(text, parameter.node, parameter.input)
    if drawing.drawn:
        workflow.update(with_seed(workflow, drawing.seed))
    return resolved


def _as_prompt(prompt: Mapping[str, Any]) -> Prompt:
    nodes = {id: entry for id, entry in prompt.items() if isinstance(entry, Node)}
    return nodes or prompt_from_json(prompt)


def _read(parameter: Parameter, node: Node, text: Any, catalogue: Catalogue) -> Any:
    """The value that `text` stands for. Ranges and files are left to the check of the whole graph."""
    spec = parameter.spec
    if spec is None:
        return _guess(text)
    choices = spec.choices
    if isinstance(choices, Files):
        return text
    if choices is not None:
        return next((choice for choice in choices if choice == text or str(choice) == text), text)
    try:
        return Values(catalogue, lambda files: ()).convert(spec, text if spec.is_widget else _guess(text), owned=True)
    except WrongValueError as wrong:
        place = {"node_id": parameter.node, "class_type": node.class_type}
        raise GraphError([problem(wrong.type, spec=spec, received=text, **place, **wrong.facts)]) from wrong


def _guess(text: Any) -> Any:
    """JSON if it reads as such, else the text itself: for inputs without a declared type."""
    if not isinstance(text, str):
        return text
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


class Names:
    """All names of one graph: `known` leads to one input each, `ambiguous` to several."""

    def __init__(self, graph: Prompt, catalogue: Catalogue, workflow: Mapping[str, Any] | None) -> None:
        self._graph = graph
        self._catalogue = catalogue
        self.known: dict[str, Parameter] = {}
        self.ambiguous: dict[str, list[Parameter]] = {}
        self.gone: list[Declared] = []
        """Declared, and not in the graph: its node was deleted, or does not run."""
        for one in declared_parameters(workflow, graph, catalogue):
            if one.node in graph and self._takes(graph[one.node], one.input):
                self.known.setdefault(one.name, self._declared(one))
            else:
                self.gone.append(one)
        self.declared = tuple(self.known)
        self.texts = _texts(graph, catalogue)
        """Which texts are `prompt`, and which `negative`: their places."""
        if self.texts["negative"] == self.texts["prompt"]:
            del self.texts["negative"]
        for name, places in self.texts.items():
            self._add(name, places)
        widgets: dict[str, list[tuple[NodeId, str]]] = {}
        for node_id, node in graph.items():
            for input_name, value in node.inputs.items():
                if type(value) is not Link:
                    widgets.setdefault(input_name, []).append((node_id, input_name))
        for name, places in widgets.items():
            self._add(name, places)

    def _add(self, name: str, places: Sequence[tuple[NodeId, str]]) -> None:
        if name in self.known or name in self.ambiguous:
            return
        found = [self.parameter(name, *place) for place in places]
        if len(found) == 1:
            self.known[name] = found[0]
        elif found:
            self.ambiguous[name] = found

    def parameter(self, name: str, node_id: NodeId, input_name: str) -> Parameter:
        """An input of the graph under a name."""
        node = self._graph[node_id]
        node_spec = self._catalogue.spec(node.class_type)
        spec = node_spec.input(input_name) if node_spec is not None else None
        value = node.inputs.get(input_name, spec.default if spec is not None else None)
        default = list(value) if type(value) is Link else value
        kind = spec.type if spec is not None else "*"
        return Parameter(name=name, node=node_id, input=input_name, type=kind, default=default, spec=spec)

    def _declared(self, one: Declared) -> Parameter:
        plain = self.parameter(one.name, one.node, one.input)
        spec = one.narrowed(plain.spec) if plain.spec is not None else None
        default = plain.default if one.default is msgspec.UNSET else one.default
        facts = {"label": one.label, "doc": one.doc, "required": one.required}
        return msgspec.structs.replace(plain, spec=spec, default=default, **facts)

    def find(self, key: str) -> Parameter:
        """The one input that `key` means. Raises GraphError."""
        if key in self.known:
            return self.known[key]
        if key in self.ambiguous:
            raise GraphError([self._several(key, self.ambiguous[key])])
        places = list(dict.fromkeys(self._places(key)))
        if len(places) == 1:
            return self.parameter(key, *places[0])
        if places:
            raise GraphError([self._several(key, [self.parameter(key, *place) for place in places])])
        raise GraphError([self._unknown(key)])

    def _places(self, key: str) -> Iterator[tuple[NodeId, str]]:
        """What `NODE.input` may mean; ids, titles and input names may hold points themselves."""
        readings: tuple[Callable[[NodeId, Node], str], ...] = (
            lambda node_id, node: node_id,
            lambda node_id, node: str(node.meta.get("title", "")),
            lambda node_id, node: node.class_type,
        )
        for called in readings:
            found = False
            for at, letter in enumerate(key):
                if letter == ".":
                    for node_id, node in self._graph.items():
                        if called(node_id, node) == key[:at] and self._takes(node, key[at + 1 :]):
                            found = True
                            yield node_id, key[at + 1 :]
            if found:
                return

    def _takes(self, node: Node, input_name: str) -> bool:
        spec = self._catalogue.spec(node.class_type)
        declared = spec is None or spec.open_inputs or spec.input(input_name) is not None
        return bool(input_name) and (declared or input_name in node.inputs)

    def _several(self, key: str, found: Sequence[Parameter]) -> Problem:
        places = [f"{one.node}.{one.input} ({self._graph[one.node].class_type})" for one in found]
        listed = ", ".join(places[:8]) + (", …" if len(places) > 8 else "")
        return problem("ambiguous_parameter", expected=f"one of {listed}", received=key)

    def _unknown(self, key: str) -> Problem:
        names = [*self.known, *self.ambiguous]
        node_id, _, _ = key.rpartition(".")
        node = self._graph.get(node_id)
        if node is not None:
            spec = self._catalogue.spec(node.class_type)
            names = [f"{node_id}.{one.name}" for one in (spec.inputs if spec else ()) if one.is_widget]
        near = difflib.get_close_matches(key, names, n=3, cutoff=0.5)
        listed = ", ".join(names[:20]) + (", …" if len(names) > 20 else "")
        hint = f"Did you mean {one_of(near)}?" if near else ""
        return problem("unknown_parameter", expected=f"one of {listed}" if names else "", received=key, hint=hint)


# ---- which texts are the prompt


def _texts(graph: Prompt, catalogue: Catalogue) -> dict[str, list[tuple[NodeId, str]]]:
    """The text inputs that reach a sampler's or guider's conditioning: name → (node, input)."""
    starts: dict[str, list[Link]] = {"prompt": [], "negative": []}
    for node in graph.values():
        spec = catalogue.spec(node.class_type)
        if spec is None or any(output.type == "CONDITIONING" for output in spec.outputs):
            continue
        roles = [name for name in _ROLES if _conditioning_input(spec, name)]
        for name in roles:
            value = node.inputs.get(name)
            if type(value) is Link and (name != "conditioning" or "positive" not in roles):
                starts[_ROLES[name]].append(value)
    return {name: _encoders(graph, catalogue, links) for name, links in starts.items()}


def _conditioning_input(spec: NodeSpec, name: str) -> bool:
    declared = spec.input(name)
    return declared is not None and declared.type == "CONDITIONING"


def _encoders(graph: Prompt, catalogue: Catalogue, links: Sequence[Link]) -> list[tuple[NodeId, str]]:
    """Walk back from `links` through nodes that change conditioning, to the texts it was made from."""
    found: dict[tuple[NodeId, str], None] = {}
    waiting = list(links)
    seen: set[Link] = set()
    while waiting:
        link = waiting.pop()
        node = graph.get(link.node)
        spec = catalogue.spec(node.class_type) if node is not None else None
        if link in seen or node is None or spec is None:
            continue
        seen.add(link)
        passed = _passed_on(node, spec, link.slot)
        if passed:
            waiting.extend(passed)
            continue
        text = _text_input(node, spec)
        if text is None:
            continue
        value = node.inputs.get(text)
        if type(value) is Link:
            waiting.append(value)  # a text made by another node
        else:
            found[link.node, text] = None
    return list(found)


def _passed_on(node: Node, spec: NodeSpec, slot: int) -> list[Link]:
    """The links of the conditioning inputs that output `slot` is made from: the one of its own name, or all."""
    links = {
        one.name: value
        for one in spec.inputs
        if one.type == "CONDITIONING" and type(value := node.inputs.get(one.name)) is Link
    }
    name = spec.outputs[slot].name if 0 <= slot < len(spec.outputs) else ""
    return [links[name]] if name in links else list(links.values())


def _text_input(node: Node, spec: NodeSpec) -> str | None:
    """The input of a node that holds its text: called so, or of several lines, or its only one of type STRING."""
    texts = [one for one in spec.inputs if one.type == "STRING"]
    for wanted in ("text", "prompt", "value", "string"):
        if any(one.name == wanted for one in texts):
            return wanted
    several_lines = [one for one in texts if one.multiline] or texts
    return several_lines[0].name if several_lines else None
