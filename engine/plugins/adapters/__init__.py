"""Nodes that packs declare as classes, made into NodeDefinitions.

Glossary: *V1* is a class with INPUT_TYPES, RETURN_TYPES and FUNCTION in a module's NODE_CLASS_MAPPINGS; *V3* is a class with
define_schema and execute that a module's comfy_entrypoint gives. An *adapter* finds them in a module; what is wrong with one of
them is a problem of that class alone, and the others are nodes all the same.
"""

from __future__ import annotations

from types import ModuleType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from engine.authoring.definition import NodeDefinition

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
