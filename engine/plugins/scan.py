"""Which modules there are, and what tells whether one of their sources changed."""

from __future__ import annotations

import sys
from collections.abc import Collection, Sequence
from pathlib import Path

import engine
from engine.plugins import distributions
from engine.plugins.packs import LeftOut, custom_modules, disabled_packs, package_modules, source_paths
from engine.plugins.store import ModuleRecord, Stored
from engine.sources import Sources, fingerprint


class Scan:
    """The module files of installed `packages` and of the folders `custom`, beside what was `stored` of an earlier scan."""

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
        self._own = dict(source_paths(Path(engine.__file__).parent, "engine"))
        shared = {id(file.files): file.files for file in self.files}  # modules of a package have one list of its files
        of_packs = (path for files in shared.values() for _, path in files)
        self.fingerprint = fingerprint([*self._own.values(), *of_packs], sys.version, self.installed)

    @property
    def own(self) -> dict[str, Path]:
        """The source files of the engine, by module."""
        return {name: Path(path) for name, path in self._own.items()}

    def stored(self, records: Sequence[ModuleRecord], sources: Sources) -> Stored:
        """What is kept of it."""
        return Stored(
            fingerprint=self.fingerprint,
            records=tuple(records),
            sources=sources.read,
            installed=self.installed,
            distributions=self.distributions,
        )
