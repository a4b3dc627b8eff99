"""Opening the library: as it was stored, or read anew where sources changed."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from engine.plugins import store
from engine.plugins.attempts import Attempts
from engine.plugins.importing import Importer, Loading
from engine.plugins.library import Library, LoadProblem
from engine.plugins.records import read_records
from engine.plugins.scan import Scan
from engine.plugins.store import ModuleRecord, Stored


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
    scan = Scan(packages, custom, loading.disabled, stored)
    attempts = Attempts(stored_at.parent if stored_at is not None else None)
    if stored.fingerprint == scan.fingerprint:
        return _library(scan, stored.records, loading, attempts)
    if on_change is not None:
        on_change()
    importer = Importer(scan.files, loading)
    records, sources = read_records(scan.files, scan.own, stored, importer, attempts)
    if stored_at is not None:
        store.write(stored_at, scan.stored(records, sources))
    library = _library(scan, records, loading, attempts)
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
    scan = Scan(packages, custom, disabled, stored)
    true = stored.fingerprint == scan.fingerprint or (as_it_is and bool(stored.fingerprint))
    return _library(scan, stored.records, Loading()) if true else None


def _library(
    scan: Scan, records: Sequence[ModuleRecord], loading: Loading, attempts: Attempts | None = None
) -> Library:
    """The library of what there is and what is known of it."""
    there = {file.module for file in scan.files}
    made = Library(scan.files, [record for record in records if record.module in there], loading, attempts)
    made.disabled = scan.disabled
    made.problems += [LoadProblem(one.pack, "", one.message) for one in scan.left_out]
    return made
