"""Values on disk: which are rows and which are files, which go first, and what is kept in RAM of them."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from engine.cache import actions, disk
from engine.cache.actions import ActionCache, Record
from engine.cache.codecs import Codecs
from engine.cache.digests import digest
from engine.cache.disk import SMALL_BYTES
from engine.cache.facade import Cache

OVERHEAD = sum(map(len, Codecs([]).encode(b"x" * 8000))) - 8000


def put(cache: Cache, value: object) -> bytes:
    name = digest(value)
    assert name is not None
    cache.put(name, value, 1.0)
    return name


def files(folder: Path) -> list[Path]:
    return [path for path in (folder / "values").rglob("*") if path.is_file()]


@pytest.mark.parametrize(("more", "count"), [(0, 0), (1, 1)])
def test_a_payload_up_to_the_limit_is_a_row_and_a_longer_one_a_file(tmp_path: Path, more: int, count: int) -> None:
    cache = Cache(tmp_path)
    put(cache, b"x" * (SMALL_BYTES - OVERHEAD + more))
    cache.flush()
    assert len(files(tmp_path)) == count
    assert cache.info().disk_values == 1
    cache.close()


def test_a_value_that_was_read_from_disk_stays_in_ram(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    name = put(cache, b"x" * 20_000)
    cache.close()
    again = Cache(tmp_path)
    assert again.get(name) is again.get(name) is not None
    again.close()


def test_what_waits_is_written_when_the_cache_closes(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    name = put(cache, "text")
    cache.close()
    again = Cache(tmp_path)
    assert again.get(name).value == "text"
    again.close()


def big(number: int) -> bytes:
    return bytes([number]) * 20_000


def test_files_that_were_read_longest_ago_go_first_and_no_more_than_must(tmp_path: Path, monkeypatch) -> None:
    now = [1000.0]
    monkeypatch.setattr(time, "time", lambda: now[0])
    size = len(big(0)) + OVERHEAD
    cache = Cache(tmp_path, disk_bytes=3 * size, ram_bytes=1)
    names = []
    for number in range(3):
        now[0] += 10
        names.append(put(cache, big(number)))
        cache.flush()
    now[0] += 10
    assert cache.get(names[0]) is not None  # from disk, which makes it young
    cache.flush()
    assert len(files(tmp_path)) == 3
    names.append(put(cache, big(3)))
    cache.flush()
    assert [cache.get(name) is not None for name in names] == [True, False, True, True]
    cache.close()


@pytest.mark.parametrize(
    ("age", "there"), [(0, True), (disk.ABANDONED_SECONDS - 60, True), (disk.ABANDONED_SECONDS + 60, False)]
)
def test_half_written_files_are_swept_only_when_nobody_can_be_at_them(tmp_path: Path, age: int, there: bool) -> None:
    part = tmp_path / "values" / "ab" / "cd.1.2.part"
    part.parent.mkdir(parents=True)
    part.touch()
    os.utime(part, (time.time() - age,) * 2)
    Cache(tmp_path).close()
    assert part.exists() is there


def test_a_cleared_cache_reads_a_file_anew_though_its_size_and_time_are_the_same(tmp_path: Path) -> None:
    cache, file = Cache(tmp_path / "cache"), tmp_path / "file"
    found = []
    for text in ("one", "two"):
        file.write_text(text)
        os.utime(file, (1000, 1000))
        found.append([cache.files.digest(file)])
        cache.clear()
    assert found[0] != found[1]
    cache.close()


def test_a_warning_is_told_once(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    name = put(cache, big(1))
    cache.close()
    (path,) = files(tmp_path)
    path.write_bytes(path.read_bytes()[:-1])
    again = Cache(tmp_path)
    assert again.get(name) is None
    assert len(again.take_warnings()) == 1
    assert again.take_warnings() == []
    again.close()
    assert files(tmp_path) == []


@pytest.mark.parametrize(("budget", "all_there"), [(400_000, False), (40_000_000, True)])
def test_small_values_have_a_quarter_of_the_budget(tmp_path: Path, budget: int, all_there: bool) -> None:
    cache = Cache(tmp_path, disk_bytes=budget)
    for number in range(60):
        put(cache, bytes([number]) * 4000)
    cache.flush()
    assert (cache.info().disk_values == 60) is all_there
    cache.close()


def test_of_records_in_ram_the_oldest_are_forgotten(monkeypatch) -> None:
    monkeypatch.setattr(actions, "KEPT_IN_RAM", 8)
    known = ActionCache()
    for number in range(9):
        known.put(bytes([number]), Record(seconds=float(number)))
    there = [number for number in range(9) if known.get(bytes([number])) is not None]
    assert 8 in there
    assert 0 not in there
