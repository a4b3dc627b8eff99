"""One real server on a base directory that holds every fixture pack."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.plugins.serving import served

HERE = Path(__file__).resolve().parent
PACKS = HERE / "packs"


@pytest.fixture(scope="session")
def core_catalogue(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A stored catalogue of the built-in nodes, which takes seconds to make."""
    from engine.__main__ import make_app

    base = tmp_path_factory.mktemp("core")
    make_app(base).load_library()
    return base


def put_catalogue(source: Path, base: Path) -> None:
    """Store the catalogue of one base directory in another."""
    stored = Path(".safelight", "cache", "catalogue.msgpack")
    (base / stored).parent.mkdir(parents=True)
    shutil.copy(source / stored, base / stored)


@pytest.fixture(scope="module")
def packs_base(tmp_path_factory: pytest.TempPathFactory, core_catalogue: Path) -> Path:
    """A base directory with all fixture packs, one of them switched off by the settings and one by its name."""
    base = tmp_path_factory.mktemp("packs")
    put_catalogue(core_catalogue, base)
    shutil.copytree(PACKS, base / "custom_nodes", ignore=shutil.ignore_patterns("__pycache__"))
    (base / "custom_nodes" / "off.disabled").mkdir()
    (base / "safelight.toml").write_text('disabled_packs = ["switched_off"]\n')
    return base


@pytest.fixture(scope="module")
def server(packs_base: Path) -> Iterator[Any]:
    """A server that listens and whose worker has opened the packs."""
    with served(packs_base) as found:
        yield found
