"""The worker process: what is set up before it connects."""

from __future__ import annotations

import asyncio
import faulthandler
import gc
import io
import logging
import os
import signal
import sys
from collections.abc import Coroutine
from typing import Any, NoReturn

from engine.jobs.workers import ADDRESS, INDEX, SECRET, SERVER
from engine.plugins.attempts import withdraw
from engine.worker.parent import end_with
from engine.worker.parts import Parts
from engine.worker.session import END_SECONDS, Session


def run_worker(parts: Parts) -> NoReturn:
    """Be a worker: connect to the server that started this process, and serve it until it ends.

    Ends the process, with SystemExit(2) when the environment does not say where the server is.
    """
    address, secret = os.environ.get(ADDRESS), os.environ.pop(SECRET, None)
    if address is None or secret is None:
        sys.stderr.write("A worker is started by the server; there is no use in starting one by hand.\n")
        raise SystemExit(2)
    _prepare()
    server = int(os.environ.get(SERVER, os.getppid()))  # told, for it may have ended before this process could ask
    end_with(server, lambda: withdraw(parts.paths.cache), END_SECONDS)
    _run(_serve(parts, address, int(os.environ.get(INDEX, "0")), secret))
    raise AssertionError("A session ends its process.")


async def _serve(parts: Parts, address: str, index: int, secret: str) -> NoReturn:
    session = Session(parts, address, index, secret)
    if sys.platform != "win32":
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, session.end)
    await session.run()


def _prepare() -> None:
    """Ctrl-C is the server's; output goes out line by line; a crash in native code leaves a traceback."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(line_buffering=True, errors="backslashreplace")
    gc.set_threshold(20_000, 20, 20)  # a graph makes thousands of objects and hardly any cycles
    faulthandler.enable(all_threads=False)  # the thread that crashed is told in the few last lines that are kept
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr)


def _run(main: Coroutine[Any, Any, NoReturn]) -> None:
    try:
        import uvloop
    except ImportError:  # there is none for Windows
        asyncio.run(main)
    else:
        uvloop.run(main)
