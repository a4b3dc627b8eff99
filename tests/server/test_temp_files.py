from __future__ import annotations

import os
import time
from pathlib import Path

from engine.server.temp_files import remove_old


def test_only_files_that_nobody_used_for_days_are_removed(tmp_path: Path) -> None:
    old, young, read = (tmp_path / name for name in ("old.png", "sub/young.png", "read.png"))
    (tmp_path / "sub").mkdir()
    for path in (old, young, read):
        path.write_bytes(b"x")
    long_ago = time.time() - 8 * 86_400
    os.utime(old, (long_ago, long_ago))
    os.utime(read, (time.time(), long_ago))
    assert remove_old(tmp_path) == 1
    assert not old.exists()
    assert young.exists()
    assert read.exists()


def test_a_folder_that_is_not_there_is_no_error(tmp_path: Path) -> None:
    assert remove_old(tmp_path / "none") == 0
