"""The library of nodes: a catalogue that is ready at once, and the code behind each name when it is asked for."""

from __future__ import annotations

import importlib
import threading
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from pathlib import Path

import msgspec

from engine.authoring.definition import NodeDefinition
from engine.authoring.routes import Route
from engine.graph.schema import Catalogue, NodeSpec
from engine.plugins.adapters import Again, left_out_words
from engine.plugins.attempts import Attempts, ended_words
from engine.plugins.importing import Importer, Loading
from engine.plugins.loader import Loaded, NodeLoadError
from engine.plugins.packs import ModuleFile
from engine.plugins.store import ModuleRecord


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
        self._importer = Importer(files, loading or Loading())
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

    @cached_property
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
            if other is None or self._files[other].foreign or self._stands_in(spec.name):
                if other is not None and self._files[other].foreign:
                    self._tell_replaced(spec.name, other, record.module)
                self._module_of[spec.name] = record.module
                self.catalogue.add(spec)
            else:
                message = f"node {spec.name} is left out: the built-in {other} has one of that name. Rename it."
                self.problems.append(LoadProblem(record.pack, record.module, message))
        for alias, name in record.aliases.items():
            self.catalogue.aliases.setdefault(alias, name)

    def _stands_in(self, name: str) -> bool:
        """Whether the node of this name that is there gives way to a pack's."""
        there = self.catalogue.spec(name)
        return there is not None and there.name == name and there.stand_in

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
            raise NodeLoadError(ended_words(file.path))
        with self._attempts.importing(file.module, raw):
            return self._importer.load(file)
