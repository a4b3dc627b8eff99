"""`kill -9` at any moment: what was acknowledged is there when the store is opened again."""

from __future__ import annotations

import asyncio
import random
import select
import signal
import sqlite3
import subprocess
import sys
import time

import pytest

from engine.jobs.records import Job
from engine.jobs.store import JobStore

CHILD = """
import asyncio, os, sys
from pathlib import Path
from engine.jobs.records import Job, Outcome
from engine.jobs.store import JobStore

TEXT = b'{"1": "%s"}' % (b" " * 3000)
LONG = b'{"1": "%s"}' % (b" " * 400_000)

def say(word, job):
    os.write(1, f"{word} {job.id}\\n".encode())

async def client(store):
    while True:
        sequence = store.next_sequence
        prompt = checked = TEXT
        if sequence % 40 in (3, 4):
            prompt, checked = LONG, LONG
        job = Job(id=f"job-{sequence}", number=1.0, sequence=sequence, prompt=prompt, checked=checked, outputs=("1",))
        await store.accept([job])
        say("accepted", job)
        if sequence % 3:
            job.status, job.attempts = "running", 1
            store.began(job)
            await store.finish(job, Outcome(status="done", ended=float(sequence), outputs=b" " * 1000))
            say("finished", job)

async def main():
    store = JobStore(Path(sys.argv[1]))
    await store.open()
    await asyncio.gather(*(client(store) for _ in range(20)))

asyncio.run(main())
"""


def told_until_killed(path, seconds: float) -> list[tuple[str, str]]:
    """What the child said before it was killed, `seconds` after its first words."""
    child = subprocess.Popen([sys.executable, "-c", CHILD, str(path)], stdout=subprocess.PIPE)
    try:
        said = child.stdout.read1()
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            if select.select([child.stdout], [], [], left)[0]:
                said += child.stdout.read1()
    finally:
        child.send_signal(signal.SIGKILL)
        said += child.stdout.read()
        child.stdout.close()
        child.wait()
    assert child.returncode == -signal.SIGKILL
    lines = said.decode().split("\n")[:-1]
    return [tuple(line.split()) for line in lines]


async def stored(path) -> tuple[list[Job], list[Job], int]:
    store = JobStore(path)
    queue = [await store.whole(job) for job in await store.open()]
    history = [entry.job for entry in await store.history()]
    following = store.next_sequence
    await store.close()
    return queue, history, following


def texts_of(path) -> set[tuple[int, str]]:
    """Which texts stand apart, but for `extra_data`."""
    file = sqlite3.connect(path)
    found = set(file.execute("SELECT sequence, name FROM texts WHERE name != 'extra_data'"))
    file.close()
    return found


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
def test_every_acknowledged_job_and_end_survives_kills_at_random_moments(tmp_path):
    path = tmp_path / "jobs.db"
    source = random.Random(5)
    accepted: set[str] = set()
    finished: set[str] = set()
    rounds = 0
    while rounds < 4 or (rounds < 100 and (len(accepted) <= 100 or len(finished) <= 50)):  # a slow disk takes more
        rounds += 1
        words = told_until_killed(path, source.uniform(0.0, 0.25))
        accepted |= {id for word, id in words if word == "accepted"}
        finished |= {id for word, id in words if word == "finished"}
        queue, history, following = asyncio.run(stored(path))
        queued, ended = [job.id for job in queue], [job.id for job in history]
        assert finished <= set(ended)
        assert accepted <= set(queued) | set(ended)
        assert len(set(queued + ended)) == len(queued + ended)
        assert following > max(job.sequence for job in queue + history)
        assert not [job for job in history if job.checked or job.status != "done"]
        assert [len(job.checked) for job in queue] == [len(job.prompt) for job in queue]
        assert {len(job.prompt) > 400_000 for job in queue + history if job.sequence % 40 in (3, 4)} <= {True}
        assert {len(job.prompt) for job in queue + history if job.sequence % 40 not in (3, 4)} == {3009}
        assert texts_of(path) == {
            *((job.sequence, name) for job in queue if job.sequence % 40 in (3, 4) for name in ("prompt", "checked")),
            *((job.sequence, "prompt") for job in history if job.sequence % 40 in (3, 4)),
        }
    assert len(accepted) > 100
    assert len(finished) > 50
