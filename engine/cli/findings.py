"""What `safelight doctor` finds."""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

State: TypeAlias = Literal["ok", "warn", "fail"]


class Finding(msgspec.Struct, frozen=True):
    """One fact about `area`. `fail`: something will not work; `warn`: it may; then `advice` says what to do."""

    area: str
    state: State
    text: str
    advice: str = ""
