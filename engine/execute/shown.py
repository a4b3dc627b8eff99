"""What nodes show, bounded: it is told to clients, kept in the history and in the cache, and so goes through memory often."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from engine.cache.memory import size_of
from engine.execute.events import Warned
from engine.execute.growth import MIB
from engine.execute.run import Run
from engine.execute.state import NodeState

MOST_OF_NODE: Final = 4 * MIB
MOST_OF_RUN: Final = 32 * MIB
"""Bytes of all that the nodes of one run show; beyond it each shows `LEAST` at most."""

LEAST: Final = 4096


def bounded(run: Run, state: NodeState, ui: dict[str, Any] | None) -> dict[str, Any] | None:
    """`ui`, or what of it has room. Long texts are cut and kept whole in a file, which is among what is shown then (`files`)."""
    if ui is None:
        return None
    size = size_of(ui)
    room = min(MOST_OF_NODE, max(LEAST, MOST_OF_RUN - run.shown_bytes))
    if size > room:
        ui = _Cut(run, room).of(ui)
        message = (
            f"Node {state.id} ({state.node.class_type}) shows {size // MIB or 1:,} MiB, of which clients and history get "
            f"{room / MIB:.3g} MiB. Save what is long to a file in place of showing it."
        )
        run.emit(Warned(message=message, node=state.id))
        size = room
    run.shown_bytes += size
    return ui


class _Cut:
    """Takes from what is shown, in its order, as much as has room."""

    def __init__(self, run: Run, room: int) -> None:
        self._keep = run.services.keep_text
        self._room = room
        self._files: list[Mapping[str, Any]] = []

    def of(self, ui: Mapping[str, Any]) -> dict[str, Any]:
        cut = {name: self._value(value) for name, value in ui.items()}
        if self._files:
            cut["files"] = [*cut.get("files", []), *self._files]
        return cut

    def _value(self, value: Any) -> Any:
        if isinstance(value, str):
            return self._text(value)
        if isinstance(value, list | tuple):
            return self._items(value)
        self._room -= size_of(value)
        return value if self._room > 0 else None

    def _items(self, values: list[Any] | tuple[Any, ...]) -> list[Any]:
        kept: list[Any] = []
        for value in values:
            if self._room <= 0:
                break
            if isinstance(value, str):
                kept.append(self._text(value))
            else:
                self._room -= size_of(value)
                if self._room > 0:
                    kept.append(value)
        return kept

    def _text(self, text: str) -> str:
        width = size_of(text) / max(1, len(text))
        most = int(max(0, self._room) / width)
        self._room -= size_of(text)
        if len(text) <= most:
            return text
        where = ""
        if self._keep is not None:
            file = self._keep(text)
            self._files.append(file)
            where = f"; all of it is in {file['type']}/{file['filename']}"
        return f"{text[:most]}\n… {len(text) - most:,} more characters{where}"
