"""V1: classes with INPUT_TYPES, RETURN_TYPES and FUNCTION, listed in NODE_CLASS_MAPPINGS."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from types import ModuleType
from typing import Any, Final

import msgspec

from engine.authoring.definition import NodeDefinition
from engine.graph.schema import InputSpec, NodeSpec
from engine.plugins.adapters import ASSIGNED, calls, left_out
from engine.plugins.adapters.declaration import (
    claims,
    claims_all,
    claims_some,
    hidden_of,
    input_spec,
    more_outputs,
    named,
    output_specs,
    section,
)
from engine.plugins.adapters.plain import text_of
from engine.plugins.adapters.results import read_v1
from engine.plugins.compat.host import host_or_none
from engine.plugins.reasons import reason

SECTIONS: Final = ("required", "optional", "hidden")


def class_nodes(module: ModuleType, problems: list[str]) -> list[NodeDefinition]:
    """The nodes that a module lists; what is wrong with one of them is added to `problems`."""
    classes = getattr(module, "NODE_CLASS_MAPPINGS", None)
    if classes is None:
        classes = {}
    if not isinstance(classes, Mapping):
        problems.append(f"NODE_CLASS_MAPPINGS is {type(classes).__name__}, not a dict of classes by node name.")
        return []
    classes = {**_assigned(module, classes, problems), **classes}
    titles = getattr(module, "NODE_DISPLAY_NAME_MAPPINGS", None)
    found = []
    for name, cls in list(classes.items()):
        declare = partial(_titled, name, cls, titles, module.__name__)
        try:
            found.append(declare())
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # a node that calls sys.exit() while it is asked for its inputs
            left_out(problems, text_of(name), reason(error, getattr(module, "__file__", None) or ""), declare)
    _share(classes, titles)
    return found


def _titled(name: Any, cls: Any, titles: Any, module: str) -> NodeDefinition:
    title = titles.get(name) if isinstance(titles, Mapping) else None
    return _either(text_of(name), cls, text_of(title) if isinstance(title, str) else "", module)


def _assigned(module: ModuleType, listed: Mapping[Any, Any], problems: list[str]) -> dict[str, Any]:
    """The classes that the module put into the field's own table instead; those of core names are problems."""
    found = {}
    for name, cls in getattr(module, ASSIGNED, {}).items():
        if name in listed:
            continue
        if _core_table().is_core(name):
            problems.append(f"node {name} is left out: a built-in node has that name, and stays. Choose another name.")
        else:
            found[name] = cls
    return found


def _core_table() -> Any:
    return sys.modules["engine.plugins.compat.core_classes"].NODE_CLASS_MAPPINGS


def _either(name: str, cls: Any, title: str, module: str) -> NodeDefinition:
    """The node of a class, which may be a V3 class in a V1 table."""
    if hasattr(cls, "define_schema"):
        from engine.plugins.adapters import v3

        return v3.definition(cls, module, name, title)
    return definition(name, cls, title, module)


def _share(classes: Mapping[Any, Any], titles: Any) -> None:
    """Let packs find the classes of other packs where the field keeps them. Core classes stay what they are."""
    if host_or_none() is None:
        return
    core: Any = sys.modules.get("nodes")
    try:
        known, known_titles = core.NODE_CLASS_MAPPINGS, core.NODE_DISPLAY_NAME_MAPPINGS
    except (AttributeError, ImportError):  # a program without core nodes
        return
    for name, cls in list(classes.items()):
        if not known.is_core(name):
            known[name] = cls
    for name, title in titles.items() if isinstance(titles, Mapping) else ():
        known_titles.setdefault(name, title)


def definition(name: str, cls: Any, title: str, module: str) -> NodeDefinition:
    """The node of one class. Raises what the class raises, and TypeError for one that is no node."""
    function = _function_name(name, cls)
    with suppress(AttributeError, TypeError):
        cls.RELATIVE_PYTHON_MODULE = module
    spec, unfilled = _spec(name, cls, title, module)
    caller = calls.Caller(spec, unfilled)
    is_async = inspect.iscoroutinefunction(getattr(cls, function, None))
    made = NodeDefinition(
        spec=spec,
        run=(calls.awaited if is_async else calls.blocking)(caller, function),
        read=read_v1,
        is_async=is_async,
        make=cls,
        respec=_Asking(name, cls, title, module, spec),
    )
    if spec.chooses_inputs:
        made.takes = lambda name: takes(cls, name)
    if hasattr(cls, "check_lazy_status"):
        made.lazy_status = calls.lazy_status(caller)
    if hasattr(cls, "IS_CHANGED"):
        made.fingerprint = calls.contained(cls.IS_CHANGED)
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
    function = getattr(cls, "FUNCTION", "")
    if function == "" and getattr(cls, "RETURN_TYPES", None) == () and not getattr(cls, "OUTPUT_NODE", False):
        return ""  # a note: it has a text to show, nothing comes out of it, and no graph asks it to run
    if not isinstance(function, str) or not callable(getattr(cls, function, None)):
        raise TypeError(f"FUNCTION of {name} names no method: {function!r}")
    return function


def _spec(name: str, cls: Any, title: str, module: str) -> tuple[NodeSpec, tuple[str, ...]]:
    """The declaration, and the hidden inputs that nobody fills."""
    declared = cls.INPUT_TYPES()
    required, optional, hidden = (section(declared, one) for one in SECTIONS)
    known, unfilled, more_hidden = hidden_of(hidden)
    inputs = _inputs(required, optional, lazy=hasattr(cls, "check_lazy_status"))
    sections = (required, optional, hidden, *_sections_of_builders(cls))
    some = more_hidden or any(map(claims_some, sections))
    all_ = any(map(claims_all, sections))
    types = getattr(cls, "RETURN_TYPES", ())
    spec = NodeSpec(
        name=name,
        inputs=inputs,
        outputs=output_specs(
            types,
            getattr(cls, "RETURN_NAMES", ()),
            getattr(cls, "OUTPUT_IS_LIST", ()),
            getattr(cls, "OUTPUT_TOOLTIPS", ()),
        ),
        display_name=title or name,
        category=_text(cls, "CATEGORY") or "sd",
        doc=_text(cls, "DESCRIPTION"),
        module=module,
        output_node=getattr(cls, "OUTPUT_NODE", False) is True,
        input_is_list=bool(getattr(cls, "INPUT_IS_LIST", False)),
        cache=not getattr(cls, "NOT_IDEMPOTENT", False),
        has_validate=hasattr(cls, "VALIDATE_INPUTS"),
        has_fingerprint=hasattr(cls, "IS_CHANGED"),
        open_inputs=some or all_,
        chooses_inputs=some and not all_,
        more_outputs=more_outputs(types),
        hidden=known,
        deprecated=bool(getattr(cls, "DEPRECATED", False)),
        experimental=bool(getattr(cls, "EXPERIMENTAL", False)),
        called_without=True,
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


def takes(cls: Any, name: str) -> bool:
    """Whether a class wants the constant `name` that it does not declare. Raises what INPUT_TYPES raises."""
    declared = get_input_info(cls)
    return any(claims(section(declared, one), name) for one in SECTIONS)


def _sections_of_builders(cls: Any) -> tuple[Any, ...]:
    """The sections that are given where a graph is built. Some packs look up to two frames back for a caller of one name."""
    try:
        declared = get_input_info(cls)
        return tuple(section(declared, one) for one in SECTIONS)
    except Exception:
        return ()


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
    return text_of(found) if isinstance(found, str) else ""
