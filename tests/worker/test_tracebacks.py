"""What clients see of a traceback."""

from __future__ import annotations

import json
import traceback
from pathlib import Path

import engine
from engine.worker.tracebacks import Shortener


def test_files_of_modules_and_of_the_base_directory_lose_the_folders_above(tmp_path: Path) -> None:
    pack = tmp_path / "custom_nodes" / "a_pack" / "nodes.py"
    home = Path(engine.__file__).parent.parent
    text = "\n".join(
        [
            f'  File "{pack}", line 3, in run',
            f'  File "{home}/engine/paths.py", line 9, in find',
            f'  File "{json.__file__}", line 12, in loads',
            '  File "/home/somebody/projects/secret/x.py", line 1, in <module>',
            '  File "<string>", line 1, in <module>',
            "ValueError: no File here, line 3",
        ]
    )
    assert Shortener([tmp_path]).shorten(text).splitlines() == [
        '  File "custom_nodes/a_pack/nodes.py", line 3, in run',
        '  File "engine/paths.py", line 9, in find',
        '  File "json/__init__.py", line 12, in loads',
        '  File "secret/x.py", line 1, in <module>',
        '  File "<string>", line 1, in <module>',
        "ValueError: no File here, line 3",
    ]


def test_a_real_traceback_keeps_its_lines_and_loses_this_machine() -> None:
    try:
        json.loads("{")
    except ValueError:
        text = traceback.format_exc()
    short = Shortener([]).shorten(text)
    assert 'File "json/decoder.py", line ' in short
    assert str(Path(json.__file__).parent) not in short
    assert len(short.splitlines()) == len(text.splitlines())
