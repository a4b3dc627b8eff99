"""Values that a model holds for its options: tensors, conditionings, handles of other models."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.cache.digests import digest

if TYPE_CHECKING:
    from engine.api import Model


def carrying(model: Model, value: Any, where: str) -> tuple[Model, str]:
    """Return the model with a value in it, and the name by which options find it: the digest of its content.

    Raises ValueError, which names `where` the value came from, for a value whose content cannot be told.
    """
    found = digest(value)
    if found is None:
        raise ValueError(
            f"{where}: expected a value that is known by its content, got one with something of a pack in it that is not. "
            "Connect one that was made by built-in nodes."
        )
    return model.carrying(found.hex(), value), found.hex()
