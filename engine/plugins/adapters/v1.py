"""V1: classes with INPUT_TYPES, RETURN_TYPES and FUNCTION, listed in NODE_CLASS_MAPPINGS."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

import msgspec

from engine.authoring.definition import NodeDefinition
from engine.graph.schema import InputSpec, NodeSpec
from engine.plugins.adapters import calls
from engine.plugins.adapters.declaration import claims_all, hidden_of, input_spec, named, output_specs, section
from engine.plugins.adapters.results import read_v1
from engine.plugins.compat.host import host_or_none


def class_nodes(module: ModuleType, problems: list[str]) -> list[NodeDefinition]:
    """The nodes that a module lists; what is wrong with one of them is added to `problems`."""
    classes = getattr(module, "NODE_CLASS_MAPPINGS", None)
    if not isinstance(classes, Mapping):
        return []
    titles = getattr(module, "NODE_DISPLAY_NAME_MAPPINGS", None)
    found = []
    for name, cls in list(classes.items()):
        try:
            title = titles.get(name) if isinstance(titles, Mapping) else None
            found.append(definition(str(name), cls, title if isinstance(title, str) else "", module.__name__))
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # a node that calls sys.exit() while it is asked for its inputs
            problems.append(f"node {name} is left out: {type(error).__name__}: {error}")
    _share(classes, titles)
    return found


def _share(classes: Mapping[Any, Any], titles: Any) -> None:
    """Let packs find the classes of other packs where the field keeps them. Core classes stay what they are."""
    if host_or_none() is None:
        return
    core = sys.modules.get("nodes")
    try:
        known, known_titles = core.NODE_CLASS_MAPPINGS, core.NODE_DISPLAY_NAME_MAPPINGS  # type: ignore[union-attr]
    except (AttributeError, ImportError):  # a program without core nodes
        return
    for name, cls in list(classes.items()):
        known.setdefault(name, cls)
    for name, title in titles.items() if isinstance(titles, Mapping) else ():
        known_titles.setdefault(name, title)


def definition(name: str, cls: Any, title: str, module: str) -> NodeDefinition:
    """The node of one class. Raises what the class raises, and TypeError for one that is no node."""
    function = _function_name(name, cls)
    spec, unfilled = _spec(name, cls, title, module)
    caller = calls.Caller(spec, unfilled)
    is_async = inspect.iscoroutinefunction(getattr(cls, function))
    made = NodeDefinition(
        spec=spec,
        run=(calls.awaited if is_async else calls.blocking)(caller, function),
        read=read_v1,
        is_async=is_async,
        make=cls,
        respec=_Asking(name, cls, title, module, spec),
    )
    if hasattr(cls, "check_lazy_status"):
        made.lazy_status = calls.lazy_status(caller)
    if hasattr(cls, "IS_CHANGED"):
        made.fingerprint = cls.IS_CHANGED
    if hasattr(cls, "VALIDATE_INPUTS"):
        owned = calls.Owned(cls.VALIDATE_INPUTS)
        made.validate, made.owned_inputs = calls.check_of(cls.VALIDATE_INPUTS, owned), owned.inputs
    return made


class _Asking:
    """Declares a class anew; cheap while it says the same as before."""

    def __init__(self, name: str, cls: Any, title: str, module: str, spec: NodeSpec) -> None:
        self._arguments = (name, cls, title, module)
        self._spec = spec
        self._said = ""

    def __call__(self) -> NodeSpec:
        said = repr(self._arguments[1].INPUT_TYPES())  # a copy: lists that packs give may be changed in place
        if said != self._said:
            self._spec, _ = _spec(*self._arguments)
            self._said = said
        return self._spec


def _function_name(name: str, cls: Any) -> str:
    function = getattr(cls, "FUNCTION", None)
    if not isinstance(function, str) or not callable(getattr(cls, function, None)):
        raise TypeError(f"FUNCTION of {name} names no method: {function!r}")
    return function


def _spec(name: str, cls: Any, title: str, module: str) -> tuple[NodeSpec, tuple[str, ...]]:
    """The declaration, and the hidden inputs that nobody fills."""
    declared = cls.INPUT_TYPES()
    required, optional, hidden = (section(declared, one) for one in ("required", "optional", "hidden"))
    known, unfilled = hidden_of(hidden)
    inputs = _inputs(required, optional, lazy=hasattr(cls, "check_lazy_status"))
    spec = NodeSpec(
        name=name,
        inputs=inputs,
        outputs=output_specs(
            getattr(cls, "RETURN_TYPES", ()),
            getattr(cls, "RETURN_NAMES", ()),
            getattr(cls, "OUTPUT_IS_LIST", ()),
            getattr(cls, "OUTPUT_TOOLTIPS", ()),
        ),
        display_name=title,
        category=_text(cls, "CATEGORY") or "sd",
        doc=_text(cls, "DESCRIPTION"),
        module=module,
        output_node=getattr(cls, "OUTPUT_NODE", False) is True,
        input_is_list=bool(getattr(cls, "INPUT_IS_LIST", False)),
        cache=not getattr(cls, "NOT_IDEMPOTENT", False),
        has_validate=hasattr(cls, "VALIDATE_INPUTS"),
        has_fingerprint=hasattr(cls, "IS_CHANGED"),
        open_inputs=any(map(claims_all, (required, optional, hidden))) or _is_open(cls),
        hidden=known,
        deprecated=bool(getattr(cls, "DEPRECATED", False)),
        experimental=bool(getattr(cls, "EXPERIMENTAL", False)),
        dynamic=is_dynamic(cls.INPUT_TYPES, inputs),
    )
    return spec, unfilled


def _inputs(required: Any, optional: Any, *, lazy: bool) -> tuple[InputSpec, ...]:
    """The declared inputs. Lazy ones of a class that never says what it wants are not lazy: nobody would make them."""
    found: dict[str, InputSpec] = {}
    for entries, needed in ((required, True), (optional, False)):
        for name, declared in named(entries):
            one = input_spec(name, declared, required=needed)
            found.setdefault(name, one if lazy or not one.lazy else _not_lazy(one))
    return tuple(found.values())


def _not_lazy(spec: InputSpec) -> InputSpec:
    return msgspec.structs.replace(spec, lazy=False)


def is_dynamic(function: Callable[..., Any], inputs: tuple[InputSpec, ...]) -> bool:
    """Whether asking again may give other choices: not when the function names nothing outside itself."""
    if not any(one.type == "COMBO" for one in inputs):
        return False
    code = getattr(inspect.unwrap(getattr(function, "__func__", function)), "__code__", None)
    return code is None or bool(code.co_names) or bool(code.co_freevars)


def _is_open(cls: Any) -> bool:
    """Whether undeclared inputs are taken. Some packs say so only to callers of one name, looking up to two frames back."""
    try:
        declared = get_input_info(cls)
        return any(claims_all(section(declared, one)) for one in ("required", "optional", "hidden"))
    except Exception:
        return False


def _asker() -> Callable[[Any], Any]:
    def get_input_info(cls: Any) -> Any:
        return cls.INPUT_TYPES()

    return get_input_info


_ask = _asker()


def get_input_info(cls: Any) -> Any:
    """What INPUT_TYPES gives where a graph is built; the two callers nearest to it have the name that packs look for."""
    return _ask(cls)


def _text(cls: Any, name: str) -> str:
    found = getattr(cls, name, "")
    return str.__str__(found) if isinstance(found, str) else ""
