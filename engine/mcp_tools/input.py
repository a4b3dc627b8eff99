"""Standard input as what can be ended from within: a thread that waits for a line can be told nothing."""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator

import anyio

_STEP = 64 * 1024


@contextlib.contextmanager
def own_input() -> Iterator[tuple[anyio.AsyncFile[str], Callable[[], None]]]:
    """The lines of standard input, and a function that ends them.

    A thread of its own, which dies with the process, copies what comes. Meanwhile descriptor 0 is empty: what nodes and their
    children read is not what the client sends.
    """
    wire = os.dup(0)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    sender, receiver = socket.socketpair()

    def end() -> None:
        with contextlib.suppress(OSError):
            sender.shutdown(socket.SHUT_WR)

    def copy() -> None:
        with contextlib.suppress(OSError):  # ended from within
            while data := os.read(wire, _STEP):
                sender.sendall(data)
        end()

    threading.Thread(target=copy, name="input", daemon=True).start()
    lines = io.TextIOWrapper(receiver.makefile("rb"), encoding="utf-8", errors="replace")
    try:
        yield anyio.wrap_file(lines), end
    finally:
        end()
        os.dup2(wire, 0)


@contextlib.contextmanager
def told_to_end(end: Callable[[], None]) -> Iterator[None]:
    """SIGTERM and Ctrl-C call `end`, on the running loop; elsewhere than on Unix they raise KeyboardInterrupt, as ever."""
    loop = asyncio.get_running_loop()
    numbers = (signal.SIGINT, signal.SIGTERM)
    with contextlib.suppress(NotImplementedError):
        for number in numbers:
            loop.add_signal_handler(number, end)
    try:
        yield
    finally:
        with contextlib.suppress(NotImplementedError):
            for number in numbers:
                loop.remove_signal_handler(number)
