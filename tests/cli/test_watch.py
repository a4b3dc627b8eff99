"""Watch mode: the workflow runs again when what it is made of changes."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from PIL import Image

from engine.cli import watch as watching
from engine.cli.exits import CliError
from engine.graph.schema import Catalogue
from engine.paths import Paths
from tests.cli.test_run_calls import PICTURE
from tests.harness import PATIENCE


class Told:
    """A report that keeps what it is told, and can be waited for."""

    def __init__(self) -> None:
        self.events: asyncio.Queue[tuple[str, dict[str, Any]]] = asyncio.Queue()

    def told(self, event: str, text: str, **facts: Any) -> None:
        self.events.put_nowait((event, {"text": text, **facts}))

    async def next(self, wanted: str) -> dict[str, Any]:
        async with asyncio.timeout(PATIENCE):
            event, facts = await self.events.get()
        assert event == wanted, facts
        return facts


class Runs:
    """Stands for the runs: each waits until it is let go, or cancelled."""

    def __init__(self, media: tuple[str, ...] = ()) -> None:
        self.caller = SimpleNamespace(media=media, graph=SimpleNamespace(prompt={}), catalogue=Catalogue())
        self.begun: asyncio.Queue[Any] = asyncio.Queue()
        self.refusal: CliError | None = None

    async def __call__(self, began: Any, cancel: Any) -> None:
        began(self.caller)
        if self.refusal is not None:
            raise self.refusal
        free = asyncio.Event()
        loop = asyncio.get_running_loop()
        cancel.on_cancel(lambda: loop.call_soon_threadsafe(free.set))
        self.begun.put_nowait((cancel, free))
        await free.wait()

    async def next(self) -> Any:
        async with asyncio.timeout(PATIENCE):
            return await self.begun.get()


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(watching, "POLL_SECONDS", 0.005)
    monkeypatch.setattr(watching, "_SETTLED_SECONDS", 0.001)


@asynccontextmanager
async def watched(file: Path, runs: Runs) -> AsyncIterator[Told]:
    told = Told()
    task = asyncio.ensure_future(watching.watch(file, runs, told, Paths(file.parent)))  # type: ignore[arg-type]
    try:
        yield told
    finally:
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


def test_a_change_while_nothing_runs_runs_it_again(tmp_path):
    async def go() -> None:
        file = tmp_path / "w.json"
        file.write_text("1")
        runs = Runs()
        async with watched(file, runs) as told:
            _, free = await runs.next()
            free.set()
            assert (await told.next("waiting"))["files"] == [str(file)]
            file.write_text("22")
            assert (await told.next("changed"))["files"] == [str(file)]
            cancel, _ = await runs.next()
            assert not cancel.cancelled

    asyncio.run(go())


def test_a_change_cancels_the_run_that_is_stale(tmp_path):
    async def go() -> None:
        file = tmp_path / "w.json"
        file.write_text("1")
        runs = Runs()
        async with watched(file, runs) as told:
            stale, _ = await runs.next()
            file.write_text("22")
            await told.next("changed")
            fresh, _ = await runs.next()
            assert stale.cancelled
            assert not fresh.cancelled
        assert fresh.cancelled

    asyncio.run(go())


def test_a_file_that_is_broken_or_gone_for_now_is_told_and_waited_for(tmp_path):
    async def go() -> None:
        file = tmp_path / "w.json"
        file.write_text("1")
        runs = Runs()
        runs.refusal = CliError(3, "w.json is broken")
        async with watched(file, runs) as told:
            assert await told.next("error") == {"text": "w.json is broken", "code": 3, "problems": None}
            await told.next("waiting")
            file.unlink()
            await told.next("changed")
            await told.next("error")
            await told.next("waiting")
            runs.refusal = None
            file.write_text("22")
            await told.next("changed")
            await runs.next()

    asyncio.run(go())


def test_files_that_were_given_are_watched_too(tmp_path):
    async def go() -> None:
        file, picture = tmp_path / "w.json", tmp_path / "p.png"
        file.write_text("1")
        picture.write_text("1")
        runs = Runs((str(picture),))
        async with watched(file, runs) as told:
            _, free = await runs.next()
            free.set()
            assert (await told.next("waiting"))["files"] == [str(file), str(picture)]
            picture.write_text("22")
            assert (await told.next("changed"))["files"] == [str(picture)]
            await runs.next()

    asyncio.run(go())


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["-"], 2, "comes once"),
        (["gone.json"], 4, "no file"),
        (["w.json", "--json"], 2, "--json-lines"),
        (["w.json", "--image", "-"], 2, "comes once"),
    ],
)
def test_what_cannot_be_watched_is_told(here, arguments, code, said):
    here.write("w.json", PICTURE)
    assert said in here.run("run", *arguments, "--watch", code=code).said


def test_a_process_runs_again_after_changes_of_workflow_and_picture_and_ends_with_130(here):
    def picture(width: int) -> None:
        new = here.folder / "new.png"
        Image.new("RGB", (width, 3), "red").save(new)
        new.replace(here.folder / "input" / "a.png")

    def workflow(text: str) -> None:
        new = here.folder / "new.json"
        new.write_text(text)
        new.replace(here.folder / "w.json")

    (here.folder / "input").mkdir()
    picture(5)
    graph = {**PICTURE, "1": {"class_type": "LoadImage", "inputs": {"image": "a.png"}}}
    workflow(json.dumps(graph))
    process = subprocess.Popen(
        here.command("run", "w.json", "--watch", "--json-lines"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=here.environment(),
        cwd=here.folder,
    )
    assert process.stdout is not None

    def until_waiting() -> list[dict[str, Any]]:
        told = []
        while not told or told[-1]["event"] != "waiting":
            told.append(json.loads(process.stdout.readline()))
        return told

    try:
        told = until_waiting()
        assert {Path(one).name for one in told[-1]["files"]} == {"w.json", "a.png"}
        assert "(1, 3, 5, 3)" in next(one["text"] for one in told if one["event"] == "output")
        picture(9)
        told = until_waiting()
        assert told[0]["event"] == "changed"
        assert "(1, 3, 9, 3)" in next(one["text"] for one in told if one["event"] == "output")
        workflow("{")
        assert [one["event"] for one in until_waiting()] == ["changed", "error", "waiting"]
        workflow(json.dumps(graph))
        told = until_waiting()
        assert told[-2]["summary"] == "reused 2 of 2"
        os.kill(process.pid, signal.SIGINT)
        assert process.wait(PATIENCE) == 130
    finally:
        process.kill()
        process.communicate()
