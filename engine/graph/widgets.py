"""Widget values of saved nodes: from a bare list to names, and back.

Editors save the values of a node's widgets as a list in the order of the class's inputs. Some widgets are followed by values
that are no inputs: a seed by what happens to it after a run, an upload by its kind of file, a box by its four numbers.
Newer files have the same values by name beside the list; the list is what counts, as in the field's front end.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from engine.datatypes.sockets import DISPLAY_TYPES
from engine.graph.custom_combo import CUSTOM_COMBO, listed
from engine.graph.dynamic import CHOOSING, GROWS, brought, grown
from engine.graph.saved import widget_name
from engine.graph.schema import Catalogue, InputSpec, NodeSpec

DYNAMIC: Final = "dynamicPrompts"
"""Key in `InputSpec.options`: the text is one of choices and comments, resolved before it runs."""

_AFTER_GENERATE: Final = frozenset({"fixed", "increment", "decrement", "randomize", "increment-wrap"})
_UPLOAD_KINDS: Final = frozenset({"image", "video", "audio", "file"})
_SEED_NAMES: Final = frozenset({"seed", "noise_seed"})
_BUTTONS: Final = frozenset({"upload3dmodel", "uploadExtraResources", "clear"})
_BOX_NUMBERS: Final = 4
_OURS: Final = frozenset({"", "nodes"})
_CONTROL: Final = "control_after_generate"


def widget_inputs(spec: NodeSpec) -> list[InputSpec]:
    """The inputs of `spec` that are widgets with a value, in the order in which these are saved: required ones first."""
    widgets = [one for one in spec.inputs if one.is_widget and one.type not in DISPLAY_TYPES]
    return sorted(widgets, key=lambda one: not one.required)


class Plan:
    """What a class says of the values of its nodes, looked up once."""

    def __init__(self, spec: NodeSpec) -> None:
        self.spec = spec
        self.widgets = widget_inputs(spec)
        self.by_name = {one.name: one for one in spec.inputs}
        self.changes = any(one.type == CHOOSING or one.type in GROWS for one in spec.inputs)
        """Whether a node's own values and links say which widgets it has."""
        self.names = [one.name for one in self.widgets]
        self.steps = [(one.name, one if _follows(one) else None) for one in self.widgets]
        self.places = sum(_least_places(one) for one in self.widgets)
        """How many values a node's list has at least, if its widgets do not change."""
        self.has_buttons = any(one.type == "LOAD_3D" for one in self.widgets)
        self.texts = frozenset(one.name for one in self.widgets if one.options.get(DYNAMIC) is True)
        self.lines = frozenset(one.name for one in self.widgets if one.multiline and one.type == "STRING")
        self.reads_names = spec.open_inputs or spec.module.partition(".")[0] not in _OURS
        """Whether its nodes may save their values as a dict by name, as some packs make theirs do."""
        filled = [(one.name, declared_value(one)) for one in spec.inputs if one.is_widget]
        self.fill = [(name, value) for name, value in filled if value is not None]
        """The value of each widget that a node says nothing of, where its class declares one."""

    def input(self, name: str, values: Mapping[str, Any]) -> InputSpec | None:
        """The input `name` of a node with these `values`; it may be one that a choice brings."""
        found = self.by_name.get(name)
        if found is None and self.changes and "." in name:
            return next((one for one in self.brought(values) if one.name == name), None)
        return found

    def brought_fill(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """The defaults of widgets that the choices among `values` bring, for those that have no value."""
        found = dict(values)
        for one in self.brought(found):
            if one.is_widget and one.name not in found and (one.default is not None or one.type in ("COMBO", CHOOSING)):
                found[one.name] = declared_value(one)
        return {name: value for name, value in found.items() if name not in values and value is not None}

    def brought(self, values: Mapping[str, Any]) -> Iterator[InputSpec]:
        """The inputs that the choices among `values` bring."""
        waiting = deque(one for one in self.widgets if one.type == CHOOSING)
        while waiting:
            for one in brought(waiting[0], values.get(waiting[0].name)):
                if one.type == CHOOSING:
                    waiting.append(one)
                yield one
            waiting.popleft()


class Plans:
    """The plans of the classes of a catalogue, each made when first asked for."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._known: dict[str, Plan | None] = {}

    def of(self, kind: str) -> Plan | None:
        """The plan of the class that a node's type names; None if there is no such class."""
        try:
            return self._known[kind]
        except KeyError:
            spec = self._catalogue.spec(kind)
            plan = self._known[kind] = Plan(spec) if spec is not None else None
            return plan


def named_values(node: Mapping[str, Any], spec: NodeSpec | None) -> dict[str, Any] | None:
    """The widget values of a saved node by input name; None if there are values whose names cannot be known.

    Of a known class they are dealt out by place, whatever the node lists. Of others the names come from the node: from the
    values that it has by name, or from its inputs where it lists all of its widgets.
    """
    return read_values(node, Plan(spec) if spec is not None else None)


def read_values(node: Mapping[str, Any], plan: Plan | None) -> dict[str, Any] | None:
    """`named_values` of a class that is looked up already."""
    values = node.get("widgets_values")
    if isinstance(values, Mapping):
        if plan is not None and not plan.reads_names:
            return {}
        return {name: value for name, value in values.items() if isinstance(name, str)}
    if not isinstance(values, list) or not values:
        return _by_own_names(node, plan)
    if plan is None:
        return _of_unknown(node, values)
    if len(values) > plan.places and (more := _with_helpers(node, plan, values)) is not None:
        return more
    if plan.spec.name == CUSTOM_COMBO:
        return listed(values)
    if plan.has_buttons:
        values = _without_buttons(values)
    named = _by_place(_shown(plan, node), values) if plan.changes else _by_steps(plan, values)
    if plan.spec.open_inputs and "widgets_values_named" in node:
        return {**_by_own_names(node, plan), **named}
    return named


def _with_helpers(node: Mapping[str, Any], plan: Plan, values: Sequence[Any]) -> dict[str, Any] | None:
    """The values of a node that lists all its widgets, and more than its class declares: its pack's page adds some."""
    listed = listed_widgets(node)
    if (
        plan.changes
        or len(listed) <= len(plan.names)
        or [name for name in listed if name in plan.by_name] != plan.names
    ):
        return None
    return _by_name(listed, values)


def _of_unknown(node: Mapping[str, Any], values: Sequence[Any]) -> dict[str, Any] | None:
    own = node.get("widgets_values_named")
    if isinstance(own, Mapping) and own:
        if len(own) == len(values):  # its keys name the places: the list is what counts
            return {name: values[at] for at, name in enumerate(own) if _is_input(name)}
        return {name: value for name, value in own.items() if _is_input(name)}
    return _by_name(_groups_first(listed_widgets(node)), values)


def _by_own_names(node: Mapping[str, Any], plan: Plan | None) -> dict[str, Any]:
    """The values that a node has by name, as far as they are inputs."""
    own = node.get("widgets_values_named")
    if not isinstance(own, Mapping):
        return {}
    known = plan.by_name if plan is not None and not plan.spec.open_inputs else None
    return {
        name: value
        for name, value in own.items()
        if _is_input(name) and (known is None or name in known or "." in name)
    }


def _is_input(name: Any) -> bool:
    """Whether a key of the values by name is that of an input, not of what follows a seed or an upload."""
    return isinstance(name, str) and name.partition("#")[0] not in (_CONTROL, "upload") and "#" not in name


def disagreeing(node: Mapping[str, Any], named: Mapping[str, Any]) -> list[str]:
    """The names of widgets for which a saved node says one value in its list (`named`) and another by name."""
    own = node.get("widgets_values_named")
    if not isinstance(own, Mapping):
        return []
    return [name for name, value in named.items() if name in own and own[name] != value]


def listed_widgets(node: Mapping[str, Any]) -> list[str]:
    """The names of the widgets that stand among the `inputs` of a saved node."""
    inputs = node.get("inputs")
    found = [widget_name(one) for one in inputs if isinstance(one, Mapping)] if isinstance(inputs, list) else []
    return [name for name in found if name is not None]


def _groups_first(names: Sequence[str]) -> list[str]:
    """Listed widgets in the order of their values: editors list what a choice brings before the choice."""
    found: dict[str, None] = {}
    known = set(names)
    for name in names:
        parts = name.split(".")
        for length in range(1, len(parts) + 1):
            if (group := ".".join(parts[:length])) in known:
                found.setdefault(group)
    return list(found)


def _by_name(names: Sequence[str], values: Sequence[Any]) -> dict[str, Any] | None:
    """`values` under `names`, or None if there are too many (then `names` are only some of the widgets)."""
    named: dict[str, Any] = {}
    at = 0
    for name in names:
        if at >= len(values):
            break
        named[name] = values[at]
        spare = len(values) - len(names) + len(named) - at - 1 > 0
        at += 2 if spare and name.rpartition(".")[2] in _SEED_NAMES and _is_after_generate(values, at + 1, spare) else 1
    if at + 1 == len(values) and _is_upload(values, at):
        at += 1
    return named if at == len(values) and names else None


def _shown(plan: Plan, node: Mapping[str, Any]) -> list[InputSpec]:
    """The widgets of a saved node: those that have grown go before those that its class declares."""
    inputs = node.get("inputs")
    listed = [one for one in inputs if isinstance(one, Mapping)] if isinstance(inputs, list) else []
    found = [shown for one in plan.spec.inputs for shown in grown(one, listed) if shown.is_widget]
    return [*found, *plan.widgets]


def _by_steps(plan: Plan, values: Sequence[Any]) -> dict[str, Any]:
    """The values of a node whose class says all of its widgets."""
    named: dict[str, Any] = {}
    at, count, left = 0, len(values), len(plan.steps)
    for name, followed in plan.steps:
        if at >= count:
            break
        named[name] = values[at]
        at += 1
        left -= 1
        if followed is not None:
            at += _following(followed, values, at, count - at - left)
    return named


def _by_place(widgets: Sequence[InputSpec], values: Sequence[Any]) -> dict[str, Any]:
    named: dict[str, Any] = {}
    at = 0
    waiting = deque(widgets)
    while waiting and at < len(values):
        one = waiting.popleft()
        named[one.name] = values[at]
        if one.type == CHOOSING:
            waiting.extendleft(reversed([more for more in brought(one, _plain(values, at)) if more.is_widget]))
        at += 1
        if _follows(one):
            at += _following(one, values, at, len(values) - at - len(waiting))
    return named


def _following(one: InputSpec, values: Sequence[Any], at: int, spare: int) -> int:
    """How many of the values from `at` on follow those of `one` and are no inputs. There are `spare` more than widgets."""
    if _has_after_generate(one):
        return 1
    if one.type == "BOUNDING_BOX":
        numbers = [_plain(values, at + more) for more in range(_BOX_NUMBERS)]
        return _BOX_NUMBERS if all(isinstance(number, int | float) for number in numbers) else 0
    return 1 if spare > 0 and _is_upload(values, at) else 0


def _least_places(one: InputSpec) -> int:
    return 2 if _has_after_generate(one) else 1


def _follows(one: InputSpec) -> bool:
    """Whether values that are no inputs may follow that of `one`."""
    return _has_after_generate(one) or one.type in ("BOUNDING_BOX", "LOAD_3D") or _has_upload(one)


def _without_buttons(values: Sequence[Any]) -> list[Any]:
    """The values of a node with a view of a model, whose buttons editors save as words among them."""
    plain = [_plain(values, at) for at in range(len(values))]
    return [
        value for value, word in zip(values, plain, strict=True) if not isinstance(word, str) or word not in _BUTTONS
    ]


def value_list(spec: NodeSpec, values: Mapping[str, Any]) -> list[Any]:
    """The values of a node's widgets as editors save them; a widget without a value gets its default or first choice."""
    result: list[Any] = []
    waiting = deque(widget_inputs(spec))
    while waiting:
        one = waiting.popleft()
        value = values.get(one.name, first_value(one))
        result.append(value)
        waiting.extendleft(reversed([more for more in brought(one, value) if more.is_widget]))
        if _has_after_generate(one):
            result.append("fixed")
        if _has_upload(one):
            result.append("image")
        if one.type == "BOUNDING_BOX":
            result += [value.get(key, 0) if isinstance(value, Mapping) else 0 for key in ("x", "y", "width", "height")]
    return result


def value_index(node: Mapping[str, Any], spec: NodeSpec | None, name: str) -> int | None:
    """Where in the list `widgets_values` of a saved node the value of its widget `name` stands; None if it cannot be known."""
    values = node.get("widgets_values")
    if not isinstance(values, list):
        return None
    named = named_values({**node, "widgets_values": [_Place(value, at) for at, value in enumerate(values)]}, spec)
    place = (named or {}).get(name)
    return place.at if isinstance(place, _Place) else None


class _Place(NamedTuple):
    """A value that knows where it stands in its list, and otherwise passes for itself."""

    value: Any
    at: int


def _plain(values: Sequence[Any], at: int) -> Any:
    value = values[at] if at < len(values) else None
    return value.value if isinstance(value, _Place) else value


def _is_after_generate(values: Sequence[Any], at: int, spare: bool) -> bool:
    """Whether this value says what happens to a seed. Old files have a boolean there: told by there being one to `spare`."""
    value = _plain(values, at)
    return (isinstance(value, str) and value in _AFTER_GENERATE) or (spare and isinstance(value, bool))


def _is_upload(values: Sequence[Any], at: int) -> bool:
    value = _plain(values, at)
    return isinstance(value, str) and value in _UPLOAD_KINDS


def _has_after_generate(one: InputSpec) -> bool:
    if one.type != "INT" and _CONTROL not in one.options:
        return False
    return one.seed or one.name in _SEED_NAMES or bool(one.options.get(_CONTROL))


def _has_upload(one: InputSpec) -> bool:
    return any(key.endswith("_upload") and value is True for key, value in one.options.items())


def first_value(one: InputSpec) -> Any:
    """The value of a widget that nobody has set: its default, else its first choice, zero or the empty text; or None."""
    declared = declared_value(one)
    return _EMPTY.get(one.type) if declared is None and one.required else declared


def declared_value(one: InputSpec) -> Any:
    """The value that a widget starts with by its declaration, as far as that says anything beyond a type; else None."""
    if one.default is not None or not one.required:
        return one.default
    if isinstance(one.choices, tuple) and one.choices:
        return one.choices[0]
    if one.type == CHOOSING:
        options = one.options.get("options")
        first = options[0] if isinstance(options, list | tuple) and options else None
        return first.get("key") if isinstance(first, Mapping) else None
    if one.type == "IMAGECOMPARE":
        return ["", ""]  # the pictures that it compares: none yet
    says = (one.ge, one.le, one.step, one.tip or None, one.options or None, one.multiline or None, one.seed or None)
    return _EMPTY.get(one.type) if any(fact is not None for fact in says) else None


_EMPTY: Final[Mapping[str, Any]] = {"INT": 0, "FLOAT": 0.0, "STRING": "", "BOOLEAN": False}


def joined(value: Any) -> str:
    """A list as a text box shows it: its items with commas between."""
    return ",".join("" if one is None else joined(one) if isinstance(one, list) else str(one) for one in value)
