"""What the tests of the protocol share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.mcp_tools.talking import Talk, listening, new_tools, over_stdio, talking


@pytest.fixture(scope="package")
def tools(tmp_path_factory: pytest.TempPathFactory, core_catalogue: Path) -> Path:
    """A base directory with workflows."""
    return new_tools(tmp_path_factory.mktemp("tools"), core_catalogue)


@pytest.fixture(scope="package")
def stdio(tools: Path) -> Iterator[Talk]:
    """A client of the command over its standard streams."""
    with talking(over_stdio(tools)) as talk:
        yield talk


@pytest.fixture(scope="package")
def url(tools: Path) -> Iterator[str]:
    """Where the command listens for clients over HTTP."""
    with listening(tools) as found:
        yield found
