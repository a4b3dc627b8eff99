"""Importing one module of nodes, and finding the nodes in it."""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
import logging
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, TypeAlias

import msgspec

from engine.authoring.decorator import definition_of
from engine.authoring.definition import NodeDefinition
from engine.authoring.routes import Route, routes_of
from engine.plugins.adapters import ASSIGNED, Again, Problems
from engine.plugins.bare_names import own_names
from engine.plugins.before_packs import import_before_packs, is_of_the_field
from engine.plugins.compat.effects import assigned_classes, changed, surroundings
from engine.plugins.compat.host import host_or_none
from engine.plugins.compat.unknown import answered, take_out
from engine.plugins.missing import advice
from engine.plugins.owners import note_pack
from engine.plugins.packs import NAMESPACE, PRESTARTUP, ModuleFile
from engine.plugins.patience import TookTooLongError, within
from engine.plugins.reasons import reason
from engine.plugins.traces import Traces

Adapter: TypeAlias = Callable[[ModuleType, list[str]], list[NodeDefinition]]
"""Finds nodes that a module declares in another style than `@node`; adds what is wrong with single ones to the list."""

_log = logging.getLogger("safelight.packs")


class NodeLoadError(ImportError):
    """A module of nodes that cannot be imported; the message names the pack, the file and the reason."""

    notes: tuple[str, ...] = ()
    """What else its import did."""


class SlowImportError(NodeLoadError):
    """A pack whose import has not ended; it goes on on a thread of its own."""


class Loaded(msgspec.Struct):
    """What importing a module file gave."""

    definitions: dict[str, NodeDefinition]
    aliases: dict[str, str]
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    """What importing it did to the process, and which unknown names of the field it was given."""
    again: dict[str, Again] = {}
    """The nodes that are left out because their classes raised."""
    eager: bool = False
    web: str = ""
    routes: tuple[Route, ...] = ()


def load_module(file: ModuleFile, adapters: Sequence[Adapter] = (), patience: float | None = None) -> Loaded:
    """Import a module file and collect its nodes and its table `ALIASES`; a pack is waited for `patience` seconds.

    Raises NodeLoadError for anything that goes wrong in it, SystemExit included, SlowImportError when it takes too long.
    """
    if not file.foreign:
        return _load(file, ())
    note_pack(file)
    if is_of_the_field(file):
        import_before_packs()
    try:
        return within(patience, f"the pack {file.pack}", lambda: _load_pack(file, adapters))
    except TookTooLongError as error:
        raise SlowImportError(
            f"{file.path}: importing it took longer than {error}. It is left out. Read the packs anew to try "
            "again; `pack_import_seconds` in safelight.toml allows it more time."
        ) from None


def _load_pack(file: ModuleFile, adapters: Sequence[Adapter]) -> Loaded:
    """Load a module and find out what it did beside declaring nodes."""
    _have_loop()
    before = surroundings()
    with own_names(file), _traces(file) as notes:
        loaded = _load(file, adapters)
        module = sys.modules[file.module]
    loaded.notes = tuple(notes)
    loaded.web = _web_folder(file, module)
    loaded.routes = _routes(module)
    loaded.eager = bool(loaded.web or loaded.routes) or changed(before, surroundings()) or _has_prestartup(file)
    loaded.eager = loaded.eager or any(
        one.spec.module == file.module and one.make for one in loaded.definitions.values()
    )
    loaded.eager = loaded.eager or bool(loaded.again)  # they are asked again there
    loaded.eager = loaded.eager or _reaches_server(file.module) or hasattr(module, "comfy_entrypoint")
    return loaded


@contextmanager
def _traces(file: ModuleFile) -> Iterator[list[str]]:
    """Undo what importing the pack does to others; the list says afterwards what it was."""
    traces, notes = Traces(file), list[str]()
    try:
        yield notes
    except NodeLoadError as error:
        error.notes = (*traces.undo(), *_unknown_names(file.pack))
        raise
    notes += [*traces.undo(), *_unknown_names(file.pack)]


def _unknown_names(pack: str) -> Iterator[str]:
    """Which names of the field stand for nothing in this pack."""
    take_out()
    names = answered(pack)
    if names:
        yield f"names that Safelight does not have, each of which fails when it is used: {', '.join(names)}."


def _have_loop() -> None:
    """Let packs that ask for the thread's event loop while they are imported have that of their routes, as in the field."""
    host = host_or_none()
    if host is not None and threading.current_thread() is not threading.main_thread():
        asyncio.set_event_loop(host.any_loop())


def _load(file: ModuleFile, adapters: Sequence[Adapter]) -> Loaded:
    problems = Problems()
    try:
        before = surroundings() if file.foreign else None
        module = _import(file)
        if before is not None:
            _keep_assigned(module, assigned_classes(before, surroundings()))
        definitions = _declared(module, file.module)
        definitions += [found for adapt in adapters for found in adapt(module, problems)]
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a pack may even call sys.exit(); it must not take the others with it
        if file.foreign:
            _log.error("The pack %s cannot be imported.", file.pack, exc_info=error)
        raise NodeLoadError(f"{file.path}: {reason(error, file.path)}{advice(error)}") from error
    found = {one.spec.name: one for one in definitions}
    names = [one.spec.name for one in definitions]
    for name in found:
        if names.count(name) > 1:
            problems.append(
                f"node {name} is declared {names.count(name)} times; the last one stays. Rename the others."
            )
    return Loaded(found, _aliases(module), tuple(problems), again=problems.again)


def _keep_assigned(module: ModuleType, classes: dict[str, Any]) -> None:
    """Note the classes that a pack put into the field's own table instead of one of its own."""
    if classes:
        module.__dict__.setdefault(ASSIGNED, {}).update(classes)


def _has_prestartup(file: ModuleFile) -> bool:
    return file.path.name == "__init__.py" and (file.path.parent / f"{PRESTARTUP}.py").is_file()


def _aliases(module: ModuleType) -> dict[str, str]:
    aliases = getattr(module, "ALIASES", {})
    return dict(aliases) if isinstance(aliases, dict) else {}


def _web_folder(file: ModuleFile, module: ModuleType) -> str:
    """Where the pack's files for the editor are, as it says; "" when there is no such folder."""
    named = getattr(module, "WEB_DIRECTORY", None)
    if not isinstance(named, str):
        return ""
    folder = (file.path.parent / named).resolve()
    return str(folder) if folder.is_dir() else ""


def _reaches_server(name: str) -> bool:
    """Whether a module of the pack has the field's server in its hands."""
    own = [module for key, module in list(sys.modules.items()) if f"{key}.".startswith(f"{name}.")]
    return any("PromptServer" in (found := getattr(one, "__dict__", {})) or "server" in found for one in own)


def _import(file: ModuleFile) -> ModuleType:
    if not file.module.startswith(f"{NAMESPACE}."):
        return importlib.import_module(file.module)
    if file.module in sys.modules:
        return sys.modules[file.module]
    is_package = file.path.name == "__init__.py"
    _enter_namespace(file.path.parent.parent if is_package else file.path.parent)
    package = [str(file.path.parent)] if is_package else None
    spec = importlib.util.spec_from_file_location(file.module, file.path, submodule_search_locations=package)
    if spec is None or spec.loader is None:
        raise ImportError(f"{file.path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[file.module] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        sys.modules.pop(file.module, None)
        raise
    return sys.modules.get(file.module, module)  # a module may put another in its place


def _enter_namespace(folder: Path) -> None:
    """Make `custom_nodes` a package with `folder` among its places, as relative imports within packs need their parents."""
    parent = sys.modules.setdefault(NAMESPACE, ModuleType(NAMESPACE))
    places = list(getattr(parent, "__path__", []))
    if str(folder) not in places:
        parent.__path__ = [*places, str(folder)]


def _declared(module: ModuleType, name: str) -> list[NodeDefinition]:
    """The nodes of our own style among the module's attributes, but not those it imported from elsewhere."""
    found = {}
    for value in vars(module).values():
        definition = definition_of(value)
        if definition is not None and f"{definition.spec.module}.".startswith(f"{name}."):
            found[id(definition)] = definition  # under two names it is one node all the same
    return list(found.values())


def _routes(module: ModuleType) -> tuple[Route, ...]:
    """The routes that the module's functions are decorated with, those that it imported from its own files too."""
    return tuple(dict.fromkeys(found for value in list(vars(module).values()) for found in routes_of(value)))
