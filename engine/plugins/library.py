"""The library of nodes: a catalogue that is ready at once, and the code behind each name when it is asked for."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

import engine
from engine.authoring.definition import NodeDefinition
from engine.graph.schema import Catalogue
from engine.plugins import store
from engine.plugins.loader import Adapter, Loaded, NodeLoadError, load_module
from engine.plugins.packs import NAMESPACE, ModuleFile, custom_modules, package_modules, source_files
from engine.plugins.sources import Sources, fingerprint
from engine.plugins.store import ModuleRecord, Stored

VALUE_PACKAGES = ("engine.datatypes", "engine.sampling", "engine.models", "engine.media")
"""Packages of the engine whose code decides what a node computes; the rest only carries values around."""

CONTEXT_PACKAGES = ("engine.models", "engine.media.saver")
"""What a node reaches through `ctx` without importing it."""


class LoadProblem(msgspec.Struct, frozen=True):
    """Something about a pack that its author or user must know; the rest of the library is not affected."""

    pack: str
    module: str
    message: str


class Library:
    """Every known node: `catalogue` has the declarations, `definition(name)` imports the code of one. Safe among threads."""

    def __init__(
        self, files: Sequence[ModuleFile], records: Sequence[ModuleRecord], adapters: Sequence[Adapter]
    ) -> None:
        self._files = {file.module: file for file in files}
        self._adapters = adapters
        self._lock = threading.RLock()
        self._definitions: dict[str, NodeDefinition] = {}
        self._module_of: dict[str, str] = {}
        self.records = tuple(records)
        self.problems: list[LoadProblem] = []
        self.catalogue = Catalogue()
        self.on_import: Callable[[str], None] | None = None
        """Called with the name of a module before it is imported, which may take seconds."""
        for record in records:
            self._add(record)

    def definition(self, name: str) -> NodeDefinition:
        """The node called `name`, with its code; its module is imported at the first call.

        Raises NodeLoadError when the module cannot be imported or no longer has the node.
        """
        found = self._definitions.get(name)
        if found is not None:
            return found
        with self._lock:
            if name not in self._definitions:
                self._load(name)
            return self._definitions[name]

    def _add(self, record: ModuleRecord) -> None:
        if record.error:
            self.problems.append(LoadProblem(record.pack, record.module, record.error))
        for spec in record.specs:
            other = self._module_of.get(spec.name)
            if other is None:
                self._module_of[spec.name] = record.module
                self.catalogue.add(spec)
            else:
                message = f"node {spec.name} is left out: {other} has one of that name. Rename one of them."
                self.problems.append(LoadProblem(record.pack, record.module, message))
        for alias, name in record.aliases.items():
            self.catalogue.aliases.setdefault(alias, name)

    def _load(self, name: str) -> None:
        spec = self.catalogue.spec(name)
        if spec is None:
            raise NodeLoadError(f"There is no node {name!r}.")
        module = self._module_of[spec.name]
        if self.on_import is not None:
            self.on_import(module)
        loaded = load_module(self._files[module], self._adapters)
        for found in loaded.definitions.values():
            known = self.catalogue.spec(found.spec.name)
            if known is not None and self._module_of[known.name] == module:
                found.spec = known
                self._definitions[found.spec.name] = found
        if spec.name not in self._definitions:
            raise NodeLoadError(
                f"{self._files[module].path} no longer has the node {spec.name}. Start again to reload it."
            )
        self._definitions[name] = self._definitions[spec.name]


def load_library(
    packages: Sequence[str],
    custom: Sequence[Path] = (),
    stored_at: Path | None = None,
    adapters: Sequence[Adapter] = (),
    on_change: Callable[[], None] | None = None,
) -> Library:
    """The library of the nodes in installed `packages` and in the folders `custom`, with its catalogue kept at `stored_at`.

    When no source file changed since it was stored, nothing is imported; else only modules whose sources changed are.
    A module that fails to import is a problem in the library's report and stops no other. `on_change` is called before
    modules are imported, which may take seconds.
    """
    scan = _Scan(packages, custom)
    stored = store.read(stored_at) if stored_at is not None else Stored()
    if stored.fingerprint == scan.fingerprint:
        return Library(scan.files, stored.records, adapters)
    if on_change is not None:
        on_change()
    records, sources = _read_all(scan.files, scan.own, stored, adapters)
    if stored_at is not None:
        store.write(stored_at, Stored(fingerprint=scan.fingerprint, records=tuple(records), sources=sources.read))
    return Library(scan.files, records, adapters)


def stored_library(
    packages: Sequence[str], custom: Sequence[Path], stored_at: Path, *, as_it_is: bool = False
) -> Library | None:
    """The library as it was stored, or None when there is none. Imports no node.

    None too when a source file has changed since, unless it is wanted `as_it_is`.
    """
    stored = store.read(stored_at)
    scan = _Scan(packages, custom)
    true = stored.fingerprint == scan.fingerprint or (as_it_is and bool(stored.fingerprint))
    return Library(scan.files, stored.records, ()) if true else None


class _Scan:
    """Which modules there are, and what tells whether one of their sources changed."""

    def __init__(self, packages: Sequence[str], custom: Sequence[Path]) -> None:
        self.files = [file for package in packages for file in package_modules(package)]
        self.files += custom_modules(custom)
        self.own = dict(source_files(Path(engine.__file__).parent, "engine"))
        of_packs = (path for files in dict.fromkeys(file.files for file in self.files) for _, path in files)
        installed = str(_site_packages().stat().st_mtime_ns)
        self.fingerprint = fingerprint([*self.own.values(), *of_packs], sys.version, installed)


def _site_packages() -> Path:
    """Where packages are installed; its modification time changes when one is added, which may mend a broken pack."""
    return Path(msgspec.__file__).parent.parent


def _read_all(
    files: Sequence[ModuleFile], own: dict[str, Path], stored: Stored, adapters: Sequence[Adapter]
) -> tuple[list[ModuleRecord], Sources]:
    sources = Sources(own | {name: path for file in files for name, path in file.files}, stored.sources)
    context = _valued(sources.reach(name for name in own if name.startswith(CONTEXT_PACKAGES)))
    known = {record.module: record for record in stored.records if not record.error}
    records = []
    for file in files:
        own_files = [name for name, _ in file.files] if file.module.startswith(f"{NAMESPACE}.") else [file.module]
        reached = sources.reach(own_files)
        record = _record(file, sources.raw_digest(reached), known.get(file.module), adapters)
        plain, through_context = _valued(reached), sorted({*_valued(reached), *context})
        records.append(_versioned(record, sources.code_digest(plain), sources.code_digest(through_context)))
    return records, sources


def _valued(modules: Sequence[str]) -> list[str]:
    """Those whose code can change a value: the packs' own, and VALUE_PACKAGES of the engine."""
    return [name for name in modules if not f"{name}.".startswith("engine.") or name.startswith(VALUE_PACKAGES)]


def _record(file: ModuleFile, raw: str, known: ModuleRecord | None, adapters: Sequence[Adapter]) -> ModuleRecord:
    """The module's declarations: the known ones when no source they come from changed, else by importing it."""
    if known is not None and known.raw == raw:
        return known
    start = time.perf_counter()
    try:
        loaded, error = load_module(file, adapters), ""
    except NodeLoadError as problem:
        loaded, error = Loaded({}, {}), str(problem)
    return ModuleRecord(
        module=file.module,
        pack=file.pack,
        raw=raw,
        specs=tuple(found.spec for found in loaded.definitions.values()),
        uses_context=tuple(name for name, found in loaded.definitions.items() if found.wants_ctx),
        aliases=loaded.aliases,
        seconds=time.perf_counter() - start,
        error=error,
    )


def _versioned(record: ModuleRecord, plain: str, through_context: str) -> ModuleRecord:
    """The record with each spec's version: the digest of the code that the node can reach."""
    specs = (
        msgspec.structs.replace(
            spec, version=through_context if spec.name in record.uses_context else plain, pack=record.pack
        )
        for spec in record.specs
    )
    return msgspec.structs.replace(record, specs=tuple(specs))
