"""What the index of assets remembers, and what it forgets."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest

from engine.server.api_v2 import asset_index
from engine.server.api_v2.asset_index import AssetIndex
from tests.server.test_api_v2_events import asset


def indexed(path: Path, story: Any) -> None:
    async def run() -> None:
        index = AssetIndex(path / "api_v2.db")
        await story(index)
        await index.close()

    asyncio.run(run())


def of(job: str, id: str, **changes: Any) -> Any:
    return msgspec.structs.replace(asset(id), job_id=job, **changes)


def test_outputs_of_a_job_are_added_once_so_that_deleted_ones_do_not_come_back(tmp_path: Path) -> None:
    async def story(index: AssetIndex) -> None:
        outputs = [of("job", "a", kind="temp"), of("job", "b", made=2.0), of("job", "c")]
        await index.complete("job", outputs)
        assert [one.id for one in await index.of_job("job")] == ["c", "b", "a"], "what was saved comes first"
        await index.remove("b")
        await index.complete("job", outputs)
        assert [one.id for one in await index.of_job("job")] == ["c", "a"]
        assert (await index.notes(["job", "none"]))["job"].complete is True
        assert (await index.notes(["job", "none"]))["none"].complete is False

    indexed(tmp_path, story)


def test_the_oldest_jobs_are_forgotten_with_their_outputs_and_uploads_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asset_index, "MOST_NOTES", 3)

    async def story(index: AssetIndex) -> None:
        upload = msgspec.structs.replace(asset("up"), job_id=None, kind="input", hash="blake3:1")
        await index.add([upload])
        await index.note_job("one", {"metadata": {"n": "1"}}, ["up"])
        await index.complete("one", [of("one", "a", hash="blake3:1")])
        assert [one.id for one in await index.by_hash("blake3:1")] == ["up", "a"], "uploads come first"
        assert await index.users_of(["up", "a"]) == ["one"]
        for name in ("two", "three", "four"):
            await index.note_job(name, {"metadata": {"n": name}}, [])
        assert [id for _, id, _ in await index.labelled(None, 10)] == ["four", "three", "two"]
        assert [one.id for one in await index.by_hash("blake3:1")] == ["up"]
        assert await index.users_of(["up"]) == []
        first, *_ = await index.labelled(None, 1)
        assert [id for _, id, _ in await index.labelled(first[0], 10)] == ["three", "two"]
        await index.forget_job("three")
        assert (await index.notes(["three"]))["three"].labels == {}

    indexed(tmp_path, story)
