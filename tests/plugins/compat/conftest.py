"""One real server on a base directory that holds every fixture pack."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.harness import new_base, served

HERE = Path(__file__).resolve().parent
PACKS = HERE / "packs"


def with_packs(folder: Path, core_catalogue: Path) -> Path:
    """A base directory with all fixture packs, one of them switched off by the settings and one by its name."""
    base = new_base(folder, core_catalogue, 'disabled_packs = ["switched_off"]\n')
    shutil.copytree(PACKS, base / "custom_nodes", ignore=shutil.ignore_patterns("__pycache__"))
    (base / "custom_nodes" / "off.disabled").mkdir()
    return base


@pytest.fixture(scope="session")
def packs_base(tmp_path_factory: pytest.TempPathFactory, core_catalogue: Path) -> Path:
    """A base directory with all fixture packs."""
    return with_packs(tmp_path_factory.mktemp("packs"), core_catalogue)


@pytest.fixture(scope="session")
def server(packs_base: Path) -> Iterator[Any]:
    """A server that listens and whose worker has opened the packs, for all modules that change no pack."""
    with served(packs_base) as found:
        yield found
