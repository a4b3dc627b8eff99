"""The pool: starting, hearing, losing and restarting processes. The workers here are small scripts that speak the protocol."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from engine.jobs import workers_folder, workers_process, workers_socket
from engine.jobs.frames import Frames
from engine.jobs.messages import Device, Hello, JobFinished, JobStarted, RunJob, ToWorker
from engine.jobs.workers import Worker, WorkerPool
from engine.jobs.workers_output import LINES_A_SECOND, MAX_LINE, Output
from engine.jobs.workers_process import restart_delay
from engine.jobs.workers_socket import connect
from tests.harness import PATIENCE

PRELUDE = """
import os, signal, socket, sys, time
import msgspec
from engine.execute.events import Counts
from engine.jobs.frames import Unframer, frame
from engine.jobs.messages import *

def say(*messages):
    for message in messages:
        server.sendall(frame(message))

def hear():
    while not heard:
        data = server.recv(65536)
        if not data:
            sys.exit(0)
        unframer.feed(data, heard.append)
    return heard.pop(0)

def finish(job):
    say(JobFinished(job, "done", b"{}", b"{}", Counts(ran=1), 0.1, models=["checkpoints/a"]))

unframer, heard = Unframer(ToWorker), []
kind, _, path = os.environ["SAFELIGHT_WORKER_ADDRESS"].partition(":")
if kind == "unix":
    server = socket.socket(socket.AF_UNIX)
    server.connect(path)
else:
    server = socket.create_connection((path.rpartition(":")[0], int(path.rpartition(":")[2])))
index, secret = int(os.environ["SAFELIGHT_WORKER_INDEX"]), os.environ["SAFELIGHT_WORKER_SECRET"]
"""

FAITHFUL = """
say(Hello(index, secret, os.getpid()), CatalogueReady(), Ready("9.9", [Device("cpu", "cpu")]))
while True:
    message = hear()
    if type(message) is Shutdown:
        sys.exit(0)
    if type(message) is RunJob:
        say(JobStarted(message.job))
        finish(message.job)
"""


class Heard:
    """What a pool told."""

    def __init__(self) -> None:
        self.messages: list[Any] = []
        self.states: list[tuple[int, str]] = []
        self.lines: list[str] = []
        self.reasons: list[str] = []

    def on_message(self, worker: Worker, message: Any) -> None:
        self.messages.append(message)

    def on_change(self, worker: Worker) -> None:
        self.states.append((worker.index, worker.state))
        if worker.state == "lost":
            self.reasons.append(worker.lost_reason)

    def on_output(self, index: int, line: str) -> None:
        self.lines.append(line)


Scene = Callable[[WorkerPool, Heard], Awaitable[None]]


async def until(condition: Callable[[], Any]) -> None:
    """Wait for `condition`; fail when it does not come about."""
    async with asyncio.timeout(PATIENCE):
        while not condition():
            await asyncio.sleep(0.005)


def play(script: str, scene: Scene, *, grace: float = 5.0, **options: Any) -> Heard:
    """Run a pool whose workers are `script`, and `scene` with it."""
    heard = Heard()

    async def main() -> None:
        command = [sys.executable, "-c", PRELUDE + textwrap.dedent(script)]
        pool = WorkerPool(
            command,
            on_message=heard.on_message,
            on_change=heard.on_change,
            on_output=heard.on_output,
            **{"count": 1, **options},
        )
        await pool.start()
        try:
            await scene(pool, heard)
        finally:
            await pool.stop(grace)

    asyncio.run(main())
    return heard


def test_a_worker_connects_becomes_ready_and_runs_a_job() -> None:
    async def scene(pool: WorkerPool, heard: Heard) -> None:
        [worker] = pool.workers
        await until(lambda: worker.state == "ready")
        assert worker.catalogue
        assert (worker.torch_version, worker.devices) == ("9.9", [Device("cpu", "cpu")])
        worker.send(RunJob("a", b"{}", (), b"{}"))
        await until(lambda: isinstance(heard.messages[-1], JobFinished))
        assert worker.models == {"checkpoints/a"}
        assert worker.job is None

    heard = play(FAITHFUL, scene)
    assert [type(message).__name__ for message in heard.messages] == [
        "CatalogueReady",
        "Ready",
        "JobStarted",
        "JobFinished",
    ]
    assert heard.states == [(0, "connected"), (0, "ready"), (0, "stopped")]


def test_each_of_several_workers_has_its_own_place() -> None:
    async def scene(pool: WorkerPool, heard: Heard) -> None:
        await until(lambda: [worker.state for worker in pool.workers] == ["ready"] * 3)
        assert len({worker.pid for worker in pool.workers}) == 3
        assert [worker.index for worker in pool.workers] == [0, 1, 2]

    play(FAITHFUL, scene, count=3)


TWO_GPUS = FAITHFUL.replace('[Device("cpu", "cpu")]', '[Device("a", "cuda", 0), Device("b", "cuda", 1)]')


def test_with_two_gpus_a_second_worker_is_started_unless_a_number_or_a_device_was_given() -> None:
    async def grows(pool: WorkerPool, heard: Heard) -> None:
        await until(lambda: [worker.state for worker in pool.workers] == ["ready"] * 2)

    async def stays(pool: WorkerPool, heard: Heard) -> None:
        await until(lambda: pool.workers[0].state == "ready")
        assert len(pool.workers) == 1

    play(TWO_GPUS, grows, count=None)
    play(TWO_GPUS, stays, count=1)
    play(TWO_GPUS, stays, count=None, device="cuda:1")


def test_a_device_that_was_given_and_further_variables_reach_the_worker() -> None:
    script = 'print(os.environ["SAFELIGHT_WORKER_DEVICE"], os.environ["COLOUR"])\n' + FAITHFUL

    async def scene(pool: WorkerPool, heard: Heard) -> None:
        await until(lambda: heard.lines)
        assert heard.lines == ["cpu red"]

    play(script, scene, device="cpu", env={"COLOUR": "red", "PYTHONUNBUFFERED": "1"})


DIES_ONCE = """
import pathlib
mark = pathlib.Path(os.environ["MARK"])
first = not mark.exists()
mark.touch()
say(Hello(index, secret, os.getpid()))
if first:
    {end}
"""


@pytest.mark.parametrize(
    ("end", "reason"),
    [
        ("sys.exit(3)", "ended with exit code 3."),
        ("sys.exit(0)", "ended without being asked to."),
        (
            "os.kill(os.getpid(), signal.SIGKILL)",
            "killed by signal 9 (SIGKILL); the system may have run out of memory.",
        ),
        ("os.kill(os.getpid(), signal.SIGSEGV)", "killed by signal 11 (SIGSEGV); it crashed in native code."),
        ('server.sendall(b"\\0\\0\\0\\1\\xc1"); hear()', "sent what is no message and was killed"),
    ],
)
def test_a_worker_that_dies_is_lost_with_the_reason_and_started_again_at_once(
    tmp_path: Path, end: str, reason: str
) -> None:
    async def scene(pool: WorkerPool, heard: Heard) -> None:
        [worker] = pool.workers
        worker.job = "what the dispatcher keeps there"
        await until(lambda: heard.states[-1:] == [(0, "ready")])
        assert heard.states == [(0, "connected"), (0, "lost"), (0, "connected"), (0, "ready")]
        assert worker.job == "what the dispatcher keeps there"
        assert worker.restarts == 1
        assert heard.reasons[0].startswith("Worker 0 ")
        assert reason in heard.reasons[0]

    script = DIES_ONCE.format(end=end) + FAITHFUL.replace("Hello(index, secret, os.getpid()), ", "")
    play(script, scene, env={"MARK": str(tmp_path / "mark")})


def test_what_a_worker_sent_before_it_died_is_heard_before_it_is_lost() -> None:
    script = """
    say(Hello(index, secret, os.getpid()))
    finish(hear().job)
    os.kill(os.getpid(), signal.SIGKILL)
    """

    async def scene(pool: WorkerPool, heard: Heard) -> None:
        await until(lambda: pool.workers[0].usable)
        pool.workers[0].send(RunJob("a", b"{}", (), b"{}"))
        await until(lambda: (0, "lost") in heard.states)
        assert [type(message).__name__ for message in heard.messages] == ["JobFinished"]
        assert not pool.workers[0].usable

    play(script, scene)


def test_the_last_words_of_a_dead_worker_are_kept() -> None:
    script = """
    for number in range(100):
        print("word", number, file=sys.stderr)
    sys.exit(1)
    """

    async def scene(pool: WorkerPool, heard: Heard) -> None:
        await until(lambda: heard.reasons)
        assert pool.workers[0].lost_output == [f"word {number}" for number in range(80, 100)]

    play(script, scene)


def test_megabytes_of_output_are_cut_to_some_lines_and_the_worker_goes_on() -> None:
    script = """
    sys.stdout.write("x" * 3_000_000 + "\\n")
    sys.stdout.write("line\\n" * 1_000_000)
    sys.stdout.flush()
    sys.stderr.write("\\xff\\r" * 100_000)
    """

    async def scene(pool: WorkerPool, heard: Heard) -> None:
        await until(lambda: pool.workers[0].state == "ready")

    heard = play(textwrap.dedent(script) + FAITHFUL, scene)
    told = [line for line in heard.lines if not line.startswith("(")]
    assert len(told) < 60 * LINES_A_SECOND
    assert max(map(len, heard.lines)) == MAX_LINE
    left_out = [int(line[1:].split()[0]) for line in heard.lines if line.startswith("(")]
    assert sum(left_out) > 500_000


def test_what_the_engine_warns_of_is_told_in_a_flood_of_lines() -> None:
    heard: list[str] = []

    async def story() -> None:
        output = Output(heard.append)
        flood = b"line\n" * 10_000
        output.feed(1, flood + b"WARNING safelight.packs: told\n" + flood, keep=False)
        output.feed(1, b"ERROR safelight.packs: told\n" * 10_000, keep=False)
        output.end(1, keep=False)

    asyncio.run(story())
    assert heard.count("line") == heard.count("ERROR safelight.packs: told") + 1 == LINES_A_SECOND
    assert "WARNING safelight.packs: told" in heard
    assert heard[-1] == f"({30_001 - 2 * LINES_A_SECOND} further lines are left out)"


def test_how_many_lines_are_left_out_is_told_though_nothing_more_is_printed() -> None:
    heard: list[str] = []

    async def story() -> None:
        Output(heard.append).feed(1, b"line\n" * (LINES_A_SECOND + 5), keep=False)
        await until(lambda: len(heard) > LINES_A_SECOND)

    asyncio.run(story())
    assert heard[-1] == "(5 further lines are left out)"


def test_a_grandchild_that_holds_the_pipes_does_not_hide_the_death() -> None:
    script = """
    import subprocess
    say(Hello(index, secret, os.getpid()))
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1000)"])
    print(child.pid, flush=True)
    sys.exit(4)
    """
    children: list[int] = []

    async def scene(pool: WorkerPool, heard: Heard) -> None:
        await until(lambda: heard.lines)
        children.append(int(heard.lines[0]))
        await until(lambda: heard.reasons)
        assert heard.reasons[0] == "Worker 0 ended with exit code 4."
        os.kill(children[0], 0)  # it is there still

    try:
        heard = play(script, scene)
        children += map(int, heard.lines[1:])  # of those that were started after it
    finally:
        for child in children:
            os.kill(child, signal.SIGKILL)


def test_only_the_secret_of_a_worker_opens_its_place() -> None:
    async def scene(pool: WorkerPool, heard: Heard) -> None:
        [worker] = pool.workers
        await until(lambda: worker.state == "ready")
        address = pool._listener.address
        assert worker.process is not None
        for hello in (
            Hello(0, "wrong", 1),
            Hello(0, worker.process.secret, 1),
            Hello(1, worker.process.secret, 1),
            Hello(-1, worker.process.secret, 1),
            Hello(0, "ünïcode", 1),
            JobStarted("a"),
        ):
            assert await refused(address, hello), hello
        assert worker.state == "ready"
        assert heard.states == [(0, "connected"), (0, "ready")]

    play(FAITHFUL, scene)


def test_nobody_takes_the_place_of_a_worker_that_has_been_started_but_has_not_spoken() -> None:
    """The place is free then, and only the secret keeps it."""
    accepted: list[int] = []

    async def scene() -> None:
        pool = WorkerPool(["none"], count=1, on_message=print, on_change=lambda worker: accepted.append(worker.index))
        worker = Worker(0)
        worker.process = SimpleNamespace(secret="the secret", connected=lambda frames: None, disconnected=print)
        pool.workers.append(worker)
        connection: Any = SimpleNamespace(frames=SimpleNamespace(open=True))
        for hello in (Hello(0, "", 1), Hello(0, "the secre", 1), Hello(0, "The secret", 1), Hello(1, "the secret", 1)):
            assert not pool._accept(hello, connection), hello
        assert (worker.state, worker.frames, accepted) == ("starting", None, [])
        assert pool._accept(Hello(0, "the secret", 7), connection)
        assert (worker.state, worker.pid, accepted) == ("connected", 7, [0])

    asyncio.run(scene())


async def refused(address: str, message: Any) -> bool:
    """Whether the pool closes a connection that begins with `message`."""
    closed = asyncio.get_running_loop().create_future()
    frames = await connect(address, lambda: Frames(ToWorker, print, closed.set_result))
    frames.send(message)
    await asyncio.wait_for(closed, PATIENCE)
    return True


def test_who_says_nothing_is_closed_and_there_are_only_so_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers_socket, "HELLO_SECONDS", 1000.0)
    monkeypatch.setattr(workers_socket, "MAX_STRANGERS", 3)
    closed: list[int] = []

    async def stranger(pool: WorkerPool, number: int) -> Frames:
        return await connect(pool._listener.address, lambda: Frames(ToWorker, print, lambda _: closed.append(number)))

    async def scene(pool: WorkerPool, heard: Heard) -> None:
        await until(lambda: pool.workers[0].state == "ready")
        frames = [await stranger(pool, number) for number in range(8)]
        await until(lambda: len(closed) == 5)
        assert set(closed) == {3, 4, 5, 6, 7}
        frames[0].close()
        await until(lambda: len(pool._listener.strangers) == 2)
        monkeypatch.setattr(workers_socket, "HELLO_SECONDS", 0.05)
        await stranger(pool, 8)
        await until(lambda: len(pool._listener.strangers) == 3 or 8 in closed)
        await until(lambda: 8 in closed)
        assert pool.workers[0].state == "ready"

    play(FAITHFUL, scene)


def test_the_socket_is_in_a_folder_of_this_user_alone_and_goes_with_the_pool() -> None:
    folders: list[Path] = []

    async def scene(pool: WorkerPool, heard: Heard) -> None:
        kind, _, path = pool._listener.address.partition(":")
        assert kind == "unix"
        folders.append(Path(path).parent)
        assert folders[0].stat().st_mode & 0o777 == 0o700

    play(FAITHFUL, scene)
    assert not folders[0].exists()


def test_folders_that_killed_servers_left_behind_are_swept_and_no_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    script = (
        "import os, sys, socket, tempfile\n"
        "tempfile.tempdir = sys.argv[1]\n"
        "from engine.jobs.workers_folder import SocketFolder\n"
        "folder = SocketFolder()\n"
        "socket.socket(socket.AF_UNIX).bind(str(folder.path / 'workers'))\n"
        "print(folder.path, flush=True)\n"
        "sys.stdin.read()\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path)]
    lives, killed = (
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(2)
    )
    try:
        places = [Path(process.stdout.readline().strip()) for process in (lives, killed)]  # type: ignore[union-attr]
        killed.kill()
        killed.wait()
        for name in ("safelight-notes", "safelight-user", "other"):  # of somebody else
            (tmp_path / name).mkdir()
            (tmp_path / name / "text").touch()
        (tmp_path / "safelight-user" / "server.lock").touch()  # a user directory whose server does not run
        assert workers_folder.sweep() == 1
        assert [place.exists() for place in places] == [True, False]
        assert workers_folder.sweep() == 0
        assert len(list(tmp_path.iterdir())) == 4
    finally:
        lives.kill()
        lives.communicate()
    own = workers_folder.SocketFolder()
    assert workers_folder.sweep() == 1, "the other has died meanwhile"
    assert own.path.exists(), "a lock of this very process counts too"
    own.remove()
    assert not own.path.exists()


def test_without_room_for_a_path_a_port_of_this_machine_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers_socket, "_MAX_PATH", 3)

    async def scene(pool: WorkerPool, heard: Heard) -> None:
        assert pool._listener.address.startswith("tcp:127.0.0.1:")
        await until(lambda: pool.workers[0].state == "ready")

    play(FAITHFUL, scene)


def test_a_worker_that_never_connects_is_killed_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers_process, "CONNECT_SECONDS", 0.5)

    async def scene(pool: WorkerPool, heard: Heard) -> None:
        await until(lambda: heard.reasons)
        assert "did not connect within" in heard.reasons[0]

    play("time.sleep(100)", scene)


def test_a_worker_that_closes_its_connection_but_stays_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers_process, "LEAVE_SECONDS", 0.1)

    async def scene(pool: WorkerPool, heard: Heard) -> None:
        await until(lambda: heard.reasons)
        assert heard.reasons[0] == "Worker 0 closed its connection but did not end."

    play("say(Hello(index, secret, os.getpid()))\nserver.close()\ntime.sleep(100)", scene)


def test_a_command_that_does_not_exist_is_told_and_tried_again() -> None:
    heard = Heard()

    async def main() -> None:
        pool = WorkerPool(["/does/not/exist"], count=1, on_message=heard.on_message, on_change=heard.on_change)
        await pool.start()
        await until(lambda: len(heard.reasons) >= 2)
        await pool.stop(1.0)

    asyncio.run(main())
    assert heard.reasons[0].startswith("Worker 0 could not be started: ")


def test_a_message_whose_handling_fails_harms_no_later_one() -> None:
    heard = Heard()

    def fail(worker: Worker, message: Any) -> None:
        heard.on_message(worker, message)
        raise RuntimeError("a bug of the caller")

    async def scene(pool: WorkerPool, _: Heard) -> None:
        pool._on_message = fail
        await until(lambda: len(heard.messages) == 2)
        assert pool.workers[0].state == "ready"

    play(FAITHFUL, scene)


def test_short_lives_are_followed_by_longer_and_longer_waits_up_to_half_a_minute() -> None:
    lives, delays = 0, []
    for _ in range(12):
        lives, delay = restart_delay(lives, 0.1)
        delays.append(delay)
    assert delays[:5] == [0.0, 0.5, 1.0, 2.0, 4.0]
    assert delays == sorted(delays)
    assert delays[-1] == 30.0
    assert restart_delay(lives, 60.0) == (0, 0.0)


STUBBORN = """
signal.signal(signal.SIGTERM, signal.SIG_IGN)
say(Hello(index, secret, os.getpid()))
time.sleep(100)
"""


def test_a_worker_that_will_not_end_is_killed_when_the_pool_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.jobs.workers.TERMINATE_SECONDS", 0.2)
    pids: list[int] = []

    async def scene(pool: WorkerPool, heard: Heard) -> None:
        await until(lambda: pool.workers[0].state == "connected")
        assert pool.workers[0].pid is not None
        pids.append(pool.workers[0].pid)

    heard = play(STUBBORN, scene, grace=0.2)
    assert heard.states[-1] == (0, "stopped")
    with pytest.raises(ProcessLookupError):
        os.kill(pids[0], 0)


def test_a_pool_that_stops_while_its_worker_starts_leaves_no_process() -> None:
    pids: list[int | None] = []

    async def scene(pool: WorkerPool, heard: Heard) -> None:
        await until(lambda: pool.workers[0].pid is not None)
        pids.append(pool.workers[0].pid)

    heard = play("time.sleep(100)", scene)
    assert heard.states == [(0, "stopped")]
    with pytest.raises(ProcessLookupError):
        os.kill(pids[0] or 0, 0)


def test_a_killed_worker_is_told_with_the_reason_that_was_given() -> None:
    async def scene(pool: WorkerPool, heard: Heard) -> None:
        [worker] = pool.workers
        await until(lambda: worker.state == "ready")
        pid = worker.pid
        worker.kill("did not stop a cancelled job and was killed")
        await until(lambda: heard.states.count((0, "ready")) == 2)
        assert heard.reasons == ["Worker 0 did not stop a cancelled job and was killed."]
        assert worker.pid != pid

    play(FAITHFUL, scene)


@pytest.mark.parametrize(
    ("how", "itself"),
    [
        ("os._exit(3)", True),
        ("os.abort()", True),
        ("os.kill(os.getpid(), signal.SIGKILL)", False),
        ("os.kill(os.getpid(), signal.SIGTERM)", False),
    ],
)
def test_whether_a_worker_ended_by_what_ran_in_it_is_told_by_its_exit_status(how: str, itself: bool) -> None:
    told: list[tuple[bool, int | None]] = []

    async def scene(pool: WorkerPool, heard: Heard) -> None:
        await until(lambda: heard.reasons)
        told.append((pool.workers[0].ended_itself, pool.workers[0].lost_pid))

    play(f"say(Hello(index, secret, os.getpid()))\n{how}", scene)
    [(found, pid)] = told
    assert found is itself
    assert pid is not None


def test_a_kill_from_outside_is_noticed() -> None:
    async def scene(pool: WorkerPool, heard: Heard) -> None:
        await until(lambda: pool.workers[0].state == "ready")
        os.kill(pool.workers[0].pid or 0, signal.SIGKILL)
        await until(lambda: heard.states.count((0, "ready")) == 2)
        assert "signal 9" in heard.reasons[0]

    play(FAITHFUL, scene)
