"""Nodes that packs declare as classes, made into NodeDefinitions.

Glossary: *V1* is a class with INPUT_TYPES, RETURN_TYPES and FUNCTION in a module's NODE_CLASS_MAPPINGS; *V3* is a class with
define_schema and execute that a module's comfy_entrypoint gives. An *adapter* finds them in a module; what is wrong with one of
them is a problem of that class alone, and the others are nodes all the same.
"""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from engine.authoring.definition import NodeDefinition

Again: TypeAlias = "Callable[[], NodeDefinition]"
"""Declares a node that was left out: what its class looks for may be there by now."""


class Problems(list[str]):
    """What is wrong with single nodes of a module, and how to ask those for their declarations once more."""

    def __init__(self) -> None:
        super().__init__()
        self.again: dict[str, Again] = {}


def left_out(problems: list[str], name: str, why: str, again: Again) -> None:
    """Note that a node is left out because its class raised."""
    problems.append(f"{left_out_words(name)} {why}")
    if isinstance(problems, Problems):
        problems.again[name] = again


def left_out_words(name: str) -> str:
    """How the problem of a node that is left out begins."""
    return f"node {name} is left out:"


ASSIGNED: Final = "__safelight_assigned__"
"""Attribute under which a module of a pack keeps the node classes that it put into the field's own table."""


def class_nodes(module: ModuleType, problems: list[str]) -> list[NodeDefinition]:
    """The V1 nodes of a module. Imports the adapter only when there are some."""
    if not hasattr(module, "NODE_CLASS_MAPPINGS") and not hasattr(module, ASSIGNED):
        return []
    from engine.plugins.adapters import v1

    return v1.class_nodes(module, problems)


def extension_nodes(module: ModuleType, problems: list[str]) -> list[NodeDefinition]:
    """The V3 nodes of a module, if it has no table of V1 nodes. Imports the adapter only when there are some."""
    if not hasattr(module, "comfy_entrypoint") or getattr(module, "NODE_CLASS_MAPPINGS", None) is not None:
        return []
    from engine.plugins.adapters import v3

    return v3.extension_nodes(module, problems)


ADAPTERS = (class_nodes, extension_nodes)
