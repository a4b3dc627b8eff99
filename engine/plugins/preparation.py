"""What comes before the first import of a pack: the modules that packs of the field import, and their prestartup scripts."""

from __future__ import annotations

import importlib.util
import logging
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from engine.plugins.packs import ModuleFile

if TYPE_CHECKING:
    from engine.paths import Paths

PRESTARTUP: Final = "prestartup_script"

log = logging.getLogger("safelight.packs")


def preparation(paths: Paths) -> Callable[[Sequence[ModuleFile]], dict[str, str]]:
    """A function to call with all packs before the first is imported; it gives the problems of packs by module."""

    def prepare(files: Sequence[ModuleFile]) -> dict[str, str]:
        from engine.plugins.compat.host import Host
        from engine.plugins.compat.install import install_shim

        install_shim(Host(paths))
        return dict(found for file in files if (found := _prestart(file)) is not None)

    return prepare


def _prestart(file: ModuleFile) -> tuple[str, str] | None:
    """Run the script that a pack wants to be run before all packs. A pack whose script fails is imported all the same."""
    script = file.path.parent / f"{PRESTARTUP}.py"
    if file.path.name != "__init__.py" or not script.is_file():
        return None
    from engine.plugins.loader import reason

    name = f"{file.module}.{PRESTARTUP}"
    try:
        spec = importlib.util.spec_from_file_location(name, script)
        if spec is None or spec.loader is None:
            return None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # sys.exit() among them
        log.exception("The prestartup script of %s failed.", file.pack)
        return file.module, f"{script}: {reason(error, str(script))}"
    return None
