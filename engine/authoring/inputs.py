"""What a node's signature may say beyond its types: ranges, choices, tooltips, laziness."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Generic, TypeAlias, TypeVar

import msgspec

from engine.graph.schema import Files, Mentions

T = TypeVar("T")


class In(msgspec.Struct, frozen=True, kw_only=True):
    """Facts of one input, written in `Annotated[int, In(ge=1, le=100, tip="…")]`.

    `ge` and `le` bound numbers (inclusive); `step` is the editor's increment, `round` what it rounds to (False: to nothing);
    `choices` are values, or `Files(folder)` for the file names of a folder, and `retired` ones that old graphs hold are
    taken but not offered; `link_only` shows no widget; `raw_link` hands the node the link itself; `seed` adds the editor's
    control after generate; `mentions` says which files a text names; `setting` is a table
    of the settings (`services`) whose names are the choices; `widget` names a widget that a pack brings for the
    editor, which shows the ordinary one of the type where nobody brings it; `options` go to editors unchanged.
    """

    ge: float | None = None
    le: float | None = None
    step: float | None = None
    round: float | bool | None = None
    choices: tuple[str | int | float | bool, ...] | Files | None = None
    retired: tuple[str, ...] = ()
    multiline: bool = False
    tip: str = ""
    link_only: bool = False
    raw_link: bool = False
    seed: bool = False
    mentions: Mentions | None = None
    setting: str = ""
    widget: str = ""
    options: dict[str, Any] = {}

    def __hash__(self) -> int:
        return hash((self.ge, self.le, self.step, self.tip))  # `… | None` hashes its members, and `options` has no hash


class Out(msgspec.Struct, frozen=True, kw_only=True):
    """Facts of one output, written in `Annotated[Image, Out(name="image", tip="…")]`.

    `match` names the template that inputs share by their option `template`: the output is of the type that is linked there.
    """

    name: str = ""
    tip: str = ""
    match: str = ""


class Lazy(Generic[T]):
    """An input the node may leave unread: `value = await on_true()` computes it on first call.

    What is never awaited is never run and is no part of what the result depends on.
    """

    __slots__ = ("_fetch",)

    def __init__(self, fetch: Callable[[], Awaitable[T]]) -> None:
        self._fetch = fetch

    async def __call__(self) -> T:
        return await self._fetch()


Seed: TypeAlias = Annotated[int, In(ge=0, le=2**64 - 1, seed=True, tip="Seed of the random noise.")]
Steps: TypeAlias = Annotated[int, In(ge=1, le=10_000, tip="How many denoising steps to take.")]
Cfg: TypeAlias = Annotated[float, In(ge=0, le=100, step=0.1, round=0.01, tip="Guidance scale; 1.0 turns guidance off.")]
Denoise: TypeAlias = Annotated[float, In(ge=0, le=1, step=0.01, tip="Share of the noise schedule to run.")]
Text: TypeAlias = Annotated[str, In(multiline=True)]
