"""The library of nodes: a catalogue that is ready at once, and the code behind each name when it is asked for."""

from __future__ import annotations

import importlib
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import nullcontext
from pathlib import Path

import msgspec

import engine
from engine.authoring.definition import NodeDefinition
from engine.authoring.routes import Route
from engine.graph.schema import Catalogue, NodeSpec
from engine.plugins import distributions, store
from engine.plugins.adapters import Again, left_out_words
from engine.plugins.attempts import MOST_ENDS, Attempts
from engine.plugins.loader import Adapter, Loaded, NodeLoadError, SlowImportError, load_module
from engine.plugins.packs import (
    NAMESPACE,
    LeftOut,
    ModuleFile,
    custom_modules,
    disabled_packs,
    package_modules,
    source_files,
)
from engine.plugins.sources import Sources, fingerprint
from engine.plugins.store import ModuleRecord, Stored

VALUE_PACKAGES = ("engine.datatypes", "engine.denoising", "engine.sampling", "engine.models", "engine.media")
"""Packages of the engine whose code decides what a node computes; the rest only carries values around."""

CONTEXT_PACKAGES = ("engine.models", "engine.media.saver")
"""What a node reaches through `ctx` without importing it."""

ADAPTED_BY = ("engine.plugins.loader", "engine.plugins.adapters.v1", "engine.plugins.adapters.v3")
"""Modules that make nodes of what packs declare: what they gave is stale once one of them changes."""

SHIM_PACKAGES = ("engine.plugins.adapters", "engine.plugins.compat")
"""What stands between packs and the engine, at names that no source of a pack leads to; it hands out every core node."""


Prepare = Callable[[Sequence[ModuleFile]], dict[str, str]]
"""Called with all packs before the first of them is imported; gives problems by module."""


class Loading(msgspec.Struct, frozen=True, kw_only=True):
    """How packs are loaded: in which styles they declare nodes, what comes before them, and which are switched off."""

    adapters: tuple[Adapter, ...] = ()
    prepare: Prepare | None = None
    disabled: tuple[str, ...] = ()
    patience: float | None = None
    """Seconds that importing a pack may take before the rest no longer waits for it; None: for ever."""


class LoadProblem(msgspec.Struct, frozen=True):
    """Something about a pack that its author or user must know; the rest of the library is not affected."""

    pack: str
    module: str
    message: str


class Library:
    """Every known node: `catalogue` has the declarations, `definition(name)` imports the code of one. Safe among threads."""

    def __init__(
        self,
        files: Sequence[ModuleFile],
        records: Sequence[ModuleRecord],
        loading: Loading | None = None,
        attempts: Attempts | None = None,
    ) -> None:
        self._files = {file.module: file for file in files}
        self._attempts = attempts or Attempts(None)
        self._importer = _Importer(files, loading or Loading())
        self._lock = threading.RLock()
        self._definitions: dict[str, NodeDefinition] = {}
        self._module_of: dict[str, str] = {}
        self._left_out = {name: record for record in records for name in record.left_out}
        self._again: dict[str, Again] = {}
        self.records = tuple(records)
        self._raw = {record.module: record.raw for record in records}
        self.problems: list[LoadProblem] = []
        self.disabled: tuple[str, ...] = ()
        """Names of packs that are there but switched off."""
        self.hangs = False
        """Whether a thread of this process still imports a pack that nobody waits for any longer."""
        self.catalogue = Catalogue()
        self.routes: dict[tuple[str, str], Route] = {}
        """(Method, path) → route of the packs imported so far; the first of a path stays."""
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

    def has(self, name: str) -> bool:
        """Whether there is a node `name` whose module can be tried; imports nothing."""
        spec = self.catalogue.spec(name)
        if spec is None:
            return False
        module = self._module_of[spec.name]
        file = self._files[module]
        return not (file.foreign and self._attempts.is_out(module, self._raw.get(module, "")))

    @property
    def foreign(self) -> tuple[ModuleRecord, ...]:
        """What is known of the packs beside the built-in nodes."""
        return tuple(record for record in self.records if self._files[record.module].foreign)

    @property
    def folders(self) -> dict[str, Path]:
        """Pack → folder of its code, of those that are a folder and were loaded."""
        found = ((record.pack, self._files[record.module].path) for record in self.foreign if not record.error)
        return {pack: path.parent for pack, path in found if path.name == "__init__.py"}

    def open_packs(self) -> None:
        """Import the packs that do more than declare nodes. What fails is logged by name and stops no other."""
        for record in self.foreign:
            if record.eager and not record.error:
                try:
                    with self._lock:
                        self._load_module(record.module)
                except NodeLoadError as error:
                    self.problems.append(LoadProblem(record.pack, record.module, str(error)))

    def refresh(self, names: Iterable[str] | None = None) -> list[NodeSpec]:
        """Ask the dynamic ones among the nodes `names` (None: all) for their declarations anew; those that changed.

        One that cannot be asked stays as it was. Nodes that are left out because they raised are asked too.
        """
        asked = None if names is None else set(names)
        found = [self._asked_again(name) for name in list(self._left_out) if asked is None or name in asked]
        wanted = self.catalogue if asked is None else [spec for name in asked if (spec := self.catalogue.spec(name))]
        found += [self._refreshed(spec) for spec in list(wanted) if spec.dynamic]
        return [spec for spec in found if spec is not None]

    def import_module(self, module: str) -> None:
        """Import the pack that `module` belongs to. Raises ImportError when it fails or belongs to none."""
        owner = next((name for name in self._files if f"{module}.".startswith(f"{name}.")), None)
        if owner is None:
            raise ImportError(f"no pack has the module {module}")
        with self._lock:
            self._load_module(owner)
        importlib.import_module(module)

    def _refreshed(self, spec: NodeSpec) -> NodeSpec | None:
        try:
            definition = self.definition(spec.name)
            if definition.respec is None:
                return None
            fresh = definition.respec()
            if fresh.inputs == spec.inputs:
                return None
        except KeyboardInterrupt:
            raise
        except BaseException:  # the pack's own code
            return None
        fresh = msgspec.structs.replace(fresh, version=spec.version, pack=spec.pack, dynamic=True)
        if fresh == spec:
            return None
        definition.spec = fresh
        self.catalogue.add(fresh)
        return fresh

    def _asked_again(self, name: str) -> NodeSpec | None:
        """Ask the class of a node that is left out once more; its spec if it is a node now."""
        record = self._left_out[name]
        try:
            with self._lock:
                if name not in self._again:
                    self._load_module(record.module)
                if name in self._left_out:
                    self._admit(record, name, self._again[name]())
            return self.catalogue.spec(name)
        except KeyboardInterrupt:
            raise
        except BaseException:  # the pack's own code
            return None

    def _admit(self, record: ModuleRecord, asked: str, definition: NodeDefinition) -> None:
        """Let a node that was left out, by the name `asked`, be one of the pack's."""
        name = definition.spec.name
        version = record.versions[definition.wants_ctx]
        definition.spec = msgspec.structs.replace(definition.spec, version=version, pack=record.pack, dynamic=True)
        self._add(msgspec.structs.replace(record, specs=(definition.spec,), aliases={}, problems=(), left_out=()))
        if self._module_of[name] == record.module:
            self._definitions[name] = definition
        del self._left_out[asked]
        told = left_out_words(asked)
        self.problems = [
            one for one in self.problems if one.module != record.module or not one.message.startswith(told)
        ]

    def _add(self, record: ModuleRecord) -> None:
        if record.error:
            self.problems.append(LoadProblem(record.pack, record.module, record.error))
        self.problems += [LoadProblem(record.pack, record.module, message) for message in record.problems]
        for spec in record.specs:
            other = self._module_of.get(spec.name) or self._module_of.get(self.catalogue.aliases.get(spec.name, ""))
            if other is None or self._files[other].foreign:
                if other is not None:
                    self._tell_replaced(spec.name, other, record.module)
                self._module_of[spec.name] = record.module
                self.catalogue.add(spec)
            else:
                message = f"node {spec.name} is left out: the built-in {other} has one of that name. Rename it."
                self.problems.append(LoadProblem(record.pack, record.module, message))
        for alias, name in record.aliases.items():
            self.catalogue.aliases.setdefault(alias, name)

    def _tell_replaced(self, name: str, loser: str, winner: str) -> None:
        """Of two packs with a node of one name, the later has it, as in the field; both are told."""
        pack = self._files[loser].pack
        message = f"node {name} is replaced by that of {winner}, which is read later. Rename one of them."
        self.problems.append(LoadProblem(pack, loser, message))
        message = f"node {name} replaces that of {loser}, which is read earlier. Rename one of them."
        self.problems.append(LoadProblem(self._files[winner].pack, winner, message))

    def _load(self, name: str) -> None:
        spec = self.catalogue.spec(name)
        if spec is None:
            raise NodeLoadError(f"There is no node {name!r}.")
        module = self._module_of[spec.name]
        self._load_module(module)
        if spec.name not in self._definitions:
            raise NodeLoadError(
                f"{self._files[module].path} no longer has the node {spec.name}. Start again to reload it."
            )
        self._definitions[name] = self._definitions[spec.name]

    def _load_module(self, module: str) -> None:
        """Import a module, and keep the definitions of those of its nodes that are in the catalogue."""
        if self.on_import is not None:
            self.on_import(module)
        loaded = self._imported(self._files[module])
        for route in loaded.routes:
            self.routes.setdefault((route.method, route.path), route)
        self._again |= loaded.again
        for found in loaded.definitions.values():
            if found.spec.name in self._left_out and self._left_out[found.spec.name].module == module:
                self._admit(self._left_out[found.spec.name], found.spec.name, found)
                continue
            known = self.catalogue.spec(found.spec.name)
            if known is not None and self._module_of[known.name] == module:
                found.spec = known
                found.trusted = not self._files[module].foreign
                self._definitions.setdefault(found.spec.name, found)

    def _imported(self, file: ModuleFile) -> Loaded:
        raw = self._raw.get(file.module, "")
        if not file.foreign:
            return self._importer.load(file)
        if self._attempts.is_out(file.module, raw):
            raise NodeLoadError(_left_out(file))
        with self._attempts.importing(file.module, raw):
            return self._importer.load(file)


class _Importer:
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


def load_library(
    packages: Sequence[str],
    custom: Sequence[Path] = (),
    stored_at: Path | None = None,
    loading: Loading | None = None,
    on_change: Callable[[], None] | None = None,
) -> Library:
    """The library of the nodes in installed `packages` and in the folders `custom`, with its catalogue kept at `stored_at`.

    When no source file changed since it was stored, nothing is imported; else only modules whose sources changed are.
    A module that fails to import is a problem in the library's report and stops no other. `on_change` is called before
    modules are imported, which may take seconds.
    """
    loading = loading or Loading()
    stored = store.read(stored_at) if stored_at is not None else Stored()
    scan = _Scan(packages, custom, loading.disabled, stored)
    attempts = Attempts(stored_at.parent if stored_at is not None else None)
    if stored.fingerprint == scan.fingerprint:
        return scan.library(stored.records, loading, attempts)
    if on_change is not None:
        on_change()
    importer = _Importer(scan.files, loading)
    records, sources = _read_all(scan, stored, importer, attempts)
    if stored_at is not None:
        store.write(stored_at, scan.stored(records, sources))
    library = scan.library(records, loading, attempts)
    library.hangs = importer.hangs
    return library


def stored_library(
    packages: Sequence[str],
    custom: Sequence[Path],
    stored_at: Path,
    *,
    as_it_is: bool = False,
    disabled: Collection[str] = (),
) -> Library | None:
    """The library as it was stored, or None when there is none. Imports no node.

    None too when a source file has changed since, unless it is wanted `as_it_is`.
    """
    stored = store.read(stored_at)
    scan = _Scan(packages, custom, disabled, stored)
    true = stored.fingerprint == scan.fingerprint or (as_it_is and bool(stored.fingerprint))
    return scan.library(stored.records, Loading()) if true else None


class _Scan:
    """Which modules there are, and what tells whether one of their sources changed."""

    def __init__(
        self, packages: Sequence[str], custom: Sequence[Path], disabled: Collection[str], stored: Stored
    ) -> None:
        self.installed = distributions.installed()
        known = stored.installed == self.installed
        self.distributions = stored.distributions if known else distributions.declared()
        self.files = [file for package in packages for file in package_modules(package)]
        found, self.left_out = custom_modules(custom, disabled)
        self.files += found
        for pack, module in self.distributions:
            if pack in disabled:
                continue
            file = distributions.module_file(pack, module)
            if file is not None:
                self.files.append(file)
            else:
                message = f"its entry point names the module {module}, which is not there. Install the pack again."
                self.left_out.append(LeftOut(pack, message))
        self.disabled = tuple(disabled_packs(custom, disabled))
        self.own = dict(source_files(Path(engine.__file__).parent, "engine"))
        of_packs = (path for files in dict.fromkeys(file.files for file in self.files) for _, path in files)
        self.fingerprint = fingerprint([*self.own.values(), *of_packs], sys.version, self.installed)

    def library(self, records: Sequence[ModuleRecord], loading: Loading, attempts: Attempts | None = None) -> Library:
        """The library of what there is and what is known of it."""
        there = {file.module for file in self.files}
        made = Library(self.files, [record for record in records if record.module in there], loading, attempts)
        made.disabled = self.disabled
        made.problems += [LoadProblem(one.pack, "", one.message) for one in self.left_out]
        return made

    def stored(self, records: Sequence[ModuleRecord], sources: Sources) -> Stored:
        """What is kept of it."""
        return Stored(
            fingerprint=self.fingerprint,
            records=tuple(records),
            sources=sources.read,
            installed=self.installed,
            distributions=self.distributions,
        )


def _read_all(
    scan: _Scan, stored: Stored, importer: _Importer, attempts: Attempts
) -> tuple[list[ModuleRecord], Sources]:
    files, own = scan.files, scan.own
    sources = Sources(own | {name: path for file in files for name, path in file.files}, stored.sources)
    context = _valued(sources.reach(name for name in own if name.startswith(CONTEXT_PACKAGES)))
    shim = [name for name in own if any(file.foreign for file in files) and name.startswith(SHIM_PACKAGES)]
    core = [file.module for file in files if shim and not file.foreign]  # what packs get as classes, by any name
    behind_packs = {*shim, *_valued(sources.reach([*shim, *core]))}
    known = {record.module: record for record in stored.records if record.fatal or not record.error}
    records = []
    for file in files:
        own_files = [name for name, _ in file.files] if file.module.startswith(f"{NAMESPACE}.") else [file.module]
        reached = sources.reach(own_files)
        read_by = reached if not file.foreign else sources.reach([*reached, *ADAPTED_BY])
        record = _record(file, sources.raw_digest(read_by), known.get(file.module), importer, attempts)
        plain = sorted({*_valued(reached), *(behind_packs if file.foreign else ())})
        through_context = sorted({*plain, *context})
        records.append(_versioned(record, sources.code_digest(plain), sources.code_digest(through_context)))
    return records, sources


def _valued(modules: Sequence[str]) -> list[str]:
    """Those whose code can change a value: the packs' own, and VALUE_PACKAGES of the engine."""
    return [name for name in modules if not f"{name}.".startswith("engine.") or name.startswith(VALUE_PACKAGES)]


def _record(
    file: ModuleFile, raw: str, known: ModuleRecord | None, importer: _Importer, attempts: Attempts
) -> ModuleRecord:
    """The module's declarations: the known ones when no source they come from changed, else by importing it."""
    if known is not None and known.raw == raw:
        return known
    start = time.perf_counter()
    loaded, error, notes = Loaded({}, {}), "", tuple[str, ...]()
    fatal = file.foreign and attempts.is_out(file.module, raw)
    if fatal:
        error = _left_out(file)
    else:
        try:
            with attempts.importing(file.module, raw) if file.foreign else nullcontext():
                loaded = importer.load(file)
            notes = loaded.notes
        except NodeLoadError as problem:
            error, notes = str(problem), problem.notes
    record = ModuleRecord(
        module=file.module,
        pack=file.pack,
        raw=raw,
        specs=tuple(found.spec for found in loaded.definitions.values()),
        uses_context=tuple(name for name, found in loaded.definitions.items() if found.wants_ctx),
        aliases=loaded.aliases,
        seconds=time.perf_counter() - start,
        error=error,
        fatal=fatal,
        problems=loaded.problems,
        notes=notes,
        left_out=tuple(loaded.again),
        eager=loaded.eager,
        web=loaded.web,
    )
    return _storable(record, file)


def _left_out(file: ModuleFile) -> str:
    return (
        f"{file.path}: importing it ended the process {MOST_ENDS} times. It is left out until one of its files changes, or "
        "until `safelight cache clear`."
    )


def _storable(record: ModuleRecord, file: ModuleFile) -> ModuleRecord:
    """The record, or one that says why it cannot be kept: then the catalogue could not be written, and no pack would load."""
    try:
        msgspec.msgpack.encode(record)
    except (UnicodeEncodeError, msgspec.MsgspecError, TypeError, ValueError, RecursionError) as problem:
        error = f"{file.path}: what it declares cannot be stored: {problem!r}."
        return ModuleRecord(module=file.module, pack=file.pack, raw=record.raw, error=error)
    return record


def _versioned(record: ModuleRecord, plain: str, through_context: str) -> ModuleRecord:
    """The record with each spec's version: the digest of the code that the node can reach."""
    specs = (
        msgspec.structs.replace(
            spec, version=through_context if spec.name in record.uses_context else plain, pack=record.pack
        )
        for spec in record.specs
    )
    return msgspec.structs.replace(record, specs=tuple(specs), versions=(plain, through_context))
