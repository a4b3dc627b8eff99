"""Lists of values: made, and taken apart."""

from __future__ import annotations

from typing import Annotated, Any, Final

from engine.api import AnyValue, Growing, In, Out, node

_INPUTS: Final = {
    "input": {"required": {"input": ["*", {}]}},
    "min": 1,
    "max": 100,
    "prefix": "input",
}


@node("CreateList", category="utils/list", display_name="Create List", input_is_list=True)
def create_list(
    inputs: Annotated[Growing, In(tip="Values, or lists of them, of one type.", options={"template": _INPUTS})],
) -> Annotated[list[AnyValue], Out(name="list")]:
    """Put all linked values into one list, in the order of the inputs; of an input that is a list, all its items."""
    order = sorted(inputs, key=lambda name: int(name.removeprefix("input")))
    return [item for name in order for item in inputs[name]]


@node("GetItemFromList", category="utils/list", display_name="Get Item From List", input_is_list=True)
def get_item_from_list(
    list: AnyValue,
    index: Annotated[int, In(ge=-(2**31), le=2**31 - 1, tip="From 0; negative counts from the end.")] = 0,
) -> Annotated[AnyValue, Out(name="*")]:
    """Give one item of a list. That negative indices count from the end is inferred.

    Raises ValueError where there is no such item.
    """
    items: Any = list
    at: Any = index
    place = at[0] if not isinstance(at, int) else at
    if not -len(items) <= place < len(items):
        raise ValueError(
            f"GetItemFromList: index is {place}, but the list has {len(items)} items; "
            + (f"choose 0 to {len(items) - 1}." if items else "see why what is linked gives none.")
        )
    return items[place]
