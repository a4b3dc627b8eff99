"""Server-sent events out of the pieces that arrive: the HTML standard, section 9.2.6, without ids and retry times."""

from __future__ import annotations

from collections.abc import Iterator


class EventReader:
    """Cuts a stream into the data of its events. Lines end with LF, CRLF or CR, wherever the pieces are cut."""

    def __init__(self) -> None:
        self._line = bytearray()
        self._data: list[bytes] = []
        self._after_return = False

    def feed(self, piece: bytes) -> Iterator[bytes]:
        """The data of every event that ends within `piece`."""
        ended = piece.endswith(b"\r")
        if self._after_return:
            piece = piece.removeprefix(b"\n")
        self._after_return = ended
        *whole, rest = piece.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        for end in whole:
            self._line += end
            line, self._line = bytes(self._line), bytearray()
            if line:
                self._take(line)
            elif self._data:
                data, self._data = b"\n".join(self._data), []
                yield data
        self._line += rest

    def _take(self, line: bytes) -> None:
        name, _, value = line.partition(b":")
        if name == b"data":
            self._data.append(value.removeprefix(b" "))
