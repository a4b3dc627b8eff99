"""Everything that can be wrong with a graph, in one table, and how it is told to machines and to people.

A `Problem` is data: a machine type of the field's convention, the place (node, input), what was expected, what came and
what to do. `to_response` makes the JSON that `POST /prompt` answers a refusal with, `render` the text for a terminal.
"""

from __future__ import annotations

import reprlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from engine.graph.prompt import NodeId
from engine.graph.schema import Files, InputSpec


class ProblemType(NamedTuple):
    """What one type of problem says, and what to do about it (both may be made more precise where it is found)."""

    message: str
    hint: str = ""
    stops: bool = True
    """False: what runs is sound, but may not be what its author expects. It is told, and the run goes on."""


PROBLEM_TYPES: Final[Mapping[str, ProblemType]] = {
    # the prompt as a whole
    "no_prompt": ProblemType("No prompt provided", "Give a graph as JSON: {id: {class_type, inputs}}."),
    "invalid_json": ProblemType("The file is not valid JSON", "Save or export the workflow again."),
    "unknown_format": ProblemType(
        "This is not a workflow that Safelight can read",
        "Give a saved workflow (nodes and links) or a prompt: {id: {class_type, inputs}}.",
    ),
    "prompt_no_outputs": ProblemType(
        "Prompt has no outputs", "Add a node that shows or saves something, such as SaveImage or PreviewImage."
    ),
    "unknown_target": ProblemType("A requested output is not in the prompt", "Ask for an output node of this graph."),
    "target_not_output": ProblemType(
        "A requested output is not an output node", "Ask for an output node of this graph."
    ),
    "prompt_outputs_failed_validation": ProblemType("Prompt outputs failed validation"),
    # the shape of a node
    "invalid_prompt": ProblemType(
        "The prompt does not have the right shape", "A node is {class_type: text, inputs: {name: value}}."
    ),
    "missing_node_type": ProblemType(
        "Node type is not known", "Install the node pack that has it, or correct the name."
    ),
    "dependency_cycle": ProblemType(
        "Nodes depend on each other in a circle", "Remove one of the links between these nodes."
    ),
    "unexpected_input": ProblemType("The node has no such input", "Remove it, or choose what brings it."),
    # links
    "required_input_missing": ProblemType("Required input is missing", "Link the input or give it a value."),
    "bad_linked_input": ProblemType(
        "Bad linked input", 'A link is [node id, output number]. A literal list is written {"__value__": [...]}.'
    ),
    "missing_link_target": ProblemType(
        "Linked node does not exist", "Link the input to a node that is in the graph, or remove the link."
    ),
    "missing_output_slot": ProblemType("Linked node has no such output", "Choose one of the outputs that it has."),
    "return_type_mismatch": ProblemType(
        "Return type mismatch between linked nodes", "Link an output of the expected type, or convert between the two."
    ),
    "broken_loop": ProblemType("The loop has no sound body", "Give each StartLoop one EndLoop that hangs on it."),
    # values
    "invalid_input_type": ProblemType("Value has the wrong type"),
    "value_smaller_than_min": ProblemType("Value is smaller than the minimum", "Choose a larger value."),
    "value_bigger_than_max": ProblemType("Value is bigger than the maximum", "Choose a smaller value."),
    "value_not_in_list": ProblemType("Value not in list"),
    "custom_validation_failed": ProblemType("Custom validation failed for node"),
    "exception_during_inner_validation": ProblemType(
        "The check of this input failed by itself", "This is an error of the node or its choices, not of the graph."
    ),
    # graphs written as Python
    "invalid_script": ProblemType(
        "This is more than the Python that is read as a graph",
        "Only calls of nodes with constants and outputs are read, and nothing is run. Run the file with Python instead.",
    ),
    # saved workflows
    "invalid_workflow": ProblemType("The workflow does not have the right shape", "Save it again from an editor."),
    "subgraph_recursion": ProblemType(
        "A subgraph contains itself, or too many nodes", "Take the inner instance out of it."
    ),
    "duplicate_node_id": ProblemType(
        "Two nodes have the same id",
        "This one has a new id. Look whether its links are as meant, and save again.",
        False,
    ),
    "link_not_read": ProblemType("A link leads to an input or output that is not there", "Draw the link again.", False),
    "value_not_taken": ProblemType(
        "The value of a PrimitiveNode does not reach this input: its own value runs",
        "Link the PrimitiveNode directly, or use a node that gives a value, such as PrimitiveInt.",
        False,
    ),
    "values_disagree": ProblemType(
        "The file has two values for a widget: the one in the list runs",
        "Look whether it is the right one, and save the workflow again.",
        False,
    ),
    "values_not_read": ProblemType(
        "The values of its widgets stand by name, as this node never saves them: its defaults run",
        "Set the values again, and save the workflow.",
        False,
    ),
    # settings of the Stable Diffusion web UI
    "settings_cut_off": ProblemType(
        "The settings of the web UI are cut off",
        "Give the whole text, from the prompt to the end of the line of settings.",
    ),
    "settings_may_end_early": ProblemType("The settings of the web UI may be cut off", "Compare with the whole text."),
    "setting_ignored": ProblemType("A setting of the web UI has no counterpart here"),
    "setting_approximated": ProblemType("A setting of the web UI is kept only nearly"),
    "setting_read": ProblemType("Of two weights of a LoRA the web UI means the first for the text encoder"),
    "setting_assumed": ProblemType("A setting of the web UI is missing, and assumed"),
    "file_not_here": ProblemType("A file that the settings name is not here", "Put it into its models folder."),
    "file_not_named": ProblemType("The settings name no model that is here", "Choose a checkpoint."),
    "picture_not_named": ProblemType("The settings do not hold the picture they began with", "Choose it."),
    # named parameters
    "unknown_parameter": ProblemType("There is no such parameter", "Use one of the names, or NODE.input."),
    "missing_parameter": ProblemType("A parameter without a default is missing", "Give it a value."),
    "parameter_gone": ProblemType(
        "A declared parameter leads to an input that is not there", "Expose the input again, or take it off.", False
    ),
    "ambiguous_parameter": ProblemType("Several inputs have this name", "Say which, as NODE.input."),
}
"""Machine type → message and hint."""


class Problem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing that is wrong: where, what was expected, what came, what to do. All parts can be dumped as JSON."""

    type: str
    message: str
    details: str = ""
    node_id: NodeId | None = None
    class_type: str | None = None
    input_name: str | None = None
    input_config: Any = None
    expected: str = ""
    received: Any = msgspec.UNSET
    linked_node: list[Any] | None = None
    """The offending link `[id, slot]`, when the trouble is with a link."""
    hint: str = ""

    @property
    def stops(self) -> bool:
        """Whether the graph must not run as it is; else this is only told."""
        return PROBLEM_TYPES[self.type].stops

    @property
    def where(self) -> str:
        """The place in words: `node 3 (KSampler), input "steps"`; empty for a problem of the whole graph."""
        if self.node_id is None:
            return ""
        place = f"node {shown(self.node_id)}"
        if self.class_type:
            place += f" ({shown(self.class_type)})"
        if self.input_name is not None:
            place += f', input "{shown(self.input_name)}"'
        return place


class GraphError(ValueError):
    """A graph that cannot be used. `problems` lists everything that is wrong with it; str() is the text for people."""

    def __init__(
        self, problems: Iterable[Problem], dependents: Mapping[NodeId, Sequence[NodeId]] | None = None
    ) -> None:
        self.problems = list(problems)
        self.dependents = dict(dependents or {})
        super().__init__(self.problems)

    def __str__(self) -> str:
        return render(self.problems)

    def response(self) -> dict[str, Any]:
        """The refusal as `POST /prompt` answers it; see `to_response`."""
        return to_response(self.problems, self.dependents)


def problem(
    type: str,
    *,
    message: str = "",
    hint: str = "",
    spec: InputSpec | None = None,
    received: Any = msgspec.UNSET,
    **facts: Any,
) -> Problem:
    """Make a problem of `type`, with the table's message and hint unless given. `spec` is the input it is about.

    Raises KeyError for a type that is not in `PROBLEM_TYPES`.
    """
    kind = PROBLEM_TYPES[type]
    if spec is not None:
        facts.setdefault("input_name", spec.name)
        facts["input_config"] = input_config(spec)
    if received is not msgspec.UNSET:
        received = as_json(received)
    return Problem(type=type, message=message or kind.message, hint=hint or kind.hint, received=received, **facts)


def input_config(spec: InputSpec) -> list[Any] | None:
    """The declaration of an input as editors know it: `[type or choices, options]`; long lists of choices are left out."""
    options: dict[str, Any] = {key: value for key, value in spec.options.items() if as_json(value) == value}
    for key, value in (("default", spec.default), ("min", spec.ge), ("max", spec.le), ("step", spec.step)):
        if value is not None:
            options[key] = as_json(value)
    if isinstance(spec.choices, tuple):
        return [list(spec.choices), options] if len(spec.choices) <= _LONG_LIST else None
    return None if isinstance(spec.choices, Files) else [spec.type, options]


_LONG_LIST = 20


# ---- for machines


def to_response(
    problems: Sequence[Problem], dependents: Mapping[NodeId, Sequence[NodeId]] | None = None
) -> dict[str, Any]:
    """The JSON of a refusal: `{"error": {type, message, details, extra_info}, "node_errors": {id: …}}`.

    `error` is the first problem of the graph as a whole; if all problems are of nodes, it is
    `prompt_outputs_failed_validation` and its details say them in short.
    """
    general = [one for one in problems if one.node_id is None]
    if general:
        error = _error_json(general[0])
        if len(general) > 1:
            error["extra_info"]["problems"] = [_error_json(one) for one in general[1:]]
    else:
        short = "\n".join(f"{one.where}: {one.message}" for one in problems[:_LONG_LIST])
        error = _error_json(problem("prompt_outputs_failed_validation", details=short))
    return {"error": error, "node_errors": node_errors(problems, dependents)}


def node_errors(
    problems: Iterable[Problem], dependents: Mapping[NodeId, Sequence[NodeId]] | None = None
) -> dict[str, Any]:
    """The `node_errors` part of an answer: `{id: {"errors": […], "dependent_outputs": […], "class_type": …}}`.

    `dependents` says for each node which outputs cannot run because of it.
    """
    result: dict[str, Any] = {}
    for one in problems:
        if one.node_id is None:
            continue
        entry = result.setdefault(
            one.node_id,
            {
                "errors": [],
                "dependent_outputs": list((dependents or {}).get(one.node_id, ())),
                "class_type": one.class_type or "",
            },
        )
        entry["errors"].append(_error_json(one))
    return result


def _error_json(one: Problem) -> dict[str, Any]:
    info: dict[str, Any] = {}
    if one.input_name is not None:
        info["input_name"] = one.input_name
        info["input_config"] = one.input_config
    if one.linked_node is not None:
        info["linked_node"] = one.linked_node
    if one.received is not msgspec.UNSET:
        info["received_type" if one.type == "return_type_mismatch" else "received_value"] = one.received
    if one.expected:
        info["expected"] = one.expected
    if one.hint:
        info["hint"] = one.hint
    return {
        "type": one.type,
        "message": one.message,
        "details": one.details or one.input_name or "",
        "extra_info": info,
    }


def as_json(value: Any, depth: int = 3) -> Any:
    """`value` if it is plain, small and finite JSON, else a short text that shows it. At most `depth` levels are kept."""
    if value is None or type(value) in (str, bool):
        return value
    if type(value) is int:
        return value if -(2**63) <= value < 2**64 else _short_repr(value)
    if type(value) is float:
        return value if value - value == 0 else repr(value)
    if depth and isinstance(value, list | tuple) and len(value) <= _LONG_LIST:
        return [as_json(item, depth - 1) for item in value]
    if depth and type(value) is dict and len(value) <= _LONG_LIST and all(type(key) is str for key in value):
        return {key: as_json(item, depth - 1) for key, item in value.items()}
    return _short_repr(value)


# ---- for people


def told(problems: Sequence[Problem]) -> list[Problem]:
    """The problems to tell a person: a cycle is reported on each of its nodes, and told once."""
    cycles: set[str] = set()
    result: list[Problem] = []
    for one in problems:
        if one.type != "dependency_cycle":
            result.append(one)
        elif one.details not in cycles:
            cycles.add(one.details)
            result.append(one)
    return result


def render(problems: Sequence[Problem]) -> str:
    """All problems as text for a terminal, one paragraph each; a cycle is told once for all of its nodes."""
    return "\n".join("\n".join(lines(one)) for one in told(problems))


def lines(one: Problem) -> list[str]:
    """One problem as lines for a terminal: place and message, then details, expected, received and hint, if any."""
    where = one.where
    result = [f"{where}: {one.message}" if where else one.message]
    if one.details and one.type != "return_type_mismatch":  # there, the next two lines say the same
        result.append(f"  {shown(one.details, 400)}")
    if one.expected:
        result.append(f"  expected: {one.expected}")
    if one.received is not msgspec.UNSET:
        result.append(f"  received: {_received_text(one)}")
    if one.hint:
        result.append(f"  hint: {one.hint}")
    return result


def _received_text(one: Problem) -> str:
    if one.linked_node and one.type == "return_type_mismatch":
        return f"{one.received} from node {shown(str(one.linked_node[0]))}"
    if one.linked_node and one.type in ("missing_link_target", "missing_output_slot"):
        return f"a link to output {one.linked_node[1]} of node {shown(str(one.linked_node[0]))}"
    return _short_repr(one.received)


def shown(text: str, limit: int = 80) -> str:
    """`text` for a terminal: cut to `limit` characters, with characters that do not print escaped."""
    if len(text) > limit:
        text = text[: limit - 1] + "…"
    return text if text.isprintable() else repr(text)[1:-1]


def one_of(names: Sequence[str]) -> str:
    """Names as an alternative in words: `a, b or c`."""
    shown_names = [shown(name) for name in names]
    return " or ".join([", ".join(shown_names[:-1]), shown_names[-1]] if len(names) > 1 else shown_names)


def _short_repr(value: Any) -> str:
    """A repr that is short whatever `value` is (depth, length and digits are bounded)."""
    shortener = reprlib.Repr()
    shortener.maxstring = shortener.maxother = 80
    if type(value) is int and abs(value) >= 10**60:  # printing a number of a million digits is slow and may be refused
        return f"a whole number of {value.bit_length()} bits"
    try:
        return shortener.repr(value)
    except Exception:  # a broken __repr__, or a nested number with too many digits to print
        return f"a value of type {type(value).__name__}"
