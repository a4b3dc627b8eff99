"""Values in the form that clients of the field's protocol expect."""

from __future__ import annotations


def number(value: float) -> float:
    """Whole numbers without a decimal point in JSON (`20`, not `20.0`): clients count with them."""
    return int(value) if isinstance(value, float) and value.is_integer() else value
