"""Truth of any values, and one of several branches by its name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeAlias

from engine.api import AnyValue, Growing, In, Out, Socket, node

if TYPE_CHECKING:
    Names: TypeAlias = list[str]
else:

    class Names(Socket, io_type="ARRAY"):
        """A list of texts."""


_VALUES: Final = {"input": {"required": {"value": ["*", {}]}}, "min": 1, "max": 100, "prefix": "value"}
_BRANCHES: Final = {
    "input": {"required": {"branch": ["*", {"lazy": True}]}},
    "min": 1,
    "max": 32,
    "prefix": "branch",
}
_NO_NAMES: Final[list[str]] = []

Values = Annotated[Growing, In(tip="Values of any type.", options={"template": _VALUES})]


@node("ComfyAndNode", category="utils/logic", display_name="And")
def and_node(values: Values) -> bool:
    """Say whether all linked values are true: 0, empty texts and lists, and None are not.

    Raises ValueError for a value whose truth Python does not tell, such as a picture.
    """
    return all(_truth("ComfyAndNode", value) for value in _in_order(values))


@node("ComfyOrNode", category="utils/logic", display_name="Or")
def or_node(values: Values) -> bool:
    """Say whether one of the linked values is true: 0, empty texts and lists, and None are not.

    Raises ValueError for a value whose truth Python does not tell, such as a picture.
    """
    return any(_truth("ComfyOrNode", value) for value in _in_order(values))


@node("ComfyNotNode", category="utils/logic", display_name="Not")
def not_node(value: AnyValue) -> Annotated[bool, Out(name="output")]:
    """Say whether a value is false: 0, an empty text or list, or None.

    Raises ValueError for a value whose truth Python does not tell, such as a picture.
    """
    return not _truth("ComfyNotNode", value)


def _in_order(values: Mapping[str, Any]) -> list[Any]:
    return [values[name] for name in sorted(values, key=lambda name: int(name.removeprefix("value")))]


def _truth(name: str, value: Any) -> bool:
    try:
        return bool(value)
    except (ValueError, RuntimeError, TypeError):
        raise ValueError(
            f"{name}: a {type(value).__name__} of several numbers is neither true nor false; link a number, a text, a list "
            "or a truth value, such as what a comparison gives."
        ) from None


@node("BranchNode", category="utils/logic", display_name="Branch")
async def branch_node(
    autogrow: Annotated[Growing, In(tip="The branches; one is computed.", options={"template": _BRANCHES})],
    branch: Annotated[str, In(tip="Name of the branch to take.", options={"multiline": False})] = "",
    branch_names: Annotated[
        Names, In(widget="BRANCH_NAMES", tip="The names of the linked branches, which front ends keep.")
    ] = _NO_NAMES,
) -> Annotated[AnyValue, Out(name="output")]:
    """Give the value of the branch that is named; what the others depend on does not run.

    `branch_names` are those of the linked branches in their order; a branch without one is called as its input is, branch0
    (inferred). Raises ValueError for a name that no linked branch has.
    """
    linked = sorted(autogrow, key=lambda name: int(name.removeprefix("branch")))
    known = {name: name for name in linked}
    known |= dict(zip((str(name) for name in branch_names), linked))
    if branch not in known:
        names = [str(name) for name in branch_names] or linked
        raise ValueError(
            f"BranchNode: no linked branch is called {branch[:80]!r}; choose one of {', '.join(names) or 'none'}, or link it."
        )
    return await autogrow[known[branch]]()
