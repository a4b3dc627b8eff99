"""`safelight worker`: what `serve` starts; not for people."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine.cli.app import App


def worker(app: App, options: argparse.Namespace) -> int:
    """Run jobs for the server that started this process, until it ends."""
    from engine.worker.start import run_worker

    run_worker(app)
