"""A real server on a base directory with a tiny Stable Diffusion and a pack that hooks models."""
# ruff: noqa: PT018

from __future__ import annotations

import contextlib
import importlib.util
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

HERE = Path(__file__).resolve().parent


def _serving() -> Any:
    """The tools of the tests that start servers."""
    spec = importlib.util.spec_from_file_location("serving_tools", HERE.parent.parent / "serving" / "conftest.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def server(tiny_sd: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    base = tmp_path_factory.mktemp("hooked")
    shutil.copytree(tiny_sd.base / "models", base / "models")
    shutil.copytree(HERE / "packs", base / "custom_nodes", ignore=shutil.ignore_patterns("__pycache__"))
    found = _serving().Server(base)
    try:
        yield found.wait_until_listening()
    finally:
        children = psutil.Process(found.process.pid).children(recursive=True) if found.process.poll() is None else []
        found.kill()
        for child in children:
            with contextlib.suppress(psutil.NoSuchProcess):
                child.kill()
