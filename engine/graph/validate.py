"""Is a prompt sound? `check` finds everything that is wrong with it at once, and what can run all the same.

The structure (shapes, node types, link targets, circles) is checked everywhere. Values and missing inputs are checked in
the nodes that an output needs: a half-built corner of the graph that nothing reads does not stand in the way.
How a constant is read: `engine.graph.values`.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, Protocol

import msgspec

from engine.datatypes.sockets import ANY_TYPE, types_in_common, types_match
from engine.graph import topology
from engine.graph.live_inputs import GROUPS, LiveInputs, matched
from engine.graph.loops import LOOP_ENDS, Loops
from engine.graph.problems import GraphError, Problem, one_of, problem, shown
from engine.graph.prompt import Link, Node, NodeId, Prompt, is_link, unwrap
from engine.graph.schema import Catalogue, InputSpec, NodeSpec
from engine.graph.values import ChoicesOf, Values, WrongValueError


class CustomCheck(Protocol):
    """The checks that a pack's own code makes (`VALIDATE_INPUTS`), asked for nodes whose spec says `has_validate`."""

    def owns(self, spec: NodeSpec) -> Container[str]:
        """Names of the inputs whose range and choice the pack checks itself; `input_types` for the types of links."""
        ...

    def takes(self, spec: NodeSpec, name: str) -> bool:
        """Whether the pack's code wants the constant `name`, which it does not declare (`chooses_inputs`)."""
        ...

    def __call__(
        self, node_id: NodeId, spec: NodeSpec, constants: Mapping[str, Any], received_types: Mapping[str, str]
    ) -> str | bool | None:
        """True or None: sound. A text or False: not sound, and why. May raise."""
        ...


class Checked(msgspec.Struct, frozen=True):
    """What `check` found."""

    prompt: Prompt
    """Every well-formed node, its constants converted, undeclared constants left out."""
    outputs: tuple[NodeId, ...]
    """The requested outputs that are sound with all they need, in the order of the prompt."""
    problems: list[Problem]
    dependents: dict[NodeId, list[NodeId]]
    """Node with a problem → the requested outputs that cannot run because of it."""

    @property
    def ok(self) -> bool:
        """Whether there is no problem at all."""
        return not self.problems

    def require(self) -> Checked:
        """Itself, if at least one output is sound. Raises GraphError with all problems if none is."""
        if not self.outputs:
            raise GraphError(self.problems, self.dependents)
        return self


def check(
    data: Any,
    catalogue: Catalogue,
    *,
    choices: ChoicesOf,
    targets: Sequence[str] | None = None,
    custom: CustomCheck | None = None,
) -> Checked:
    """Check the prompt form `data` (JSON, or a `Prompt`) and convert its constants.

    `targets` are the outputs asked for; None means all output nodes of the prompt. `choices` lists the files behind
    `Files` choices. One sound output is enough to run; see `Checked.require`. Bad data never raises.
    """
    return _Check(data, catalogue, choices, custom).run(targets)


class NodeChecks:
    """Checks nodes one by one, as a graph is built: by the same rules, so that a mistake is told where it is made."""

    def __init__(self, catalogue: Catalogue, *, choices: ChoicesOf) -> None:
        self._check = _Check({}, catalogue, choices, None)

    def one(self, node_id: NodeId, node: Node, sources: Mapping[NodeId, Node]) -> tuple[list[Problem], Node]:
        """What is wrong with `node`, and the node with its constants converted, undeclared ones left out.

        `sources` are the nodes that its links lead to; those that are not among them are taken as they are.
        """
        return self._check.one(node_id, node, sources)


class _Check:
    """The state of one check."""

    def __init__(self, data: Any, catalogue: Catalogue, choices: ChoicesOf, custom: CustomCheck | None) -> None:
        self.data = data
        self.catalogue = catalogue
        self.values = Values(catalogue, choices)
        self.custom = custom
        self.problems: list[Problem] = []
        self.broken: set[NodeId] = set()
        self.prompt: Prompt = {}
        self.unknown: list[NodeId] = []
        self.plans: dict[str, _Plan | None] = {}

    def run(self, targets: Sequence[str] | None) -> Checked:
        if not isinstance(self.data, Mapping):
            self.problems.append(problem("no_prompt", expected="a JSON object", received=self.data))
            return Checked({}, (), self.problems, {})
        for node_id, entry in self.data.items():
            self._read(node_id, entry)
        outputs = self._outputs(targets)
        reads = topology.sources(self.prompt)
        roots = [*outputs, *(self.unknown if targets is None else ())]
        wanted = topology.reachable(reads, roots) if roots else set(self.prompt)
        for node_id, node in self.prompt.items():
            self._check_node(node_id, node, node_id in wanted)
        if LOOP_ENDS & self.plans.keys():
            self._check_loops(wanted)
        groups = topology.groups(reads)
        sound = self._soundness(reads, groups)
        bad = [output for output in outputs if output not in sound]
        dependents = _dependents(reads, groups, self.broken, bad) if self.broken else {}
        return Checked(self.prompt, tuple(one for one in outputs if one in sound), self.problems, dependents)

    def one(self, node_id: NodeId, node: Node, sources: Mapping[NodeId, Node]) -> tuple[list[Problem], Node]:
        """As `NodeChecks.one`."""
        self.problems, self.unknown = [], []
        self.prompt = {key: source for key, source in sources.items() if self._plan(source.class_type) is not None}
        self.data = {link.node: node for _, link in node.links()}  # no link of them is told as one to nothing
        self._read(node_id, node)
        self._check_node(node_id, self.prompt[node_id], wanted=True)
        return self.problems, self.prompt[node_id]

    def _report(self, node_id: NodeId, node: Node, type: str, **facts: Any) -> None:
        self.problems.append(problem(type, node_id=node_id, class_type=node.class_type, **facts))
        self.broken.add(node_id)

    # -- shapes and types

    def _read(self, node_id: Any, entry: Any) -> None:
        if type(entry) is Node and type(node_id) is str:
            node = Node(entry.class_type, dict(entry.inputs), entry.meta)
        else:
            wrong = _wrong_shape(node_id, entry)
            if wrong is not None:
                self.problems.append(wrong)
                return
            inputs = dict(entry.get("inputs", ()))
            for name, value in inputs.items():
                if type(value) is list and is_link(value):
                    inputs[name] = Link(str(value[0]), value[1])
            meta = entry.get("_meta")
            node = Node(entry["class_type"], inputs, meta if isinstance(meta, Mapping) else None)
        self.prompt[node_id] = node
        if (self.plans.get(node.class_type) or self._plan(node.class_type)) is None:
            self.unknown.append(node_id)
            self._report_unknown(node_id, node)

    def _plan(self, class_type: str) -> _Plan | None:
        try:
            return self.plans[class_type]
        except KeyError:
            spec = self.catalogue.spec(class_type)
            owned = self.custom.owns(spec) if spec is not None and spec.has_validate and self.custom else ()
            plan = self.plans[class_type] = _Plan(spec, owned) if spec is not None else None
            return plan

    def _report_unknown(self, node_id: NodeId, node: Node) -> None:
        nearest = self.catalogue.nearest(node.class_type) if len(self.unknown) <= _MOST_SUGGESTIONS else []
        hint = f"Did you mean {one_of(nearest)}?" if nearest else ""
        if _UUID.fullmatch(node.class_type):
            hint = "It is a subgraph whose definition is missing: save the workflow again from the editor that made it."
        self._report(node_id, node, "missing_node_type", received=node.class_type, hint=hint)

    def _outputs(self, targets: Sequence[str] | None) -> list[NodeId]:
        ends = {class_type for class_type, plan in self.plans.items() if plan is not None and plan.is_output}
        outputs = [id for id, node in self.prompt.items() if node.class_type in ends]
        if targets is None:
            if not outputs and not self.unknown:
                self.problems.append(problem("prompt_no_outputs"))
            return outputs
        wanted = set(self._wanted(targets, outputs))
        return [output for output in outputs if output in wanted]

    def _wanted(self, targets: Any, outputs: list[NodeId]) -> Iterator[NodeId]:
        """Those of `targets`, which may be any JSON, that are outputs; the others are reported."""
        if not isinstance(targets, list | tuple | set | frozenset):
            self.problems.append(problem("unknown_target", expected="a list of node ids", received=targets))
            return
        if not targets:
            message = "The list of requested outputs is empty"
            hint = "Leave the list of outputs out to run them all."
            self.problems.append(problem("prompt_no_outputs", message=message, hint=hint))
        known = set(outputs)
        for target in targets:
            if isinstance(target, str) and target in known:
                yield target
                continue
            kind = "target_not_output" if isinstance(target, str) and target in self.prompt else "unknown_target"
            listed = ", ".join(map(shown, outputs[:10])) or "none"
            self.problems.append(problem(kind, expected=f"one of the outputs: {listed}", received=target))

    # -- inputs

    def _check_node(self, node_id: NodeId, node: Node, wanted: bool) -> None:
        plan = self.plans[node.class_type]
        received: dict[str, str] = {}
        inputs = node.inputs
        declared = plan.inputs if plan is not None else _NOTHING
        live = LiveInputs(plan.groups, inputs) if plan is not None and plan.groups else None
        if live is not None:
            declared = {**declared, **live.declared}
        for name, value in [*inputs.items()]:
            spec = declared.get(name)
            if type(value) is Link:
                kind = self._linked_type(node_id, node, name, spec, value)
                if kind is not None and plan is not None and wanted:
                    received[name] = kind
                    if spec is not None and kind != spec.type and "input_types" not in plan.owned:
                        self._compare_types(node_id, node, spec, value, kind)
            elif live is not None and spec is None and "." in name and not live.may_have(name):
                del inputs[name]
            elif plan is None or (spec is None and plan.open_inputs and self._takes(plan.spec, name)):
                inputs[name] = unwrap(value)
            elif spec is None:
                del inputs[name]
            elif wanted:
                self._convert(node_id, node, spec, value, name in plan.owned)
        if wanted and plan is not None:
            for spec in plan.required:
                if spec.name not in inputs:
                    self._report_missing(node_id, node, spec)
            if live is not None:
                self._check_groups(node_id, node, live)
            if plan.matched or live is not None:
                self._check_templates(node_id, node, declared, received)
            if plan.spec.has_validate and self.custom is not None and node_id not in self.broken:
                self._ask_pack(self.custom, node_id, node, plan.spec, received)

    def _check_loops(self, wanted: Container[NodeId]) -> None:
        for node_id, wrong in Loops(self.prompt).problems.items():
            if node_id in wanted:
                self._report(node_id, self.prompt[node_id], "broken_loop", details=wrong.message, hint=wrong.hint)

    def _takes(self, spec: NodeSpec, name: str) -> bool:
        return not spec.chooses_inputs or self.custom is None or self.custom.takes(spec, name)

    def _linked_type(self, node_id: NodeId, node: Node, name: str, spec: InputSpec | None, link: Link) -> str | None:
        """The type of what a link leads to. None if that cannot be known; links to nothing are reported."""
        source = self.prompt.get(link.node)
        if source is None:
            self.broken.add(node_id)
            if link.node not in self.data:  # else it is there but malformed, and has been reported
                facts = {"input_name": name, "spec": spec, "linked_node": list(link)}
                self._report(node_id, node, "missing_link_target", received=link, **facts)
            return None
        plan = self.plans[source.class_type]
        if plan is None:
            return None
        if not 0 <= link.slot < len(plan.outputs):
            facts = {"input_name": name, "spec": spec, "linked_node": list(link), "expected": _slots(plan.outputs)}
            self._report(node_id, node, "missing_output_slot", received=link, **facts)
            return None
        return plan.outputs[link.slot]

    def _compare_types(self, node_id: NodeId, node: Node, spec: InputSpec, link: Link, kind: str) -> None:
        if not types_match(kind, spec.type):
            details = f"{spec.name}: received {kind}, expected {spec.type}"
            facts = {
                "details": details,
                "expected": spec.type,
                "linked_node": list(link),
                "hint": _between(kind, spec.type),
            }
            self._report(node_id, node, "return_type_mismatch", spec=spec, received=kind, **facts)

    def _check_groups(self, node_id: NodeId, node: Node, live: LiveInputs) -> None:
        """Report inputs that a choice or a count asks for and that are not there, and those that neither allows."""
        for spec in live.declared.values():
            if spec.required and spec.type not in GROUPS and spec.name not in node.inputs:
                self._report_missing(node_id, node, spec)
        for name, details in live.unexpected.items():
            self._report(node_id, node, "unexpected_input", input_name=name, details=f"{name}: {details}")

    def _check_templates(
        self, node_id: NodeId, node: Node, declared: Mapping[str, InputSpec], received: Mapping[str, str]
    ) -> None:
        """Report links of different types to inputs that must all have one."""
        for names in matched(declared).values():
            first, so_far = "", ANY_TYPE
            for name in names:
                kind = received.get(name, ANY_TYPE)
                common = types_in_common(so_far, kind)
                if not common:
                    facts = {"expected": f"{so_far}, which comes to {first}", "linked_node": list(node.inputs[name])}
                    details = f"{name}: received {kind}, expected {so_far} as at {first}"
                    spec = declared[name]
                    self._report(
                        node_id, node, "return_type_mismatch", spec=spec, received=kind, details=details, **facts
                    )
                elif common != so_far:
                    first, so_far = name, common

    def _convert(self, node_id: NodeId, node: Node, spec: InputSpec, value: Any, owned: bool) -> None:
        try:
            node.inputs[spec.name] = self.values.convert(spec, value, owned)
        except WrongValueError as wrong:
            self._report(node_id, node, wrong.type, spec=spec, received=value, **wrong.facts)

    def _report_missing(self, node_id: NodeId, node: Node, spec: InputSpec) -> None:
        hint = "Give it a value, or link an output to it." if spec.is_widget else "Link an output of that type to it."
        if spec.default is not None:
            hint = f"Give it a value, such as its default {shown(repr(spec.default))}, or link an output to it."
        expected = self.values.expected(spec)
        self._report(node_id, node, "required_input_missing", spec=spec, expected=expected, hint=hint)

    def _ask_pack(
        self, custom: CustomCheck, node_id: NodeId, node: Node, spec: NodeSpec, received: Mapping[str, str]
    ) -> None:
        constants = {name: value for name, value in node.inputs.items() if type(value) is not Link}
        try:
            answer = custom(node_id, spec, constants, received)
        except Exception as error:  # third-party code: whatever it raises is a problem of this node
            details = f"{type(error).__name__}: {error}"
            self._report(node_id, node, "exception_during_inner_validation", details=details)
            return
        if answer is not True and answer is not None:
            self._report(node_id, node, "custom_validation_failed", details=answer if isinstance(answer, str) else "")

    # -- what can run

    def _soundness(self, reads: topology.Sources, groups: list[list[NodeId]]) -> set[NodeId]:
        """The nodes that have no problem and read only such nodes. Reports circles."""
        sound: set[NodeId] = set()
        in_circles: dict[NodeId, list[NodeId]] = {}
        for group in groups:
            node = group[0]
            if len(group) > 1 or node in reads[node]:
                inside = set(group)
                in_circles.update({one: [read for read in reads[one] if read in inside] for one in group})
            elif node not in self.broken and sound.issuperset(reads[node]):
                sound.add(node)
        if in_circles:
            listed = {node: in_circles[node] for node in reads if node in in_circles}
            for found in topology.cycle_problems(self.prompt, topology.cycles_of(listed)):
                self.problems.append(found)
                self.broken.add(str(found.node_id))
        return sound


_NOTHING: Final[Mapping[str, InputSpec]] = {}
_UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_MOST_SUGGESTIONS = 50
"""Similar names are looked up for this many unknown nodes; it is slow, and nobody reads more."""


def _wrong_shape(node_id: Any, entry: Any) -> Problem | None:
    """The problem with an entry of the prompt that is no node, if any."""
    if type(node_id) is str and type(entry) is dict:
        class_type, inputs = entry.get("class_type"), entry.get("inputs")
        if type(class_type) is str and class_type and type(inputs) is dict and _only_text(inputs):
            return None
    if type(node_id) is not str:
        return problem("invalid_prompt", message="A node id is not text", expected="text", received=node_id)
    if not isinstance(entry, Mapping):
        return problem("invalid_prompt", message="Node is not an object", node_id=node_id, received=entry)
    class_type = entry.get("class_type")
    if not isinstance(class_type, str) or not class_type:
        received = entry.get("class_type", msgspec.UNSET)
        message = "Node has no class_type"
        return problem("invalid_prompt", message=message, node_id=node_id, expected="text", received=received)
    inputs = entry.get("inputs", {})
    if not isinstance(inputs, Mapping) or not _only_text(inputs):
        return problem(
            "invalid_prompt",
            message="Inputs of the node are not an object",
            node_id=node_id,
            class_type=class_type,
            expected="an object {name: value}",
            received=inputs,
        )
    return None


def _only_text(names: Iterable[Any]) -> bool:
    for name in names:  # noqa: SIM110 - a generator costs thrice as much, for every node
        if type(name) is not str:
            return False
    return True


def _dependents(
    reads: topology.Sources, groups: list[list[NodeId]], broken: set[NodeId], outputs: list[NodeId]
) -> dict[NodeId, list[NodeId]]:
    """For each broken node, the `outputs` that need it. One pass; a set of outputs is the bits of a whole number."""
    bits = dict.fromkeys(reads, 0)
    for index, output in enumerate(outputs):
        bits[output] = 1 << index
    for group in reversed(groups):
        together = 0
        for node in group:
            together |= bits[node]
        for node in group:
            bits[node] |= together
            for source in reads[node]:
                if source in bits:
                    bits[source] |= together
    lists: dict[int, list[NodeId]] = {}
    for found in {bits[node] for node in broken}:
        lists[found] = [output for index, output in enumerate(outputs) if found >> index & 1]
    return {node: lists[bits[node]] for node in reads if node in broken}


class _Plan:
    """A NodeSpec laid out for checking."""

    __slots__ = ("groups", "inputs", "is_output", "matched", "open_inputs", "outputs", "owned", "required", "spec")

    def __init__(self, spec: NodeSpec, owned: Container[str]) -> None:
        self.spec = spec
        self.owned = owned
        self.inputs = {one.name: one for one in spec.inputs}
        self.required = [one for one in spec.inputs if one.required]
        self.outputs = [one.type for one in spec.outputs]
        self.outputs += [spec.more_outputs] * (spec.slots - len(spec.outputs))
        self.open_inputs = spec.open_inputs
        self.is_output = spec.output_node
        self.groups = [one for one in spec.inputs if one.type in GROUPS]
        self.matched = bool(matched(self.inputs))


_NUMBERS: Final = frozenset({"INT", "FLOAT", "BOOLEAN"})


def _between(made: str, wanted: str) -> str:
    """What to put between two nodes whose types do not fit; empty where there is nothing."""
    if made in _NUMBERS and not _NUMBERS.isdisjoint(wanted.split(",")):
        return "Put the node ConvertNumber between the two."
    if (made, wanted) == ("STRING", "COMBO"):
        return "Put the node TextAsChoice between the two."
    return ""


def _slots(outputs: Sequence[str]) -> str:
    if not outputs:
        return "no link: that node has no outputs"
    return "output " + ", ".join(f"{index} ({type})" for index, type in enumerate(outputs[:10]))
