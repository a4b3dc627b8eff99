"""What `safelight doctor` and `safelight pack test` find."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import Final, Literal, TypeAlias

import msgspec

State: TypeAlias = Literal["ok", "warn", "fail"]

STYLES: Final[dict[State, str]] = {"ok": "green", "warn": "yellow", "fail": "bold red"}
_SEVERITY: Final[tuple[State, ...]] = ("ok", "warn", "fail")


class Finding(msgspec.Struct, frozen=True):
    """One fact about `area`. `fail`: something will not work; `warn`: it may; then `advice` says what to do."""

    area: str
    state: State
    text: str
    advice: str = ""


def worst_of(findings: Iterable[Finding]) -> State:
    """The worst state among them."""
    return max((one.state for one in findings), key=_SEVERITY.index, default="ok")


def shown(findings: Iterable[Finding]) -> Iterator[Finding]:
    """The same findings, each printed as soon as it is there; in colour on a terminal."""
    from rich.console import Console
    from rich.text import Text

    console = Console(file=sys.stdout, soft_wrap=True, highlight=False)
    for one in findings:
        mark = Text(f"{one.state:5}", style=STYLES[one.state])
        console.print(mark + Text(f" {one.area:12} {one.text}"))
        if one.advice:
            console.print(Text(f"{'':18} → {one.advice}"))
        yield one
