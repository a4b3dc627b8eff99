"""Single values to be linked to several nodes, or set from outside."""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple

from engine.api import Choice, ExecutionBlocker, In, Out, Text, node

WholeNumber = Annotated[int, In(ge=-(2**63) + 1, le=2**63 - 1, seed=True, tip="A whole number.")]
Number = Annotated[float, In(ge=-(2**63) + 1, le=2**63 - 1, tip="A number.")]
ShownSeed = Annotated[int, In(ge=0, le=2**63 - 1, seed=True, tip="A whole number, which may change after every run.")]
Line = Annotated[str, In(options={"multiline": False})]


class Chosen(NamedTuple):
    """A choice and where it stands."""

    STRING: str
    INDEX: Annotated[int, Out(tip="Place in the list, from 0.")]


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


@node("CustomCombo", category="utils", display_name="Custom Combo", experimental=True)
def custom_combo(
    choice: Annotated[Choice, In(tip="One of the choices that stand on the node.", options={"options": []})],
    **more: Any,
) -> Chosen:
    """Give a text chosen from a list of one's own, and its place in that list from 0.

    Front ends keep the list, and tell the place as `index`. Where none is told, what would receive it fails and says so.
    """
    index: Any = more.get("index")
    if not isinstance(index, int):
        index = ExecutionBlocker(
            "CustomCombo: the prompt does not tell `index`, the place of the choice; add it, from 0."
        )
    return Chosen(str(choice), index)
