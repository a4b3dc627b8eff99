"""Single values to be linked to several nodes, or set from outside."""

from __future__ import annotations

from typing import Annotated

from engine.api import In, Out, Text, node

WholeNumber = Annotated[int, In(ge=-(2**63) + 1, le=2**63 - 1, seed=True, tip="A whole number.")]
Number = Annotated[float, In(ge=-(2**63) + 1, le=2**63 - 1, tip="A number.")]
ShownSeed = Annotated[int, In(ge=0, le=2**63 - 1, seed=True, tip="A whole number, which may change after every run.")]
Line = Annotated[str, In(options={"multiline": False})]


@node("PrimitiveInt", category="utils/primitive", display_name="Int")
def primitive_int(value: WholeNumber) -> int:
    """Give a whole number."""
    return value


@node("PrimitiveFloat", category="utils/primitive", display_name="Float")
def primitive_float(value: Number) -> float:
    """Give a number."""
    return float(value)


@node("PrimitiveString", category="utils/primitive", display_name="String")
def primitive_string(value: Line) -> str:
    """Give a line of text."""
    return value


@node("PrimitiveStringMultiline", category="utils/primitive", display_name="String (Multiline)")
def primitive_string_multiline(value: Text) -> str:
    """Give a text of several lines."""
    return value


@node("PrimitiveBoolean", category="utils/primitive", display_name="Boolean")
def primitive_boolean(value: bool) -> bool:
    """Give true or false."""
    return value


@node("SeedNode", category="utils", display_name="Seed")
def seed_node(seed: ShownSeed) -> Annotated[int, Out(name="seed")]:
    """Give one seed to several nodes."""
    return seed
