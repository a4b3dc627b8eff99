"""What a run and its executor know of each other."""

from __future__ import annotations

from typing import Any, Protocol, TypeVar

from engine.authoring.definition import NodeDefinition
from engine.cache.facade import Cache
from engine.execute.facts import SpecFacts
from engine.execute.growth import ExpansionLimits
from engine.execute.measures import Peak
from engine.execute.services import Services
from engine.execute.shared_use import Sharing

R = TypeVar("R", contravariant=True)
"""The run."""


class RunHost(Protocol[R]):
    """What a run needs of the executor that it runs in: what it may use, and threads to work on it."""

    cache: Cache
    services: Services
    max_threads: int
    expansion_limits: ExpansionLimits
    flush_at_end: bool
    sharing: Sharing
    peak: Peak

    def definition(self, name: str, /) -> NodeDefinition:
        """The runnable node of a type, by `spec.name`; may import its module."""
        ...

    def facts(self, class_type: str) -> SpecFacts | None:
        """What is known of a node type (or an alias of one), or None."""
        ...

    def instance(self, node_id: str, definition: NodeDefinition) -> list[Any]:
        """The instance of a class node that stays with its node id between runs, as leading arguments of the call."""
        ...

    def submit(self, run: R) -> None:
        """Have a thread work on `run`, which has counted it already."""
        ...

    def idle(self, run: R) -> None:
        """The last thread of `run` has left."""
        ...
