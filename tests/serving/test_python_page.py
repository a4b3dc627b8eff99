"""The examples of docs/python.md, as they stand there."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from tests.harness import environ

PAGE = (Path(__file__).parents[2] / "docs" / "python.md").read_text(encoding="utf-8")
HERE = "http://127.0.0.1:8188"
INVERTER = {
    "1": {"class_type": "LoadImage", "inputs": {"image": "none.png"}},
    "2": {"class_type": "ImageInvert", "inputs": {"image": ["1", 0]}},
    "3": {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": "inverted"}},
}


@pytest.fixture
def reader(server, tmp_path, monkeypatch):
    """Where a reader stands who tries the examples."""
    (server.base / "workflows").mkdir(exist_ok=True)
    (server.base / "workflows" / "my_inverter.json").write_text(json.dumps(INVERTER))
    Image.new("RGB", (8, 8), (255, 0, 0)).save(tmp_path / "photo.png")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SAFELIGHT_BASE", str(server.base))
    return tmp_path


def test_the_python_of_the_page_runs(server, reader, capsys):
    programs = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert len(programs) == 8
    names: dict[str, object] = {"__name__": "page"}
    for program in programs:
        exec(compile(program.replace(HERE, server.url), "python.md", "exec"), names)
    said = capsys.readouterr().out
    assert "Did you mean prompt?" in said
    assert "INT from 1 to 10000" in said
    assert "[(64, 64), (64, 64)]" in said
    assert "0 nodes ran, 7 were reused" in said
    pictures = [Image.open(reader / name).tobytes() for name in ("apple.png", "apple_of_the_server.png")]
    assert pictures[0] == pictures[1]
    assert names["from_path"].images[0].tobytes() == names["from_picture"].images[0].tobytes()


def test_the_commands_of_the_page_work(server, reader):
    (commands,) = re.findall(r"```sh\n(safelight export.*?)```", PAGE, re.DOTALL)
    said = []
    for line in commands.splitlines():
        words = shlex.split(line)
        program = [sys.executable, "-m", "engine"] if words[0] == "safelight" else [sys.executable]
        done = subprocess.run(
            [*program, *words[1:]], env=environ(), cwd=reader, capture_output=True, text=True, check=False, timeout=120
        )
        assert done.returncode == 0, done.stderr
        said.append(done.stdout)
    original = Path(__file__).parents[2] / "workflows/text_to_image.json"
    assert json.loads((reader / "graph.json").read_text()) == json.loads(original.read_text())
    assert json.loads(said[2])
    assert said[3].strip() == said[4].strip()  # the file that both saved, or reused
    assert Path(said[4].strip()).is_file()
