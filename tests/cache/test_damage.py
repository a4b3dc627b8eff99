"""A cache folder that a bad disk or a foreign hand has changed: nothing wrong is served, and the next results are kept again."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
import torch

from engine.cache.actions import Record
from engine.cache.database import Database
from engine.cache.digests import digest
from engine.cache.facade import Cache

PAGE = 4096


def key(number: int) -> bytes:
    return number.to_bytes(16, "big")


def filled(folder: Path, records: int = 400) -> Cache:
    cache = Cache(folder)
    for number in range(records):
        cache.actions.put(key(number), Record(outputs=(key(number + 1),), ui={"text": ["x" * 40]}))
    cache.recorded()
    cache.flush()
    return cache


def test_a_record_with_one_changed_byte_is_as_if_it_had_never_run(tmp_path: Path) -> None:
    filled(tmp_path, 8).close()
    file = sqlite3.connect(tmp_path / "cache.sqlite")
    for number in range(8):  # a byte of the checksum, of the digest, of the text…
        [data] = file.execute("SELECT record FROM actions WHERE key = ?", (key(number),)).fetchone()
        at = number * len(data) // 8
        changed = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
        file.execute("UPDATE actions SET record = ? WHERE key = ?", (changed, key(number)))
    file.commit()
    file.close()
    cache = Cache(tmp_path)
    assert [cache.actions.get(key(number)) for number in range(8)] == [None] * 8
    cache.actions.put(key(3), Record(outputs=(key(9),)))
    cache.recorded()
    cache.close()
    cache = Cache(tmp_path)
    assert cache.actions.get(key(3)) == Record(outputs=(key(9),)), "it is made again, and kept"
    cache.close()


def test_a_record_under_the_key_of_another_action_is_not_served(tmp_path: Path) -> None:
    filled(tmp_path, 2).close()
    file = sqlite3.connect(tmp_path / "cache.sqlite")
    [data] = file.execute("SELECT record FROM actions WHERE key = ?", (key(0),)).fetchone()
    file.execute("UPDATE actions SET record = ? WHERE key = ?", (data, key(1)))
    file.commit()
    file.close()
    cache = Cache(tmp_path)
    assert cache.actions.get(key(0)) is not None
    assert cache.actions.get(key(1)) is None
    cache.close()


def damage(folder: Path) -> None:
    """All pages but the first, which says that it is a database."""
    path = folder / "cache.sqlite"
    content = bytearray(path.read_bytes())
    assert len(content) > 4 * PAGE
    content[PAGE:] = b"\xa5" * (len(content) - PAGE)
    path.write_bytes(content)


@pytest.mark.parametrize("first", ["read", "write"])
def test_a_file_that_turns_out_to_be_damaged_is_put_aside_and_a_new_one_begun_at_once(
    tmp_path: Path, first: str
) -> None:
    filled(tmp_path).close()
    damage(tmp_path)
    cache = Cache(tmp_path)
    if first == "read":
        assert cache.actions.get(key(7)) is None
    cache.actions.put(key(7), Record(outputs=(key(1),)))
    cache.recorded()
    cache.flush()
    cache.actions.put(key(8), Record(outputs=(key(2),)))
    cache.recorded()
    assert any("is kept as cache.sqlite.broken and a new one is begun" in told for told in cache.take_warnings())
    cache.close()
    cache = Cache(tmp_path)
    assert cache.actions.get(key(7)) == Record(outputs=(key(1),)), "what met the damage is not lost either"
    assert cache.actions.get(key(8)) == Record(outputs=(key(2),)), "this very session kept results again"
    assert cache.take_warnings() == []
    cache.close()


def test_of_two_processes_that_meet_the_damage_only_the_first_puts_the_file_aside(tmp_path: Path) -> None:
    filled(tmp_path).close()
    damage(tmp_path)
    told: list[str] = []
    first, second = (Database(tmp_path / "cache.sqlite", told.append) for _ in range(2))
    ask = "SELECT record FROM actions WHERE key = ?", (key(7),)
    assert first.row(*ask) is None
    assert first.write([("INSERT INTO actions VALUES (?, ?, 1)", [(key(7), b"of the first")])])
    assert second.row(*ask) is None, "it meets the old file"
    assert second.row(*ask) == (b"of the first",), "and goes on with the new one"
    assert first.row(*ask) == (b"of the first",)
    first.close()
    second.close()


def test_clear_cures_a_damaged_file_and_says_so_only_when_it_did(tmp_path: Path) -> None:
    filled(tmp_path).close()
    damage(tmp_path)
    cache = Cache(tmp_path)
    assert cache.clear()
    cache.actions.put(key(5), Record(outputs=(key(1),)))
    cache.recorded()
    cache.close()
    assert not list(tmp_path.glob("*.broken*")), "what was put aside is cleared, too"
    cache = Cache(tmp_path)
    assert len(cache.actions) == 1
    cache._database.close()  # type: ignore[union-attr] - as if the file could not be opened
    assert not cache.clear()
    cache.close()


def test_value_files_are_still_served_and_evicted_after_their_index_was_lost(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    values = [torch.full((4000,), float(number)) for number in range(6)]
    names = [digest(value) for value in values]
    for name, value in zip(names, values, strict=True):
        cache.put(name, value, 1.0)
    cache.close()
    (tmp_path / "cache.sqlite").write_bytes(b"no database at all" * 1000)
    cache = Cache(tmp_path)
    assert torch.equal(cache.get(names[2]).value, values[2])
    assert cache.info().disk_values == 6
    cache.close()
    cache = Cache(tmp_path, disk_bytes=40_000)
    cache.put(digest(torch.ones(5000)), torch.ones(5000), 1.0)
    cache.close()
    assert sum(path.stat().st_size for path in (tmp_path / "values").glob("??/*")) <= 40_000
