"""`safelight cache clear` clears whatever state the cache is in, and says so only when it has."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

import msgspec
import pytest

from engine.__main__ import make_app
from engine.cli.cache import cache
from engine.cli.exits import CliError
from engine.plugins import store
from engine.plugins.attempts import Attempts
from engine.plugins.store import FILE_NAME, ModuleRecord, Stored

CLEAR = Namespace(action="clear", json=False)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    found = tmp_path / ".safelight" / "cache"
    found.mkdir(parents=True)
    return found


def test_a_damaged_cache_is_cured(tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    app = make_app(tmp_path)
    app.open_cache(True).close()
    path = folder / "cache.sqlite"
    path.write_bytes(path.read_bytes()[:4096] + b"\xa5" * 30_000)
    assert cache(app, CLEAR) == 0
    assert "Cleared the cache" in capsys.readouterr().err
    opened = app.open_cache(True)
    opened.info()
    assert opened.take_warnings() == []
    opened.close()


def test_what_cannot_be_cleared_is_not_said_to_be(
    tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "cache.sqlite").mkdir()
    with pytest.raises(CliError, match="could not be cleared"):
        cache(make_app(tmp_path), CLEAR)
    assert "Cleared" not in capsys.readouterr().err


def test_packs_that_were_left_out_are_tried_again(tmp_path: Path, folder: Path) -> None:
    bad = ModuleRecord(module="custom_nodes.bad", pack="bad", raw="r", error="it ended the process", fatal=True)
    good = ModuleRecord(module="custom_nodes.good", pack="good", raw="r")
    store.write(folder / FILE_NAME, Stored(fingerprint="f", records=(bad, good)))
    name = bad.module
    for ending in ("a", "b"):
        (folder / f"ended-{_key(name)}-{ending}").touch()
    assert Attempts(folder).is_out(name, "r")
    cache(make_app(tmp_path), CLEAR)
    assert not Attempts(folder).is_out(name, "r")
    left = store.read(folder / FILE_NAME)
    assert (left.fingerprint, left.records) == ("", (good,))


def test_a_stored_catalogue_with_one_changed_byte_is_made_again(folder: Path) -> None:
    path = folder / FILE_NAME
    store.write(path, Stored(fingerprint="f", records=(ModuleRecord(module="m", pack="the pack", raw="r"),)))
    assert store.read(path).fingerprint == "f"
    data = path.read_bytes()
    at = data.index(b"the pack")
    path.write_bytes(data[:at] + b"x" + data[at + 1 :])
    msgspec.msgpack.decode(path.read_bytes()[16:], type=Stored)  # it would decode
    assert store.read(path) == Stored()


def _key(module: str) -> str:
    from engine.plugins.attempts import _name

    return _name(module, "r")
