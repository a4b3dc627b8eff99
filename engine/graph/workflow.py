"""From the *workflow* form that editors save to the *prompt* form that runs.

What only means something on the canvas goes: notes, reroutes, primitives, set/get pairs, muted and bypassed nodes, the
borders of subgraphs. Every link is followed through these to the node that makes the value, every widget value gets its
input's name, and dynamic prompts are resolved.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from engine.graph.custom_combo import CUSTOM_COMBO, placed
from engine.graph.following import GET, REROUTES, Constant, Lost, Sources, input_type
from engine.graph.problems import Problem, problem
from engine.graph.prompt import wrap
from engine.graph.saved import BYPASSED, INPUT_SIDE, MUTED, PRIMITIVE, SET, Json, objects, widget_name
from engine.graph.schema import Catalogue, InputSpec
from engine.graph.scopes import Scope, read_scopes
from engine.graph.subgraphs import Subgraphs, is_missing
from engine.graph.texts import Drawing
from engine.graph.widgets import DYNAMIC, Plan, Plans, disagreeing, joined, read_values

NOTES: Final = frozenset({"Note", "MarkdownNote"})
VIRTUAL: Final = NOTES | REROUTES | {PRIMITIVE, SET, GET}
"""Types of nodes that editors have and the engine never sees."""

_OLD_NAMES: Final = {"KSampler": "sampler_name", "KSamplerAdvanced": "sampler_name"}
_OLD_PREFIX: Final = "sample_"


class Conversion(NamedTuple):
    """A workflow as a prompt (JSON), and what was wrong with the workflow itself.

    Nodes of unknown types are in the prompt, with as much as can be known of their inputs: `validate.check` reports them.
    """

    prompt: dict[str, Any]
    problems: list[Problem]
    text_seed: int | None = None
    """The seed that choices in texts were drawn from; None if there were none."""


def workflow_to_prompt(workflow: Json, catalogue: Catalogue) -> Conversion:
    """Convert a saved workflow. Malformed parts are left out and reported; it never raises on bad data."""
    return _Converter(workflow, catalogue).conversion()


class _Converter:
    def __init__(self, workflow: Json, catalogue: Catalogue) -> None:
        self._problems: list[Problem] = []
        self._plans = Plans(catalogue)
        self._subgraphs = Subgraphs(workflow, self._problems, self._plans)
        self._top = read_scopes(workflow, self._subgraphs, self._problems)
        self._sources = Sources(self._subgraphs, self._plans)
        self._drawing = Drawing(workflow)

    def conversion(self) -> Conversion:
        prompt: dict[str, Any] = {}
        for scope in self._top.walk():
            for node_id, node in scope.nodes.items():
                kind = node["type"]
                if kind in VIRTUAL or node.get("mode") in (MUTED, BYPASSED) or node_id in scope.children:
                    continue
                plan = self._plans.of(kind)
                if plan is None and not self._is_unknown(node):
                    continue
                prompt[scope.prefix + node_id] = {
                    "class_type": kind,
                    "inputs": self._inputs(scope, node_id, node, plan),
                    "_meta": {"title": _title(node, plan)},
                }
        seed = self._drawing.seed if self._drawing.drawn else None
        return Conversion(prompt, self._problems, seed)

    def _is_unknown(self, node: Json) -> bool:
        """Whether a node of no known class belongs to the graph: one without links is an ornament of some extension."""
        if node["type"] in self._subgraphs:
            return False  # told as a recursion
        return is_missing(node["type"]) or _has_links(node)

    def _inputs(self, scope: Scope, node_id: str, node: Json, plan: Plan | None) -> dict[str, Any]:
        values = self._sources.values(scope, node_id)
        links: dict[str, Any] = {}
        shown = {name for key, name in scope.overrides if key == node_id} if scope.overrides else set()
        saved = node.get("inputs")
        listed = not scope.level.loose and not scope.broadcasts
        for slot, entry in enumerate(objects(saved)) if saved else ():
            if listed and entry.get("link") is None:
                continue
            end = scope.origin(node_id, slot, entry)
            name = widget_name(entry) or entry.get("name")
            if end is None or not isinstance(name, str):
                continue
            if end.node == INPUT_SIDE:
                shown.add(name)
            source = self._sources.of(scope, end, input_type(entry, plan))
            if isinstance(source, Constant):
                spec = plan.input(name, values) if plan is not None else None
                values[name] = stepped(source.value, spec) if _is_primitive(scope, end.node) else source.value
            elif isinstance(source, Lost):
                self._tell("value_not_taken", scope, node_id, node, input_name=name, details=f"node {source.node}")
            elif source is not None:
                links[name] = source
        self._tell_values(scope, node_id, node, plan, values)
        if node["type"] == CUSTOM_COMBO:
            values = placed(values)
        inputs: dict[str, Any] = {}
        for name, value in values.items():
            if name in links:
                continue
            if type(value) is list:
                value = joined(value) if plan is not None and name in plan.lines else wrap(value)
            elif type(value) is str and plan is not None:
                is_dynamic = name in plan.texts or (plan.changes and _is_dynamic(plan.input(name, values)))
                if not is_dynamic:
                    value = _renamed(value, name, plan)
                elif name not in shown:  # a text that an instance shows goes as it is, as there
                    value = self._drawing.resolve(value, scope.prefix + node_id, name)
            inputs[name] = value
        inputs.update(links)
        return inputs

    def _tell_values(
        self, scope: Scope, node_id: str, node: Json, plan: Plan | None, values: Mapping[str, Any]
    ) -> None:
        if plan is None or "widgets_values" not in node:
            return
        saved = node["widgets_values"]
        if isinstance(saved, Mapping) and saved and not plan.reads_names:
            self._tell("values_not_read", scope, node_id, node, details=", ".join(map(str, list(saved)[:8])))
        elif "widgets_values_named" in node:
            for name in disagreeing(node, read_values(node, plan) or {}):
                named = node["widgets_values_named"][name]
                place = {"input_name": name, "expected": f"{values.get(name)!r}"[:80], "received": named}
                self._tell("values_disagree", scope, node_id, node, **place)

    def _tell(self, type: str, scope: Scope, node_id: str, node: Json, **facts: Any) -> None:
        self._problems.append(problem(type, node_id=scope.prefix + node_id, class_type=node["type"], **facts))


def _renamed(value: str, name: str, plan: Plan) -> str:
    """A sampler by its name of today."""
    is_old = value.startswith(_OLD_PREFIX) and _OLD_NAMES.get(plan.spec.name) == name
    return value.removeprefix(_OLD_PREFIX) if is_old else value


def _has_links(node: Json) -> bool:
    """Whether anything is linked to a node."""
    ends = [*objects(node.get("inputs")), *objects(node.get("outputs"))]
    return any(entry.get("link") is not None or entry.get("links") for entry in ends)


def _title(node: Json, plan: Plan | None) -> str:
    title = node.get("title")
    if isinstance(title, str) and title:
        return title
    return plan.spec.display_name if plan is not None and plan.spec.display_name else str(node["type"])


def _is_primitive(scope: Scope, node_id: str) -> bool:
    return node_id in scope.nodes and scope.nodes[node_id]["type"] == PRIMITIVE


def _is_dynamic(spec: InputSpec | None) -> bool:
    return spec is not None and spec.options.get(DYNAMIC) is True


def stepped(value: Any, spec: InputSpec | None) -> Any:
    """The value of a PrimitiveNode as the widget that it is linked to takes it: rounded to its step, within its bounds."""
    if spec is None or spec.type not in ("INT", "FLOAT") or type(value) not in (int, float) or not math.isfinite(value):
        return value
    if spec.type == "INT":
        step = int(spec.step) if isinstance(spec.step, int | float) and spec.step >= 1 else 1
        shift = int(spec.ge or 0) % step
        value = math.floor(value + 0.5) if step == 1 and isinstance(value, float) else value
        value = int((2 * (value - shift) + step) // (2 * step)) * step + shift
    else:
        digit = _digit(spec)
        value = round(round(value / digit) * digit, 12) if digit else value
    low, high = spec.ge, spec.le
    value = low if low is not None and value < low else value
    return high if high is not None and value > high else value


def _digit(spec: InputSpec) -> float:
    """What a number is rounded to: as declared, else the digits of its step. 0: not at all."""
    declared = spec.options.get("round")
    if declared is False:
        return 0.0
    if isinstance(declared, int | float) and declared is not True and declared > 0:
        return float(declared)
    if not isinstance(spec.step, int | float) or spec.step <= 0:
        return 0.0
    return float(10.0 ** -max(-math.floor(math.log10(spec.step)), 0))
