"""The `@node` decorator: a typed function, or a class with a `run` method, becomes a node and stays what it was."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from engine.authoring.definition import DEFINITION, NodeDefinition, read_result
from engine.authoring.groups import gathering, group_names
from engine.authoring.signature import NodeDeclarationError, inputs_of, outputs_of, takes_more
from engine.graph.dynamic import lazy_names
from engine.graph.schema import NodeSpec

F = TypeVar("F", bound=Callable[..., Any])


def node(
    name: str,
    *,
    category: str = "",
    display_name: str | None = "",
    output: bool = False,
    cache: bool = True,
    input_is_list: bool = False,
    without_blocked: bool = False,
    deprecated: bool = False,
    experimental: bool = False,
    stand_in: bool = False,
    hidden: Mapping[str, str] | None = None,
) -> Callable[[F], F]:
    """Declare the decorated function or class as the node type `name`.

    With `display_name` None no name is told beside it, as of many of the field's nodes; editors show `name` then.
    `output` nodes are what a run is for; `cache=False` runs anew every time; with `input_is_list` the node gets whole
    lists (`list[Image]`) instead of being run per item, and `without_blocked` those without what a Gate holds back, where it
    would be skipped. `hidden` lists the hidden inputs (name → kind) that the field's
    class has: editors are told of them, and the node takes what would be in them from `ctx`. A `stand_in` among the built-in
    nodes gives way to a pack's node of the same name.

    A class has a `run` method with the node's signature, and one instance is kept per node of a graph. It may have two
    static or class methods, each with some of the inputs as parameters (None where one is linked): `validate` gives True
    or says what is wrong, before a job is accepted; `fingerprint` gives text or a number that changes when what the node
    reads of the world does.
    A parameter `**more: Any` takes inputs beyond the declared ones. Inputs of the types Growing and Choosing are dicts of what
    they stand for.
    Raises NodeDeclarationError where the signature does not declare a node.
    """

    def declare(target: F) -> F:
        run: Any = getattr(target, "run", None) if inspect.isclass(target) else target
        if run is None:
            raise NodeDeclarationError(f"Node {name}: class {target.__name__} has no method `run`; write one.")
        wants_ctx, inputs = inputs_of(name, run)
        lazy = lazy_names(inputs)
        if lazy and not inspect.iscoroutinefunction(run):
            raise NodeDeclarationError(f"Node {name}: a function with Lazy inputs awaits them; write `async def`.")
        groups = tuple(dict.fromkeys(group_names(inputs)))
        spec = NodeSpec(
            name=name,
            inputs=inputs,
            outputs=outputs_of(name, run),
            display_name=name if display_name == "" else display_name or "",
            category=category,
            doc=inspect.getdoc(target) or "",
            module=target.__module__,
            output_node=output,
            cache=cache,
            input_is_list=input_is_list,
            without_blocked=without_blocked and input_is_list,
            has_validate=inspect.isclass(target) and hasattr(target, "validate"),
            has_fingerprint=inspect.isclass(target) and hasattr(target, "fingerprint"),
            deprecated=deprecated,
            experimental=experimental,
            stand_in=stand_in,
            open_inputs=bool(groups) or takes_more(run),
            told_hidden=dict(hidden or {}),
        )
        definition = NodeDefinition(
            spec,
            gathering(run, groups) if groups else run,
            read_result,
            is_async=inspect.iscoroutinefunction(run),
            wants_ctx=wants_ctx,
            make=target if inspect.isclass(target) else None,
            validate=_asked(name, target, "validate"),
            fingerprint=_asked(name, target, "fingerprint"),
            lazy_inputs=lazy,
        )
        setattr(target, DEFINITION, definition)
        return target

    return declare


def _asked(name: str, target: Any, method: str) -> Callable[..., Any] | None:
    """The method of a node class as the engine asks it: with all that is known, of which it gets what it names."""
    function = getattr(target, method, None)
    if function is None or not inspect.isclass(target):
        return None
    if inspect.isfunction(inspect.getattr_static(target, method)):
        raise NodeDeclarationError(
            f"Node {name}: `{method}` is asked before there is an object. Write @staticmethod above it, without self."
        )
    parameters = inspect.signature(function).parameters
    takes_all = any(one.kind is inspect.Parameter.VAR_KEYWORD for one in parameters.values())

    def ask(**known: Any) -> Any:
        known.pop("input_types", None)  # what links bring is of use to classes of the field only
        return function(**{key: value for key, value in known.items() if takes_all or key in parameters})

    return ask


def definition_of(target: Any) -> NodeDefinition | None:
    """The definition of a decorated function or class, or None for anything else."""
    found = getattr(target, DEFINITION, None)
    return found if isinstance(found, NodeDefinition) else None
