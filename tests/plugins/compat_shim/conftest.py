"""The shim on a base directory of the test's own, and a pack's running node that notes what it is told."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.paths import Paths
from engine.plugins.compat.host import Host
from engine.plugins.compat.install import install_shim, uninstall_shim


class Told:
    """A context that notes progress and pictures."""

    node_id = "7"
    prompt: dict[str, Any] = {}  # noqa: RUF012 - a stand-in
    workflow = None
    models = None
    preview_method = "auto"

    def __init__(self, paths: Paths) -> None:
        self.paths = paths
        self.steps: list[tuple[float, float]] = []
        self.pictures: list[Any] = []
        self.cancelled = False

    def progress(self, value: float, total: float) -> None:
        self.check_cancelled()
        self.steps.append((value, total))

    def preview(self, image: Any) -> None:
        self.pictures.append(image)

    def check_cancelled(self) -> None:
        from engine.authoring.context import Cancelled

        if self.cancelled:
            raise Cancelled("cancelled")


@pytest.fixture
def sent() -> list[tuple[Any, Any, Any]]:
    return []


@pytest.fixture
def host(tmp_path: Path, sent: list[Any]) -> Iterator[Host]:
    made = Host(Paths(tmp_path), send=lambda event, data, client: sent.append((event, data, client)))
    install_shim(made)
    yield made
    uninstall_shim()


@pytest.fixture
def told(host: Host) -> Told:
    return Told(host.paths)
