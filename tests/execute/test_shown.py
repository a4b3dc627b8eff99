"""What nodes show has a bound, as it goes to clients, into the history and into the cache."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from engine.api import WithUi
from engine.execute import shown
from engine.execute.services import Services
from engine.media.texts import TextKeeper


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shown, "MOST_OF_NODE", 10_000)
    monkeypatch.setattr(shown, "MOST_OF_RUN", 30_000)
    monkeypatch.setattr(shown, "LEAST", 1_000)


def showing(lab: Any) -> None:
    @lab.node("Long", output=True)
    def long(a: int) -> None:
        return WithUi(ui={"text": ["x" * a, "short"], "counts": list(range(3))})


def test_a_long_text_is_cut_and_kept_whole_in_a_file(small: None, make_lab: Any, graph: Any, tmp_path: Path) -> None:
    services = Services(keep_text=TextKeeper(lambda kind: tmp_path), ui_file=lambda entry: tmp_path / entry["filename"])
    lab = make_lab(services=services)
    showing(lab)
    lab.run(graph(n=("Long", {"a": 50_000})), "n")
    ui = lab.result.ui["n"]
    [file] = ui["files"]
    assert (tmp_path / file["filename"]).read_text() == "x" * 50_000
    head, note = ui["text"][0].split("\n")
    assert set(head) == {"x"}
    assert 9_000 < len(head) < 10_000
    assert note == f"… {50_000 - len(head):,} more characters; all of it is in temp/{file['filename']}"
    [warning] = lab.warnings()
    assert warning.startswith("Node n (Long) shows")

    lab.run(graph(n=("Long", {"a": 50_000})), "n")
    assert lab.result.ui["n"] == ui, "reused"
    assert lab.result.counts.ran == 0
    (tmp_path / file["filename"]).unlink()
    lab.run(graph(n=("Long", {"a": 50_000})), "n")
    assert lab.result.counts.ran == 1, "its file was gone"


def test_what_has_room_is_left_as_it_is(small: None, make_lab: Any, graph: Any) -> None:
    lab = make_lab()
    showing(lab)
    lab.run(graph(n=("Long", {"a": 5_000})), "n")
    assert lab.result.ui["n"] == {"text": ["x" * 5_000, "short"], "counts": [0, 1, 2]}
    assert not lab.warnings()


def test_all_nodes_of_a_run_together_have_a_bound(small: None, make_lab: Any, graph: Any) -> None:
    lab = make_lab()
    showing(lab)
    names = [f"n{index}" for index in range(8)]
    lab.run(graph(**{name: ("Long", {"a": 9_000 + index}) for index, name in enumerate(names)}), *names)
    lengths = sorted(len(lab.result.ui[name]["text"][0]) for name in names)
    assert lengths[-1] >= 9_000
    assert lengths[0] < 1_100
    assert sum(lengths) < 30_000 + 8 * 1_100
