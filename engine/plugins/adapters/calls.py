"""Calling the functions of packs: on which object, with which arguments, and with the running node known to the shim."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Container, Mapping
from typing import Any

from engine.authoring.context import Context
from engine.graph.schema import NodeSpec
from engine.plugins.compat.running import running
from engine.plugins.compat.values import CHANGED, to_pack
from engine.plugins.traces import in_place


class EveryInput(Container[str]):
    """The names that a check with `**kwargs` owns: all inputs, and `input_types` only if it names that."""

    def __init__(self, types: bool) -> None:
        self._types = types

    def __contains__(self, name: object) -> bool:
        return self._types or name != "input_types"


class Owned:
    """Which arguments a function takes by name, and whether it takes any."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.names: frozenset[str] = frozenset()
        self.any = True
        try:
            parameters = inspect.signature(function).parameters.values()
        except (TypeError, ValueError):  # made in C, or says nothing of itself
            return
        self.names = frozenset(one.name for one in parameters if one.kind in _BY_NAME)
        self.any = any(one.kind is inspect.Parameter.VAR_KEYWORD for one in parameters)

    @property
    def inputs(self) -> Container[str]:
        """The inputs whose range and choice the function looks after itself."""
        return EveryInput("input_types" in self.names) if self.any else self.names

    def taken(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Those of `values` that the function takes."""
        return {
            name: value for name, value in values.items() if name in self.names or (self.any and name != "input_types")
        }


class Caller:
    """Prepares the arguments of a function: wrappers around handles, lists where it takes lists, None for what nobody fills."""

    __slots__ = ("_empty", "_hidden", "_lists")

    def __init__(self, spec: NodeSpec, unfilled: tuple[str, ...]) -> None:
        self._lists = spec.input_is_list
        self._hidden = tuple(spec.hidden)
        self._empty = dict.fromkeys(unfilled)

    def arguments(self, given: dict[str, Any]) -> dict[str, Any]:
        """What the function is called with: `given`, changed."""
        if self._lists:
            return self._listed(given)
        for name, value in given.items():
            if type(value) in CHANGED:
                given[name] = to_pack(value)
        if self._empty:
            return self._empty | given
        return given

    def _listed(self, given: dict[str, Any]) -> dict[str, Any]:
        found = {name: _wrapped(value) for name, value in given.items()}
        for name in self._hidden:
            if name in found:
                found[name] = [given[name]]
        return {name: [value] for name, value in self._empty.items()} | found


def blocking(caller: Caller, name: str) -> Callable[..., Any]:
    """The `run` of a node whose function `name` blocks."""

    def run(target: Any, ctx: Context, /, **given: Any) -> Any:
        with running(ctx), in_place():
            return getattr(target, name)(**caller.arguments(given))

    return run


def awaited(caller: Caller, name: str) -> Callable[..., Any]:
    """The `run` of a node whose function `name` is a coroutine function."""

    async def run(target: Any, ctx: Context, /, **given: Any) -> Any:
        with running(ctx), in_place():
            return await getattr(target, name)(**caller.arguments(given))

    return run


def lazy_status(caller: Caller, name: str = "check_lazy_status") -> Callable[..., Any]:
    """The function that says which lazy inputs are wanted."""

    def status(target: Any, /, **given: Any) -> Any:
        return getattr(target, name)(**caller.arguments(given))

    return status


def contained(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, whose sys.exit() is an error like others: it is called where that would end more than a node."""

    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except (SystemExit, KeyboardInterrupt) as error:
            raise RuntimeError(f"{type(error).__name__}: {error}") from error

    return call


def check_of(function: Callable[..., Any], owned: Owned) -> Callable[..., Any]:
    """A pack's check of inputs, called with what it takes of all that is known."""

    function = contained(function)

    def check(**values: Any) -> Any:
        return function(**owned.taken(values))

    return check


def _wrapped(value: Any) -> Any:
    return [to_pack(item) for item in value] if isinstance(value, list) else to_pack(value)


_BY_NAME = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
