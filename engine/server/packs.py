"""Packs as the server sees them: it imports none, and asks a worker for what only their code knows."""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import quote

from engine.graph.offers import BUILT_IN, offer
from engine.graph.schema import Catalogue
from engine.jobs.inspections import NoWorkerError
from engine.jobs.messages import FromWorker, PackMessage, PacksOpened
from engine.jobs.pack_calls import PackCalls
from engine.jobs.workers import Worker
from engine.paths import Paths
from engine.plugins.adapters import left_out_words
from engine.server.catalogues import Catalogues
from engine.server.hub import Hub

REFRESH_PATIENCE: Final = 5.0
"""Seconds; then the choices that are known must do."""

IMPORT_PATIENCE: Final = 1.0
"""The same while packs are still being imported, which may take long: editors need not wait for it to show nodes."""

REST: Final = 5.0
"""Nodes are not asked anew until this many times as long as it took has passed."""

OPEN_PATIENCE: Final = 60.0

SCRIPTS: Final = "/extensions"
"""Below it the files that packs bring for editors."""

EDITOR_MODULE: Final = "safelight.js"
"""The file in a pack's web folder that our own editor imports."""

log = logging.getLogger("safelight.packs")


class Place(NamedTuple):
    """Where a worker answers routes of packs."""

    port: int
    secret: str


class Packs:
    """What packs bring beside nodes, once a worker has told, and what it says of their nodes."""

    def __init__(self, calls: PackCalls, catalogues: Catalogues, hub: Hub, paths: Paths) -> None:
        self.calls = calls
        self._catalogues = catalogues
        self._hub = hub
        self._paths = paths
        self._told: dict[int, PacksOpened] = {}
        self._routes: list[tuple[str, re.Pattern[str]]] = []
        self._offered_to: Catalogue | None = None
        self._opened = asyncio.Event()
        self._refreshing = asyncio.Lock()
        self._rested_at = 0.0

    # -- told by workers

    def on_message(self, worker: Worker, message: FromWorker) -> None:
        """A worker said something."""
        if isinstance(message, PacksOpened):
            self._open(worker, message)
        elif isinstance(message, PackMessage):
            self._pass_on(worker, message)
        else:
            self.calls.on_message(worker, message)

    def on_worker(self, worker: Worker) -> None:
        """A worker's state changed: of one that is gone, nothing can be asked."""
        if worker.state in ("lost", "stopped"):
            self._told.pop(worker.index, None)
            if not self._told:
                self._opened.clear()

    def _open(self, worker: Worker, message: PacksOpened) -> None:
        self._told[worker.index] = message
        self._offered_to = None
        self._paths.add_folders(message.folders)
        self._routes = [(method, re.compile(pattern)) for method, pattern in message.routes]
        self._opened.set()
        for pack, problem in message.problems:
            log.warning("node pack is not whole", extra={"pack": pack, "problem": problem})

    def _pass_on(self, worker: Worker, message: PackMessage) -> None:
        """To one client, or to all; a client that is not there hears nothing."""
        job = worker.job.job if worker.job is not None else None
        clients = self._hub.heard_by(message.client_id, job)
        if message.number is not None:
            self._hub.pass_binary(message.number, message.data, clients, "" if job is None else job.id)
        else:
            self._hub.pass_text(message.event, message.data, clients)

    # -- asked by routes

    @property
    def hears_prompts(self) -> bool:
        """Whether a pack wants to see what is posted."""
        return any(told.hears_prompts for told in self._told.values())

    async def known(self) -> None:
        """Return once there is a catalogue, whether its packs are imported or not. Raises Refusal while there is none."""
        await self._catalogues.get()

    async def opened(self) -> None:
        """Return once a worker has imported the packs, if there are some that do more than declare nodes.

        Raises Refusal while there is no catalogue.
        """
        catalogue = await self._catalogues.get()
        if not self._opened.is_set() and any(record.eager for record in self._catalogues.foreign):
            try:
                await asyncio.wait_for(self._opened.wait(), OPEN_PATIENCE)
            except TimeoutError:
                log.warning("The packs are still being imported; going on without them.")
        self._offer(catalogue)

    def _offer(self, catalogue: Catalogue) -> None:
        """Let the built-in nodes choose among the names that packs brought, once."""
        if catalogue is self._offered_to:
            return
        self._offered_to = catalogue
        for told in self._told.values():
            if told.names:
                offer(catalogue, told.names, BUILT_IN)

    async def folders(self) -> Mapping[str, Path]:
        """Pack → folder of its code. Raises Refusal while there is no catalogue."""
        await self._catalogues.get()
        return self._catalogues.folders

    @property
    def left_out(self) -> set[str]:
        """Names of nodes whose classes raised; their packs are asked for them again."""
        return {name for record in self._catalogues.foreign for name in record.left_out}

    def web_folders(self) -> Mapping[str, Path]:
        """Pack → folder of its files for the editor: as a worker told, else as is stored."""
        stored = {one.pack: Path(one.web) for one in self._catalogues.foreign if one.web and not one.error}
        for told in self._told.values():
            stored |= {name: Path(folder) for name, folder in told.web.items()}
        return stored

    def place_of(self, method: str, path: str) -> Place | None:
        """Where the route of a pack is answered; None when there is no such route, or no worker now."""
        if not any(one in ("*", method) and pattern.fullmatch(path) for one, pattern in self._routes):
            return None
        return next((Place(told.port, told.secret) for told in self._told.values() if told.port), None)

    async def catalogue(self) -> Catalogue:
        """The catalogue with the choices that nodes offer now. Raises Refusal when there is none."""
        catalogue = await self._catalogues.get()
        self._offer(catalogue)
        await self.refresh(catalogue)
        return catalogue

    async def ask_anew(self) -> None:
        """Let the next one who wants the catalogue ask the packs, which did not answer while they were being imported."""
        async with self._refreshing:
            self._rested_at = 0.0

    async def refresh(self, catalogue: Catalogue) -> None:
        """Put the choices that packs now offer into the catalogue; where no worker answers they stay."""
        if not catalogue.dynamic and not self.left_out:
            return
        async with self._refreshing:
            if time.monotonic() < self._rested_at:
                return
            began = time.monotonic()
            patience = REFRESH_PATIENCE if self._opened.is_set() else IMPORT_PATIENCE
            try:
                for spec in await self.calls.refresh(patience):
                    if catalogue.spec(spec.name) != spec:
                        catalogue.add(spec)
            except NoWorkerError as error:
                log.warning("The choices of nodes are as they were: %s", error)
            ended = time.monotonic()
            self._rested_at = ended + REST * (ended - began)

    def report(self) -> list[dict[str, Any]]:
        """What is known of each pack, by name."""
        folders = self.web_folders()
        problems: dict[str, list[str]] = {}
        for one in self._catalogues.problems:
            problems.setdefault(one.module, []).append(one.message)
        no_packs = [_no_pack(one.pack, one.message) for one in self._catalogues.problems if not one.module]
        later = sorted({found for told in self._told.values() for found in told.problems})
        found: list[dict[str, Any]] = []
        for record in self._catalogues.foreign:
            nodes = self._catalogues.nodes_of(record)
            mended = tuple(left_out_words(name) for name in record.left_out if name in nodes)
            errors = [*problems.get(record.module, []), *(text for pack, text in later if pack == record.pack)]
            errors = [text for text in errors if not text.startswith(mended)]
            found.append(
                {
                    "name": record.pack,
                    "module": record.module,
                    "state": "failed" if record.error else "loaded",
                    "seconds": round(record.seconds, 4),
                    "nodes": nodes,
                    "errors": errors,
                    "notes": list(record.notes),
                    "web": bool(record.web),
                    "editor_module": editor_module(record.pack, folders.get(record.pack)),
                }
            )
        return [*found, *no_packs, *map(_switched_off, self._catalogues.disabled)]


def editor_module(pack: str, folder: Path | None) -> str | None:
    """Where our editor finds the module of a pack; None where its web folder has none. Changes when the file does."""
    try:
        stamp = (folder / EDITOR_MODULE).stat().st_mtime_ns if folder is not None else None
    except OSError:
        return None
    return None if stamp is None else f"{SCRIPTS}/{quote(pack)}/{EDITOR_MODULE}?v={stamp:x}"


def _no_pack(name: str, problem: str) -> dict[str, Any]:
    """Something in a folder of packs that cannot be one."""
    return {**_switched_off(name), "state": "failed", "errors": [problem]}


def _switched_off(name: str) -> dict[str, Any]:
    return {
        "name": name,
        "module": "",
        "state": "disabled",
        "seconds": 0.0,
        "nodes": [],
        "errors": [],
        "notes": [],
        "web": False,
        "editor_module": None,
    }
