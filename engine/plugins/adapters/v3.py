"""V3: classes with `define_schema` and `execute`, given by the extension that a module's `comfy_entrypoint` makes."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import partial
from types import ModuleType
from typing import Any, Final

import msgspec

from engine.authoring.context import Context
from engine.authoring.definition import ExecutionBlocker, NodeDefinition, NodeResult
from engine.authoring.groups import gathered
from engine.datatypes.sockets import ANY_TYPE
from engine.graph.schema import InputSpec, NodeSpec, OutputSpec
from engine.plugins.adapters import calls, left_out
from engine.plugins.adapters.declaration import input_spec, type_name
from engine.plugins.adapters.results import read_parts, read_v1
from engine.plugins.adapters.v1 import is_dynamic
from engine.plugins.compat.io_words import HiddenHolder
from engine.plugins.compat.running import running
from engine.plugins.reasons import reason
from engine.plugins.traces import in_place

MATCH: Final = "COMFY_MATCHTYPE_V3"
CHOOSING: Final = "COMFY_DYNAMICCOMBO_V3"
GROUPED: Final = frozenset({"COMFY_AUTOGROW_V3", CHOOSING, "COMFY_DYNAMICSLOT_V3"})
"""Types of inputs that stand for several, which prompts name `group.input`."""

_PARAMETERS: Final = {
    "UNIQUE_ID": "unique_id",
    "PROMPT": "prompt",
    "EXTRA_PNGINFO": "extra_pnginfo",
    "DYNPROMPT": "dynprompt",
}

_HIDDEN: Final = "hidden "
"""Before the name of a hidden parameter that an input has too."""


def extension_nodes(module: ModuleType, problems: list[str]) -> list[NodeDefinition]:
    """The nodes of a module's extension; what is wrong with one of them is added to `problems`."""
    enter = getattr(module, "comfy_entrypoint", None)
    if not callable(enter):
        return []
    found = []
    for cls in _run(_classes(enter)):
        try:
            found.append(definition(cls, module.__name__))
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            name = getattr(cls, "__name__", repr(cls))
            why = reason(error, getattr(module, "__file__", None) or "")
            left_out(problems, name, why, partial(definition, cls, module.__name__))
    return found


def definition(cls: Any, module: str, name: str = "", title: str = "") -> NodeDefinition:
    """The node of one class, under the `name` and `title` of a table where it stands in one. Raises what the class raises."""
    with suppress(AttributeError, TypeError):
        cls.RELATIVE_PYTHON_MODULE = module

    def spec_of() -> tuple[NodeSpec, tuple[str, ...]]:
        spec, groups = _spec(cls, module)
        named = {"name": name or spec.name, "display_name": title or spec.display_name}
        return msgspec.structs.replace(spec, **named), groups

    spec, groups = spec_of()
    is_async = inspect.iscoroutinefunction(cls.execute)
    caller = _Caller(cls, spec, groups)
    made = NodeDefinition(
        spec=spec,
        run=caller.awaited if is_async else caller.blocking,
        read=read,
        is_async=is_async,
        respec=lambda: spec_of()[0],
    )
    if _overridden(cls, "check_lazy_status"):
        made.lazy_status = caller.lazy_status
    if _overridden(cls, "fingerprint_inputs"):
        made.fingerprint = calls.contained(caller.fingerprint)
    if _overridden(cls, "validate_inputs"):
        owned = calls.Owned(cls.validate_inputs)
        made.validate, made.owned_inputs = calls.check_of(cls.validate_inputs, owned), owned.inputs
    return made


def read(spec: NodeSpec, raw: Any) -> NodeResult:
    """Read a NodeOutput, or what V1 functions return."""
    if not hasattr(raw, "block_execution"):
        return read_v1(spec, raw)
    if raw.block_execution is not None:
        return NodeResult((ExecutionBlocker(raw.block_execution or None),) * spec.slots)
    shown = raw.ui.as_dict() if hasattr(raw.ui, "as_dict") else raw.ui
    return read_parts(spec, tuple(raw.args or ()), shown, raw.expand)


class _Caller:
    """Calls the class methods of a node, each time on a class of its own that knows the hidden inputs."""

    def __init__(self, cls: Any, spec: NodeSpec, groups: tuple[str, ...]) -> None:
        self._cls = cls
        self._hidden = tuple(spec.hidden)
        self._groups = groups
        self._caller = calls.Caller(spec, ())

    def blocking(self, ctx: Context, /, **given: Any) -> Any:
        """Run it."""
        with running(ctx), in_place():
            target, inputs = self._prepared(given)
            return target.execute(**inputs)

    async def awaited(self, ctx: Context, /, **given: Any) -> Any:
        """Run a coroutine function."""
        with running(ctx), in_place():
            target, inputs = self._prepared(given)
            return await target.execute(**inputs)

    def lazy_status(self, **given: Any) -> Any:
        """Which lazy inputs are wanted."""
        target, inputs = self._prepared(given)
        return target.check_lazy_status(**inputs)

    def fingerprint(self, **given: Any) -> Any:
        """What outside state it reads."""
        target, inputs = self._prepared(given)
        return target.fingerprint_inputs(**inputs)

    def _prepared(self, given: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        hidden = HiddenHolder(**{name.removeprefix(_HIDDEN): given.pop(name, None) for name in self._hidden})
        target = type(self._cls.__name__, (self._cls,), {"hidden": hidden})
        return target, gathered(self._caller.arguments(given), self._groups)


def _groups(inputs: Iterable[Any], around: str = "") -> Iterator[str]:
    """The names in prompts of all inputs that stand for several, also of those that a choice brings."""
    for one in inputs:
        if _io_type(one) in GROUPED:
            yield f"{around}{one.id}"
        for option in getattr(one, "options", None) or () if _io_type(one) == CHOOSING else ():
            yield from _groups(option.inputs, f"{around}{one.id}.")


async def _classes(enter: Callable[[], Any]) -> list[Any]:
    extension = enter()
    if inspect.isawaitable(extension):
        extension = await extension
    load = getattr(extension, "on_load", None)
    if callable(load) and inspect.isawaitable(loading := load()):
        await loading
    found = extension.get_node_list()
    return list(await found if inspect.isawaitable(found) else found)


def _run(coroutine: Any) -> Any:
    """The result of a coroutine; modules are imported on threads without a loop, and on the thread of a test that has one."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(coroutine)
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(1) as threads:
        return threads.submit(asyncio.run, coroutine).result()


def _overridden(cls: Any, name: str) -> bool:
    """Whether the pack's class has the method itself, and not only the base of all V3 classes."""
    for parent in cls.__mro__:
        if name in vars(parent):
            return not parent.__module__.startswith("engine.plugins.compat")
    return False


def _schema(cls: Any) -> Any:
    from engine.plugins.compat.io_nodes import ComfyNode

    if issubclass(cls, ComfyNode):
        return cls.GET_SCHEMA()
    return cls.define_schema()  # on a class that is absent


def _spec(cls: Any, module: str) -> tuple[NodeSpec, tuple[str, ...]]:
    schema = _schema(cls)
    lazy = _overridden(cls, "check_lazy_status")
    inputs = tuple(_input(one, lazy=lazy) for one in schema.inputs or ())
    groups = tuple(dict.fromkeys(_groups(schema.inputs or ())))
    kinds = [str(getattr(one, "value", one)) for one in schema.hidden or ()]
    spec = NodeSpec(
        called_without=True,
        name=schema.node_id,
        inputs=inputs,
        outputs=tuple(_output(one) for one in schema.outputs or ()),
        display_name=schema.display_name or "",
        category=schema.category or "sd",
        doc=schema.description or "",
        module=module,
        output_node=bool(schema.is_output_node),
        input_is_list=bool(schema.is_input_list),
        cache=not getattr(schema, "not_idempotent", False),
        has_validate=_overridden(cls, "validate_inputs"),
        has_fingerprint=_overridden(cls, "fingerprint_inputs"),
        open_inputs=bool(groups) or bool(getattr(schema, "accept_all_inputs", False)),
        hidden=_hidden(kinds, {one.name for one in inputs}),
        deprecated=bool(schema.is_deprecated),
        experimental=bool(schema.is_experimental),
        dynamic=is_dynamic(cls.define_schema, inputs) and _reads_folders(cls),
    )
    return spec, groups


def _hidden(kinds: list[str], inputs: set[str]) -> dict[str, str]:
    """Parameter → kind. They reach the class and not its function, so inputs may have the same names."""
    names = {kind: _PARAMETERS[kind] for kind in kinds if kind in _PARAMETERS}
    return {f"{_HIDDEN}{name}" if name in inputs else name: kind for kind, name in names.items()}


def _reads_folders(cls: Any) -> bool:
    """Whether define_schema names more than the classes that schemas are made of."""
    code = getattr(getattr(cls.define_schema, "__func__", None), "__code__", None)
    return code is None or "folder_paths" in code.co_names or "os" in code.co_names or bool(code.co_freevars)


def _input(one: Any, *, lazy: bool) -> InputSpec:
    options = {key: value for key, value in one.as_dict().items() if value is not None}
    kind = _io_type(one)
    if kind == MATCH:
        kind = _template_type(one)
    made = input_spec(one.id, (kind, options), required=not one.optional)
    grouped = kind in GROUPED
    changes: dict[str, Any] = {} if lazy or not made.lazy else {"lazy": False}
    if grouped:  # only the one with choices has a value of its own, and its choices do not list it
        required = made.required and kind == CHOOSING
        changes |= {"required": required, "choices": None, "default": None}
    return msgspec.structs.replace(made, **changes) if changes else made


def _output(one: Any) -> OutputSpec:
    kind = _io_type(one)
    kind = _template_type(one) if kind == MATCH else type_name(kind)
    name = getattr(one, "display_name", None) or one.id or kind
    match = str(getattr(getattr(one, "template", None), "template_id", "") or "")
    return OutputSpec(name=name, type=kind, is_list=bool(one.is_output_list), tip=one.tooltip or "", match=match)


def _template_type(one: Any) -> str:
    """The union of the types that a template allows."""
    allowed = getattr(getattr(one, "template", None), "allowed_types", None) or ()
    kinds = dict.fromkeys(str(getattr(kind, "io_type", kind)) for kind in allowed)
    return ANY_TYPE if not kinds or ANY_TYPE in kinds else ",".join(kinds)


def _io_type(one: Any) -> Any:
    return one.get_io_type() if hasattr(one, "get_io_type") else one.io_type
