"""Importing module files: how packs are loaded, and what comes before the first of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from engine.plugins.loader import Adapter, Loaded, SlowImportError, load_module
from engine.plugins.packs import ModuleFile

Prepare = Callable[[Sequence[ModuleFile]], dict[str, str]]
"""Called with all packs before the first of them is imported; gives problems by module."""


class Loading(msgspec.Struct, frozen=True, kw_only=True):
    """How packs are loaded: in which styles they declare nodes, what comes before them, and which are switched off."""

    adapters: tuple[Adapter, ...] = ()
    prepare: Prepare | None = None
    disabled: tuple[str, ...] = ()
    patience: float | None = None
    """Seconds that importing a pack may take before the rest no longer waits for it; None: for ever."""


class Importer:
    """Imports module files; what must come before packs is done before the first."""

    def __init__(self, files: Sequence[ModuleFile], loading: Loading) -> None:
        self._packs = [file for file in files if file.foreign]
        self._loading = loading
        self._prepared: dict[str, str] | None = None
        self.hangs = False

    def load(self, file: ModuleFile) -> Loaded:
        """Import a module. Raises NodeLoadError."""
        if file.foreign and self._prepared is None:
            prepare = self._loading.prepare
            self._prepared = prepare(self._packs) if prepare is not None else {}
        try:
            loaded = load_module(file, self._loading.adapters, self._loading.patience)
        except SlowImportError:
            self.hangs = True
            raise
        problem = (self._prepared or {}).get(file.module)
        if problem is not None:
            loaded.problems = (problem, *loaded.problems)
        return loaded
