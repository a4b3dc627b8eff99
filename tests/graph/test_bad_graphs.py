"""Each file of tests/bad_graphs holds one mistake; beside it stands what a person is told about it."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.graph.formats import loads
from engine.graph.problems import GraphError, render
from engine.graph.validate import check

FOLDER = Path(__file__).parent.parent / "bad_graphs"
GRAPHS = sorted(FOLDER.glob("*.json"))


def told(path, catalogue, files) -> str:
    try:
        loaded = loads(path.read_bytes(), catalogue)
    except GraphError as error:
        return str(error)
    return render([*loaded.problems, *check(loaded.prompt, catalogue, choices=files).problems])


def test_the_folder_is_there():
    assert len(GRAPHS) >= 30


@pytest.mark.parametrize("path", GRAPHS, ids=lambda path: path.stem)
def test_a_bad_graph_is_told_as_its_text_file_says(path, catalogue, files):
    assert told(path, catalogue, files) + "\n" == path.with_suffix(".txt").read_text()
