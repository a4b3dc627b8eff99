"""A real server on a base directory with a tiny Stable Diffusion and a pack that hooks models."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.harness import new_base, served

HERE = Path(__file__).resolve().parent


@pytest.fixture(scope="module")
def server(tiny_sd: Any, tmp_path_factory: pytest.TempPathFactory, core_catalogue: Path) -> Iterator[Any]:
    base = new_base(tmp_path_factory.mktemp("hooked"), core_catalogue)
    shutil.copytree(tiny_sd.base / "models", base / "models")
    shutil.copytree(HERE / "packs", base / "custom_nodes", ignore=shutil.ignore_patterns("__pycache__"))
    with served(base) as found:
        yield found
