"""kill -9 of worker, server and both at random moments: what becomes of the jobs that were accepted.

Jobs of three slow nodes of a pack are posted while, at random, something is killed: a worker that runs, a worker that reads
its packs, the server, the server with its workers, a server that starts, one that was told to end, a `safelight nodes` that
reads the packs. Before half of the starts the pack is edited, so that it is imported again while kills fall. What is killed
is stopped first (SIGSTOP), so that it is known which job it ran: none may lose more workers or servers than a job survives
by design (2 and 4), and no kill falls on one that would.

At the end every accepted job must stand in the history once, with its output; no pack may be left out, no worker outlive its
server, no socket stay behind, and the databases must be sound.

    python benchmarks/server_kill.py [--jobs 100] [--kills 50] [--seed 1] [--minutes 60] [--json FILE]
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, Final

import psutil
from server_process import PATIENCE, ROOT, Server, base_folder

SLOW: Final = '''
import os
import time

from engine.api import node

time.sleep(0.3)  # importing it takes a while, as with many packs


@node("BenchSlow")
def slow(value: int, job: int) -> int:
    """`value` plus one, after 30 ms; each run is a line in a file."""
    time.sleep(0.03)
    with open(os.path.join(os.path.dirname(__file__), "..", "ran.txt"), "a") as file:
        file.write(f"{job}.{value}\\n")
    return value + 1
'''

WORKER_LOSSES: Final = 1
SERVER_LOSSES: Final = 3
"""How many a job survives: one more and it fails, by design."""

OUTLIVING_SECONDS: Final = 15.0


def prompt(job: int) -> dict[str, Any]:
    """Three slow nodes in a row, and one that shows the result."""
    nodes: dict[str, Any] = {
        str(index): {"class_type": "BenchSlow", "inputs": {"value": [str(index - 1), 0] if index else 0, "job": job}}
        for index in range(3)
    }
    nodes["show"] = {"class_type": "BenchShow", "inputs": {"value": ["2", 0], "salt": job}}
    return nodes


class Trial:
    """Jobs, kills, and what came of them."""

    def __init__(self, base: Path, jobs: int, seed: int) -> None:
        self._base, self._jobs, self._draw = base, jobs, random.Random(seed)
        self._edits = 0
        self._lost_workers: Counter[str] = Counter()
        self._lost_servers: Counter[str] = Counter()
        self.accepted: dict[str, int] = {}
        self.kills: Counter[str] = Counter()
        self.spared = 0
        (base / "tmp").mkdir()
        os.environ["TMPDIR"] = str(base / "tmp")  # the sockets of its servers, and of nobody else
        self._edit()
        self._server = self._started()

    # -- jobs

    def post(self, count: int) -> None:
        """Post jobs until so many are accepted."""
        while len(self.accepted) < min(count, self._jobs):
            job = len(self.accepted)
            with closing(http.client.HTTPConnection("127.0.0.1", self._server.port, timeout=PATIENCE)) as connection:
                connection.request("POST", "/prompt", json.dumps({"prompt": prompt(job)}))
                answer = connection.getresponse()
                body = json.loads(answer.read())
            if answer.status != 200:
                raise RuntimeError(f"{answer.status} {body}")
            self.accepted[body["prompt_id"]] = job

    # -- kills

    def kill_one(self) -> None:
        """After a random time, kill something."""
        time.sleep(self._draw.choice([self._draw.uniform(0.02, 0.4), self._draw.uniform(0.4, 2.5)]))
        kinds: list[Callable[[], None]] = [
            *(self._kill_worker, self._kill_server, self._kill_both),
            *(self._kill_starting_server, self._kill_starting_worker, self._kill_ending_server, self._signal_command),
        ]
        self._draw.choice(kinds)()

    def _kill_worker(self, name: str = "worker") -> None:
        """Whichever there is; the server starts another."""
        for worker in self._server.workers()[:1]:
            with suppress(psutil.NoSuchProcess):
                worker.suspend()
                time.sleep(0.02)  # what it has said is heard
                running = [item[1] for item in self._server.get("/queue")["queue_running"]]
                if self._may(self._lost_workers, running, WORKER_LOSSES):
                    worker.kill()
                    self.kills[name] += 1
                else:
                    worker.resume()

    def _kill_starting_worker(self) -> None:
        """One that has just been started, and may be reading its packs, which have changed."""
        self._edit()
        for worker in self._server.workers()[:1]:
            with suppress(psutil.NoSuchProcess):
                worker.terminate()
                worker.wait(10)
        time.sleep(self._draw.uniform(0.1, 2.0))
        self._kill_worker("starting worker")

    def _kill_server(self) -> None:
        self._end_server("server", ())

    def _kill_both(self) -> None:
        self._end_server("server and worker", self._server.workers())

    def _kill_starting_server(self) -> None:
        """One that was started a moment ago, after another that was killed."""
        if not self._end_server("server", (), answer=False):
            return
        time.sleep(self._draw.uniform(0.0, 1.5))
        self._end_server("starting server", self._server.workers() if self._draw.random() < 0.5 else ())

    def _kill_ending_server(self) -> None:
        """One that was told to end, and may be waiting for its jobs."""
        if any(self._lost_servers[job] >= SERVER_LOSSES - 1 for job in self._running()):
            self.spared += 1
            return
        self._server.process.send_signal(signal.SIGTERM)
        time.sleep(self._draw.uniform(0.0, 0.5))
        self._end_server("ending server", (), must=True)

    def _end_server(
        self, name: str, workers: Iterable[psutil.Process], *, must: bool = False, answer: bool = True
    ) -> bool:
        """Kill the server and `workers`, and start it again; whether no job was in the way."""
        process = psutil.Process(self._server.process.pid)
        with suppress(psutil.NoSuchProcess):
            process.suspend()
        if not self._may(self._lost_servers, self._running(), SERVER_LOSSES, must=must):
            process.resume()
            if answer:
                self._server.first_answer("/health")
            return False
        for one in workers:
            with suppress(psutil.NoSuchProcess):
                one.kill()
        self._server.kill()
        self.kills[name] += 1
        if self._draw.random() < 0.5:
            self._edit()
        self._server = self._started(answer)
        return True

    def _signal_command(self) -> None:
        """A command that reads the packs beside the server."""
        self._edit()
        command = [sys.executable, "-m", "engine", "nodes", "--base-directory", str(self._base)]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment)
        time.sleep(self._draw.uniform(0.1, 2.0))
        process.send_signal(self._draw.choice([signal.SIGKILL, signal.SIGTERM, signal.SIGHUP, signal.SIGINT]))
        process.wait()
        self.kills["command"] += 1

    def _may(self, lost: Counter[str], running: list[str], most: int, *, must: bool = False) -> bool:
        """Whether all of the jobs survive this one, by design; it is counted then. `must`: it is too late to ask."""
        if any(lost[job] >= most for job in running) and not must:
            self.spared += 1
            return False
        lost.update(running)
        return True

    def _running(self) -> list[str]:
        """The jobs that the database says to run."""
        try:
            with closing(sqlite3.connect(f"file:{self._base / 'user' / 'jobs.db'}?mode=ro", uri=True)) as database:
                return [row[0] for row in database.execute("SELECT id FROM jobs WHERE status = 'running'")]
        except sqlite3.Error:  # not there yet
            return []

    # -- surroundings

    def _started(self, answer: bool = True) -> Server:
        server = Server(self._base)
        if answer:
            server.first_answer("/health")
        return server

    def _edit(self) -> None:
        """Have the pack read anew at the next start of a worker or command; what it computes stays."""
        self._edits += 1
        (self._base / "custom_nodes" / "slow.py").write_text(f"# edit {self._edits}\n{SLOW}")

    def finish(self) -> dict[str, Any]:
        """Wait until all is done, and count."""
        end = time.monotonic() + 4 * PATIENCE
        self._server.first_answer("/health")
        while self._server.get("/prompt")["exec_info"]["queue_remaining"] and time.monotonic() < end:
            time.sleep(0.05)
        history = self._server.get("/history?max_items=1000000&offset=0")
        packs = self._server.get("/api/v1/packs")["packs"]
        self._server.stop()
        outliving = self._outliving()
        states = Counter(entry["status"]["status_str"] for entry in history.values())
        right = sum(
            history.get(name, {}).get("outputs", {}).get("show", {}).get("text") == ["3"] for name in self.accepted
        )
        ran = Counter((self._base / "ran.txt").read_text().split())
        return {
            "accepted": len(self.accepted),
            "in_history": len(history),
            "lost": len(set(self.accepted) - set(history)),
            "with_right_output": right,
            "states": dict(states),
            "errors": sorted(
                {_error(entry) for entry in history.values() if entry["status"]["status_str"] != "success"}
            ),
            "kills": dict(self.kills),
            "spared": self.spared,
            "node_runs": ran.total(),
            "node_runs_needed": 3 * len(self.accepted),
            "packs_left_out": [pack["name"] for pack in packs if pack["state"] == "failed"],
            "outliving_workers": outliving,
            "sockets_left": self._sockets(),
            "unsound": [name for name in ("user/jobs.db", ".safelight/cache/cache.sqlite") if not self._is_sound(name)],
            "set_aside": [path.name for path in self._base.rglob("*.damaged-*")]
            + [path.name for path in self._base.rglob("*.broken")],
        }

    def _outliving(self) -> int:
        """Workers that are still there a while after the last server."""
        end = time.monotonic() + OUTLIVING_SECONDS
        while (left := self._workers_there()) and time.monotonic() < end:
            time.sleep(0.2)
        return left

    def _workers_there(self) -> int:
        found = 0
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                words = process.cmdline()
                found += "worker" in words and str(self._base) in words and process.status() != psutil.STATUS_ZOMBIE
        return found

    def _sockets(self) -> int:
        """Folders of sockets that are there after one more start, which sweeps, and an end in good order."""
        server = self._started()
        time.sleep(1.0)
        server.stop()
        return len(list((self._base / "tmp").glob("safelight-*")))

    def _is_sound(self, name: str) -> bool:
        with closing(sqlite3.connect(self._base / name)) as database:
            return bool(database.execute("PRAGMA integrity_check").fetchone() == ("ok",))


def _error(entry: dict[str, Any]) -> str:
    found = [data for kind, data in entry["status"]["messages"] if kind == "execution_error"]
    return str(found[0].get("exception_message"))[:200] if found else "no error"


def is_right(found: dict[str, Any]) -> bool:
    """Whether nothing of all that went wrong."""
    ended = found["accepted"] == found["in_history"] == found["with_right_output"]
    left = found["packs_left_out"] or found["outliving_workers"] or found["sockets_left"] or found["unsound"]
    return ended and not left and not found["set_aside"]


def main() -> None:
    """Run, print, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--jobs", type=int, default=100)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=60.0, help="no further kill after so long")
    parser.add_argument("--json", type=Path, help="write the numbers to this file too")
    options = parser.parse_args()
    end = time.monotonic() + 60 * options.minutes
    with base_folder() as base:
        trial = Trial(base, options.jobs, options.seed)
        while trial.kills.total() < options.kills and time.monotonic() < end:
            trial.post((trial.kills.total() + 1) * options.jobs // max(1, options.kills))
            trial.kill_one()
        found = trial.finish()
    print(f"{found['accepted']} jobs accepted, {sum(found['kills'].values())} kills: {found['kills']}")
    print(f"in history: {found['in_history']}, lost: {found['lost']}, with their output: {found['with_right_output']}")
    print(
        f"states: {found['states']} {found['errors']}; kills spared as a job would not have survived: {found['spared']}"
    )
    print(
        f"nodes that ran: {found['node_runs']} for {found['node_runs_needed']} needed (each once, were nothing killed)"
    )
    print(
        f"packs left out: {found['packs_left_out']}, workers that outlived their server: {found['outliving_workers']}, "
        f"sockets left: {found['sockets_left']}, databases unsound: {found['unsound']}, set aside: {found['set_aside']}"
    )
    if options.json:
        options.json.write_text(json.dumps(found, indent=2))
    print("every job ended once and right" if is_right(found) else "WRONG")
    sys.exit(not is_right(found))


if __name__ == "__main__":
    main()
