"""One real server on a base directory that holds every fixture pack."""
# ruff: noqa: PT018

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

HERE = Path(__file__).resolve().parent
PACKS = HERE / "packs"


def _serving() -> Any:
    """The tools of the tests that start servers."""
    spec = importlib.util.spec_from_file_location("serving_tools", HERE.parent.parent / "serving" / "conftest.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


serving = _serving()


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
    found = serving.Server(packs_base)
    try:
        yield found.wait_until_listening()
    finally:
        children = psutil.Process(found.process.pid).children(recursive=True) if found.process.poll() is None else []
        found.kill()
        for child in children:
            child.kill() if child.is_running() else None
