"""What comes before the first import of a pack: the modules that packs of the field import, and their prestartup scripts."""

from __future__ import annotations

import importlib.util
import logging
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from engine.plugins.bare_names import own_names
from engine.plugins.owners import note_pack
from engine.plugins.packs import PRESTARTUP, ModuleFile
from engine.plugins.patience import TookTooLongError, within
from engine.plugins.reasons import reason
from engine.plugins.traces import Traces

if TYPE_CHECKING:
    from pathlib import Path

    from engine.paths import Paths

log = logging.getLogger("safelight.packs")


def preparation(
    paths: Paths, patience: float | None = None, device: Callable[[], str] | None = None, embeds: bool = True
) -> Callable[[Sequence[ModuleFile]], dict[str, str]]:
    """A function to call with all packs before the first is imported; it gives the problems of packs by module.

    A script is waited for `patience` seconds. `device` tells packs what computes, `embeds` whether
    files are saved with the workflow inside.
    """

    def prepare(files: Sequence[ModuleFile]) -> dict[str, str]:
        from engine.plugins.compat.host import Host
        from engine.plugins.compat.install import install_shim

        install_shim(Host(paths, device=device, embeds=embeds))
        return dict(found for file in files if (found := _prestart(file, patience)) is not None)

    return prepare


def _prestart(file: ModuleFile, patience: float | None) -> tuple[str, str] | None:
    """Run the script that a pack wants to be run before all packs. A pack whose script fails is imported all the same."""
    script = file.path.parent / f"{PRESTARTUP}.py"
    if file.path.name != "__init__.py" or not script.is_file():
        return None
    try:
        within(patience, f"the prestartup script of {file.pack}", lambda: _run(file, script))
    except KeyboardInterrupt:
        raise
    except TookTooLongError as error:
        return file.module, f"{script}: running it took longer than {error}."
    except BaseException as error:  # sys.exit() among them
        log.error("The prestartup script of %s failed.", file.pack, exc_info=error)
        return file.module, f"{script}: {reason(error, script)}"
    return None


def _run(file: ModuleFile, script: Path) -> None:
    note_pack(file)
    with own_names(file):
        traces = Traces(file)
        try:
            _execute(f"{file.module}.{PRESTARTUP}", script)
        finally:
            for note in traces.undo():
                log.warning("The prestartup script of %s: %s", file.pack, note)


def _execute(name: str, script: Path) -> None:
    spec = importlib.util.spec_from_file_location(name, script)
    if spec is None or spec.loader is None:
        raise ImportError(f"{script} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
