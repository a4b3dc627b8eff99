"""The catalogue of nodes as the server has it: read from the disk, where a worker keeps it true."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from pathlib import Path

from engine.graph.schema import Catalogue
from engine.plugins.library import Library, LoadProblem
from engine.plugins.store import ModuleRecord
from engine.server.refusals import Refusal

log = logging.getLogger("safelight.catalogue")


class Catalogues:
    """`read` gives the stored library; None when it is not true of the node packs, unless it is wanted as it is."""

    def __init__(self, read: Callable[[bool], Library | None]) -> None:
        self._read = read
        self._library: Library | None = None
        self._missing = ""
        """Why nobody need wait for the catalogue; empty while it may come."""
        self._decided = asyncio.Event()

    @property
    def known(self) -> bool:
        """Whether there is a catalogue."""
        return self._library is not None

    @property
    def problems(self) -> list[LoadProblem]:
        """What is wrong with packs."""
        return self._library.problems if self._library is not None else []

    @property
    def foreign(self) -> tuple[ModuleRecord, ...]:
        """What is known of the packs beside the built-in nodes."""
        return self._library.foreign if self._library is not None else ()

    @property
    def folders(self) -> Mapping[str, Path]:
        """Pack → folder of its code, of those that are a folder and were loaded."""
        return self._library.folders if self._library is not None else {}

    @property
    def disabled(self) -> tuple[str, ...]:
        """Names of packs that are there but switched off."""
        return self._library.disabled if self._library is not None else ()

    def nodes_of(self, record: ModuleRecord) -> list[str]:
        """The names of a pack's nodes, without those that were left out because others have their names."""
        catalogue = self._library.catalogue if self._library is not None else Catalogue()
        names = [*(one.name for one in record.specs), *record.left_out]
        found = ((name, catalogue.spec(name)) for name in dict.fromkeys(names))
        return [name for name, spec in found if spec is not None and spec.pack == record.pack]

    async def get(self) -> Catalogue:
        """The catalogue; waits until a worker has read the packs if they are new or have changed.

        Raises Refusal 503 once `give_up` was called and until a worker succeeds after all.
        """
        await self._decided.wait()
        if self._library is None:
            raise Refusal(503, "no_catalogue", f"The node packs have not been read. {self._missing}")
        return self._library.catalogue

    def give_up(self, reason: str) -> None:
        """Let nobody wait any longer for a catalogue that is not there; `reason` is a sentence."""
        self._missing = reason
        self._decided.set()

    async def read(self, *, as_it_is: bool = False) -> bool:
        """Read it from the disk; False when a worker has to make it anew first.

        `as_it_is`: a worker just did, and sources that changed since then do not matter.
        """
        library = await asyncio.to_thread(self._read, as_it_is)
        if library is None:
            return False
        self._library = library
        self._decided.set()
        for found in library.problems:
            log.warning("node pack is not whole", extra={"pack": found.pack, "problem": found.message})
        return True
