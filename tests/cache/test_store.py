"""The value store and the action cache: budgets, persistence, damage, several processes."""

from __future__ import annotations

import errno
import os
import random
import signal
import sqlite3
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from engine.cache import actions, facade, files
from engine.cache.actions import ExpandedNode, Expansion, Record, Reference
from engine.cache.codecs import Codec, CodecError, Codecs
from engine.cache.digests import digest
from engine.cache.disk import DiskValues
from engine.cache.facade import Cache
from engine.cache.files import FileDigests
from engine.cache.memory import Memory, Stored


def put(cache: Cache, value: object, cost: float = 1.0) -> bytes:
    name = digest(value)
    assert name is not None
    cache.put(name, value, cost)
    return name


def reopened(cache: Cache, **options: object) -> Cache:
    cache.close()
    return Cache(cache.folder, **options)


VALUES = [
    *(1, -(10**30), 2**63, 1.5, float("inf"), -0.0, "text", "", None, True, b"bytes"),
    *([1, (2, "a"), []], {"a": {1: None}}),
    {"samples": torch.randn(1, 4, 8, 8), "batch_index": [0]},
    [[torch.randn(1, 7, 16).to(torch.bfloat16), {"pooled_output": torch.randn(1, 8), "strength": 0.5}]],
    *(torch.randn(64, 64, 3), torch.zeros(0, 3), torch.tensor(True), torch.randn(5, dtype=torch.complex64)),
    *(torch.randn(6, 4).t(), np.arange(5000.0), np.float32(3), np.zeros((0, 2)), np.array(2)),
]


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_what_is_stored_comes_back_in_another_process_as_it_was(tmp_path, value):
    cache = Cache(tmp_path)
    name = put(cache, value)
    cache = reopened(cache)
    entry = cache.get(name)
    assert entry is not None
    assert type(entry.value) is type(value)
    assert digest(entry.value) == name
    cache.close()


def test_tensors_read_from_disk_may_be_computed_with_and_written_to_without_harm(tmp_path):
    cache = Cache(tmp_path)
    name = put(cache, torch.ones(100, 100))
    cache = reopened(cache)
    entry = cache.get(name)
    assert entry is not None
    entry.value.add_(1)
    assert not entry.intact
    again = cache.get(name)
    assert again is not None
    assert float(again.value.sum()) == 10_000.0
    cache.close()


def test_records_come_back_whole(tmp_path):
    cache = Cache(tmp_path)
    expansion = Expansion(
        {
            "0": ExpandedNode(
                "Add", {"b": [1, {"x": None}]}, {"a": Reference("5", 1), "c": Reference(digests=(b"d" * 16,))}
            )
        },
        (Reference("0", 0),),
    )
    records = {
        b"a" * 16: Record(
            outputs=(b"x" * 16, (b"y" * 16, b"z" * 16), ()), ui={"images": [{"filename": "a.png"}]}, seconds=2.5
        ),
        b"b" * 16: Record(reads="on_true"),
        b"c" * 16: Record(expand=(expansion,), ui={}),
    }
    for key, record in records.items():
        cache.actions.put(key, record)
    cache = reopened(cache)
    assert {key: cache.actions.get(key) for key in records} == records
    assert cache.actions.get(b"?" * 16) is None
    cache.close()


class Handle:
    def __init__(self, name: str) -> None:
        self.name = name

    def identity(self) -> str:
        return self.name


HANDLES = Codec("handle", lambda value: isinstance(value, Handle), lambda value: value.name, Handle)


def test_registered_types_are_stored_within_other_values(tmp_path):
    cache = Cache(tmp_path, codecs=[HANDLES])
    name = put(cache, [Handle("m"), torch.ones(3)])
    cache = reopened(cache, codecs=[HANDLES])
    entry = cache.get(name)
    assert entry is not None
    assert entry.value[0].name == "m"
    cache.close()
    without = Cache(tmp_path)
    assert without.get(name) is None
    without.close()


def test_values_without_a_codec_stay_in_ram_only(tmp_path):
    cache = Cache(tmp_path)
    name = put(cache, Handle("m"))
    assert cache.get(name) is not None
    cache = reopened(cache)
    assert cache.get(name) is None
    assert cache.take_warnings() == []
    cache.close()


def test_the_ram_budget_holds_and_cheap_large_old_values_go_first():
    cache = Cache(None, ram_bytes=100_000)
    dear = put(cache, torch.full((10_000,), 1.0), cost=100.0)
    cheap = put(cache, torch.full((10_000,), 2.0), cost=0.1)
    latest = put(cache, torch.full((10_000,), 3.0), cost=1.0)
    assert [cache.get(name) is not None for name in (dear, cheap, latest)] == [True, False, True]
    assert cache.info().ram_bytes <= 100_000
    assert cache.get(put(cache, torch.zeros(1_000_000))) is None


def test_the_ram_budget_holds_for_small_values_too():
    cache = Cache(None, ram_bytes=10_000)
    names = [put(cache, f"{number} " + "x" * 100) for number in range(1000)]
    info = cache.info()
    assert info.ram_bytes <= 10_000
    assert 0 < info.ram_values < 100
    assert cache.get(names[-1]) is not None


@pytest.mark.parametrize("seed", range(3))
def test_the_bytes_counted_in_ram_are_those_of_the_values_there(seed):
    memory, dice = Memory(20_000), random.Random(seed)
    entries: dict[bytes, Stored] = {}
    for _ in range(500):
        name = bytes([dice.randrange(40)]) * 16
        if dice.random() < 0.7:
            entries[name] = Stored("x" * dice.randrange(3000), dice.random())
            memory.put(name, entries[name])
        elif name in entries:
            memory.drop(name, entries[name])
            memory.drop(name, entries[name])
        memory.get(name)
        held = [entry for one in entries if (entry := memory.get(one)) is not None]
        assert memory.used == sum(entry.size for entry in held) <= 20_000
        assert len(memory) == len(held)
    memory.clear()
    assert (memory.used, len(memory)) == (0, 0)


def test_when_the_disk_cannot_keep_up_values_are_passed_over_rather_than_piled_up(tmp_path, monkeypatch):
    monkeypatch.setattr(facade, "GATHER_SECONDS", 3600)
    cache = Cache(tmp_path, ram_bytes=100_000)
    for _ in range(50):  # the same value again and again counts once
        names = [put(cache, torch.full((10_000,), 0.0))]
    names += [put(cache, torch.full((10_000,), float(number))) for number in range(1, 10)]
    cache = reopened(cache)
    assert [cache.get(name) is not None for name in names] == [True] * 3 + [False] * 7
    cache.close()


def test_what_runs_give_in_quick_succession_is_on_disk_soon_and_not_written_run_by_run(tmp_path, monkeypatch):
    monkeypatch.setattr(facade, "GATHER_SECONDS", 3600)
    monkeypatch.setattr(facade, "SOON_SECONDS", 0.5)
    cache, reader = Cache(tmp_path), Cache(tmp_path)
    writes: list[int] = []
    assert cache._database is not None
    write = cache._database.write
    monkeypatch.setattr(cache._database, "write", lambda statements: writes.append(1) or write(statements))

    def runs(numbers: range) -> None:
        for number in numbers:
            cache.actions.put(number.to_bytes(16, "big"), Record(outputs=()))
            cache.recorded()
            cache.write_soon()
        end = time.monotonic() + 60
        while any(reader.actions.get(number.to_bytes(16, "big")) is None for number in numbers):
            assert time.monotonic() < end
            time.sleep(0.01)

    runs(range(20))
    runs(range(20, 40))
    assert len(writes) < 20
    cache.close()
    reader.close()


def test_the_oldest_records_are_let_go_in_ram_whether_made_or_read(tmp_path, monkeypatch):
    monkeypatch.setattr(actions, "KEPT_IN_RAM", 100)
    cache = Cache(tmp_path)
    for number in range(1000):
        cache.actions.put(number.to_bytes(16, "big"), Record(outputs=()))
        assert len(cache.actions._known) <= 100
    cache = reopened(cache)
    for number in range(1000):
        assert cache.actions.get(number.to_bytes(16, "big")) == Record(outputs=())
        assert len(cache.actions._known) <= 100
    cache.close()


def test_the_oldest_records_on_disk_are_deleted_time_and_again(tmp_path, monkeypatch):
    monkeypatch.setattr(actions, "KEPT_ON_DISK", 100)
    monkeypatch.setattr(actions, "PRUNE_EVERY", 20)
    clock = [1_000_000]
    monkeypatch.setattr(time, "time", lambda: clock[0])
    cache = Cache(tmp_path)
    for number in range(500):
        cache.actions.put(number.to_bytes(16, "big"), Record(outputs=()))
        clock[0] += 1
        if number % 10 == 9:
            cache.flush()
    assert 75 <= cache.info().actions <= 130
    cache = reopened(cache)
    assert cache.actions.get((0).to_bytes(16, "big")) is None
    assert cache.actions.get((499).to_bytes(16, "big")) is not None
    cache.close()


def test_the_disk_budget_holds_and_the_least_recently_used_files_go_first(tmp_path, monkeypatch):
    cache = Cache(tmp_path, disk_bytes=100_000, ram_bytes=0)
    clock = [1_000_000]
    monkeypatch.setattr(time, "time", lambda: clock[0])
    names = []
    for value in range(3):
        names.append(put(cache, torch.full((10_000,), float(value))))
        clock[0] += 10
        cache.flush()
        if value == 1:
            clock[0] += 10
            assert cache.get(names[0]) is not None  # now the second is the oldest
            cache.flush()
            clock[0] += 10
    assert [cache.get(name) is not None for name in names] == [True, False, True]
    assert sum(path.stat().st_size for path in (tmp_path / "values").rglob("*") if path.is_file()) <= 100_000
    cache.close()


def test_small_values_keep_to_the_disk_budget_too(tmp_path):
    cache = Cache(tmp_path, disk_bytes=400_000)  # with room in RAM, else all but the first of a batch are passed over
    for batch in range(10):
        for index in range(50):
            put(cache, f"{batch}.{index}." + "x" * 2000)
        cache.flush()
    info = cache.info()
    assert 100_000 < info.disk_bytes < 400_000
    assert info.disk_values < 200
    cache.close()


def test_a_value_that_somebody_wrote_into_is_served_to_nobody(tmp_path):
    cache = Cache(tmp_path)
    tensor, view_of, table, array = torch.ones(4), torch.ones(4), {"a": [1]}, np.ones(4)
    names = [put(cache, value) for value in (tensor, view_of, table, array)]
    tensor.add_(1)
    view_of[:2].mul_(0)
    table["a"].append(2)
    array[0] = 5
    assert [cache.get(name) for name in names] == [None] * 4
    cache = reopened(cache)
    assert [cache.get(name) for name in names] == [None] * 4  # nor was the changed content written under the old name
    cache.close()


class Unnamed:
    """A value of a pack that only its codec can tell: it has no digest and goes by the action that made it."""

    def __init__(self, name: str) -> None:
        self.name = name


UNNAMED = Codec("unnamed", lambda value: isinstance(value, Unnamed), lambda value: value.name, Unnamed)


def test_what_was_written_into_without_a_trace_does_not_go_to_disk_under_its_old_name(tmp_path):
    cache = Cache(tmp_path)
    tensor = torch.ones(4)
    name = put(cache, tensor)
    tensor.numpy()[0] = 5
    cache = reopened(cache)
    assert cache.get(name) is None
    cache.close()


def test_what_is_written_into_on_its_way_to_disk_is_served_to_nobody(tmp_path, monkeypatch):
    cache = Cache(tmp_path)
    tensor = torch.ones(10_000)
    name = put(cache, tensor)
    real = DiskValues.write_file

    def late(self: DiskValues, name: bytes, pieces: list[Any]) -> int:
        tensor.numpy()[0] = 5
        return real(self, name, pieces)

    monkeypatch.setattr(DiskValues, "write_file", late)
    cache = reopened(cache)
    assert cache.get(name) is None
    assert len(cache.take_warnings()) == 1
    cache.close()


@pytest.mark.parametrize("size", [1, 5000], ids=["row", "file"])
def test_nor_does_what_has_no_digest_once_it_was_seen_to_change(tmp_path, size):
    cache = Cache(tmp_path, codecs=[UNNAMED])
    names = [bytes([number]) * 16 for number in (1, 2)]
    values = [{"thing": Unnamed("a"), "numbers": [0] * size} for _ in names]
    for name, value in zip(names, values, strict=True):
        cache.put(name, value, 1.0)
    values[1]["numbers"].append(7)
    cache = reopened(cache, codecs=[UNNAMED])
    sound, spoilt = map(cache.get, names)
    assert sound is not None
    assert sound.value["numbers"] == [0] * size
    assert spoilt is None
    cache.close()


def test_inference_tensors_which_have_no_version_are_stored_and_served():
    cache = Cache(None)
    with torch.inference_mode():
        value = torch.ones(3) * 2
    assert cache.get(put(cache, value)) is not None


def damage(path: Path, how: str) -> None:
    data = path.read_bytes()
    path.write_bytes({"empty": b"", "cut": data[: len(data) // 2], "flipped": data[:-1] + bytes([data[-1] ^ 1])}[how])


@pytest.mark.parametrize("how", ["empty", "cut", "flipped"])
def test_a_damaged_value_file_is_dropped_with_a_warning(tmp_path, how):
    cache = Cache(tmp_path)
    name = put(cache, torch.arange(10_000.0))
    cache.close()
    (path,) = [path for path in (tmp_path / "values").rglob("*") if path.is_file()]
    damage(path, how)
    cache = Cache(tmp_path)
    assert cache.get(name) is None
    assert "unreadable" in cache.take_warnings()[0]
    assert not path.exists()
    put(cache, torch.arange(10_000.0))
    cache = reopened(cache)
    assert cache.get(name) is not None
    cache.close()


def test_a_database_that_is_none_is_put_aside(tmp_path):
    (tmp_path / "cache.sqlite").write_bytes(b"this is no database" * 100)
    cache = Cache(tmp_path)
    assert "unreadable" in cache.take_warnings()[0]
    name = put(cache, "x")
    cache = reopened(cache)
    assert cache.get(name) is not None
    assert (tmp_path / "cache.sqlite.broken").exists()
    cache.close()


def test_damage_inside_the_database_is_no_reason_to_fail(tmp_path):
    cache = Cache(tmp_path)
    names = [put(cache, "x" * 4000 + str(index)) for index in range(200)]
    cache.close()
    path = tmp_path / "cache.sqlite"
    data = bytearray(path.read_bytes())
    data[8192:] = os.urandom(len(data) - 8192)
    path.write_bytes(data)
    cache = Cache(tmp_path)
    found = [cache.get(name) for name in names]
    assert None in found
    put(cache, "new")
    cache.flush()
    cache.close()


def test_an_undecodable_record_counts_as_never_run(tmp_path):
    Cache(tmp_path).close()
    with sqlite3.connect(tmp_path / "cache.sqlite") as connection:
        connection.execute("INSERT INTO actions VALUES (?, ?, 0)", (b"k" * 16, b"\xc1garbage"))
    connection.close()
    cache = Cache(tmp_path)
    assert cache.actions.get(b"k" * 16) is None
    cache.close()


def test_a_folder_of_another_layout_begins_anew(tmp_path):
    cache = Cache(tmp_path)
    name = put(cache, "old")
    cache.close()
    with sqlite3.connect(tmp_path / "cache.sqlite") as connection:
        connection.execute("PRAGMA user_version = 999")
    connection.close()
    cache = Cache(tmp_path)
    assert cache.get(name) is None
    assert cache.get(put(cache, "new")) is not None
    cache.close()


def test_a_full_disk_gives_one_warning_and_the_cache_goes_on_in_ram(tmp_path, monkeypatch):
    cache = Cache(tmp_path)

    def full(self: Path, *args: object, **options: object) -> object:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "open", full)
    names = [put(cache, torch.full((10_000,), float(value))) for value in range(3)]
    cache.flush()
    names.append(put(cache, torch.zeros(20_000)))
    cache.flush()
    (warning,) = cache.take_warnings()
    assert "No space left on device" in warning
    assert all(cache.get(name) is not None for name in names)
    cache.close()


def test_a_folder_that_cannot_be_made_gives_a_warning_and_a_cache_in_ram(tmp_path):
    (tmp_path / "file").write_text("in the way")
    cache = Cache(tmp_path / "file" / "cache")
    assert cache.get(put(cache, "x")) is not None
    cache.flush()
    assert len(cache.take_warnings()) == 1
    cache.close()


def test_clearing_leaves_nothing_in_ram_or_on_disk(tmp_path):
    cache = Cache(tmp_path)
    name = put(cache, torch.zeros(10_000))
    cache.actions.put(b"k" * 16, Record(outputs=()))
    assert cache.info().actions == 1
    cache.clear()
    info = cache.info()
    assert (info.actions, info.ram_values, info.disk_values, info.disk_bytes) == (0, 0, 0, 0)
    assert cache.get(name) is None
    cache.close()


def test_files_are_known_by_content_and_read_once(tmp_path, monkeypatch):
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"one")
    os.utime(path, (1_000_000, 1_000_000))
    reads = []
    real = files._read
    monkeypatch.setattr(files, "_read", lambda path: reads.append(path) or real(path))
    cache = Cache(tmp_path / "cache")
    first = cache.files.hex(path)
    assert cache.files.hex(path) == first
    cache = reopened(cache)
    assert cache.files.hex(path) == first
    assert len(reads) == 1
    path.write_bytes(b"two")
    os.utime(path, (1_000_001, 1_000_001))
    assert cache.files.hex(path) != first
    assert len(reads) == 2
    cache.close()


def test_a_file_changed_just_now_is_read_again_as_its_time_may_not_move(tmp_path):
    digests = FileDigests()
    path = tmp_path / "a"
    path.write_bytes(b"one")
    stamp = path.stat().st_mtime_ns
    first = digests.digest(path)
    path.write_bytes(b"two")
    os.utime(path, ns=(stamp, stamp))
    assert digests.digest(path) != first


def test_a_payload_is_refused_when_any_byte_is_missing_or_changed():
    codecs = Codecs()
    whole = b"".join(codecs.encode([1, "two", np.arange(40)]))
    assert codecs.decode(whole)[1] == "two"
    for size in (0, 3, 20, len(whole) - 1):
        with pytest.raises(CodecError):
            codecs.decode(whole[:size])
    for place in range(0, len(whole), 7):
        with pytest.raises(CodecError):
            codecs.decode(whole[:place] + bytes([whole[place] ^ 255]) + whole[place + 1 :])


WRITER = textwrap.dedent(
    """
    import sys
    from pathlib import Path
    from engine.cache.actions import Record
    from engine.cache.digests import digest
    from engine.cache.facade import Cache
    import numpy as np

    cache = Cache(Path(sys.argv[1]))
    first = int(sys.argv[2])
    print("ready", flush=True)
    for index in range(first, first + int(sys.argv[3])):
        for value in (f"small {index}", np.full(4000, index)):
            cache.put(digest(value), value, 1.0)
        cache.actions.put(digest(index), Record(outputs=(digest(f"small {index}"),)))
        cache.recorded()
        if index % 5 == 0:
            cache.flush()
            print(index, flush=True)
    cache.close()
    """
)


def writer(folder: Path, first: int, count: int) -> subprocess.Popen[str]:
    arguments = [sys.executable, "-c", WRITER, str(folder), str(first), str(count)]
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)


def test_kill_9_leaves_the_folder_whole_and_loses_nothing_that_was_flushed(tmp_path):
    process = writer(tmp_path, 0, 100_000)
    assert process.stdout is not None
    last = -1
    for line in process.stdout:
        last = int(line) if line.strip().isdigit() else last
        if last >= 60:
            break
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    cache = Cache(tmp_path)
    for index in range(last + 1):
        assert cache.actions.get(digest(index)) is not None
        for value in (f"small {index}", np.full(4000, index)):
            entry = cache.get(digest(value))
            assert entry is not None
            assert digest(entry.value) == digest(value)
    assert cache.take_warnings() == []
    cache.close()


def test_several_processes_open_and_share_a_folder_at_once(tmp_path):
    processes = [writer(tmp_path, first, 60) for first in (0, 1000, 2000, 3000)]
    for process in processes:
        process.communicate(timeout=60)
        assert process.returncode == 0
    cache = Cache(tmp_path)
    for index in (first + step for first in (0, 1000, 2000, 3000) for step in range(60)):
        assert cache.actions.get(digest(index)) is not None
        assert cache.get(digest(f"small {index}")) is not None
    assert cache.take_warnings() == []
    cache.close()


def test_what_another_process_wrote_is_seen_without_reopening(tmp_path):
    reader, author = Cache(tmp_path), Cache(tmp_path)
    assert reader.actions.get(b"k" * 16) is None
    author.actions.put(b"k" * 16, Record(outputs=()))
    name = put(author, "hello")
    author.flush()
    assert reader.actions.get(b"k" * 16) == Record(outputs=())
    assert reader.get(name) is not None
    reader.close()
    author.close()


def test_a_folder_is_known_by_the_names_and_contents_of_all_its_files(tmp_path):
    model = tmp_path / "model"
    (model / "unet").mkdir(parents=True)
    (model / "model_index.json").write_text("{}")
    weights = model / "unet" / "weights.safetensors"
    weights.write_bytes(b"one")
    digests = FileDigests()
    first = digests.digest(model)
    assert digests.digest(model) == first
    weights.write_bytes(b"two")
    second = digests.digest(model)
    assert second != first
    weights.rename(weights.with_name("other.safetensors"))
    assert digests.digest(model) not in (first, second)
