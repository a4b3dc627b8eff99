"""`safelight doctor`: looks at everything a run needs, and says what to do about what is not right."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import TYPE_CHECKING

from engine.cli import exits
from engine.cli.doctor_engine import examine_cache, examine_folders, examine_links, examine_packs
from engine.cli.doctor_machine import examine_database, examine_devices, examine_port, examine_versions
from engine.cli.findings import Finding, shown, worst_of
from engine.cli.terminal import put_json

if TYPE_CHECKING:
    from engine.cli.app import App


def doctor(app: App, options: argparse.Namespace) -> int:
    """Show the findings. The exit code is 1 if something will not work, and 0 for warnings."""
    found = _examine(app, options.port)
    findings = list(found) if options.json else list(shown(found))
    worst = worst_of(findings)
    if options.json:
        put_json({"status": worst, "findings": findings})
    return exits.FAILED if worst == "fail" else exits.OK


def _examine(app: App, port: int) -> Iterator[Finding]:
    yield from examine_versions()
    yield from examine_devices()
    yield from examine_folders(app.paths)
    yield from examine_links(app.paths)
    yield from examine_packs(app.paths)
    yield from examine_cache(app)
    yield from examine_database()
    yield from examine_port(port)
