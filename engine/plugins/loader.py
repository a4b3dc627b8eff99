"""Importing one module of nodes, and finding the nodes in it."""

from __future__ import annotations

import importlib
import importlib.util
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import TypeAlias

import msgspec

from engine.authoring.decorator import definition_of
from engine.authoring.definition import NodeDefinition
from engine.plugins.packs import NAMESPACE, ModuleFile

Adapter: TypeAlias = Callable[[ModuleType, list[str]], list[NodeDefinition]]
"""Finds nodes that a module declares in another style than `@node`; adds what is wrong with single ones to the list."""


class NodeLoadError(ImportError):
    """A module of nodes that cannot be imported; the message names the pack, the file and the reason."""


class Loaded(msgspec.Struct):
    """What importing a module file gave."""

    definitions: dict[str, NodeDefinition]
    aliases: dict[str, str]
    problems: tuple[str, ...] = ()
    eager: bool = False
    web: str = ""


def load_module(file: ModuleFile, adapters: Sequence[Adapter] = ()) -> Loaded:
    """Import a module file and collect its nodes and its table `ALIASES`.

    Raises NodeLoadError for anything that goes wrong in it, SystemExit included.
    """
    problems: list[str] = []
    try:
        module = _import(file)
        definitions = _declared(module, file.module)
        if file.foreign:
            definitions += [found for adapt in adapters for found in adapt(module, problems)]
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a pack may even call sys.exit(); it must not take the others with it
        raise NodeLoadError(f"{file.path}: {reason(error, str(file.path))}") from error
    found = {one.spec.name: one for one in definitions}
    loaded = Loaded(found, _aliases(module), tuple(problems))
    if file.foreign:
        loaded.web = _web_folder(file, module)
        loaded.eager = bool(loaded.web) or any(one.spec.module == file.module and one.make for one in definitions)
        loaded.eager = loaded.eager or _reaches_server(file.module) or hasattr(module, "comfy_entrypoint")
    return loaded


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


def reason(error: BaseException, path: str) -> str:
    """The error in one line, with the line of `path` at which it happened where that is known."""
    if isinstance(error, SyntaxError):
        return f"line {error.lineno}: {type(error).__name__}: {error.msg}"
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == path]
    where = f"line {lines[-1]}: " if lines else ""
    return f"{where}{type(error).__name__}: {error}"


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
        del sys.modules[file.module]
        raise
    return module


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
            found[definition.spec.name] = definition
    return list(found.values())
