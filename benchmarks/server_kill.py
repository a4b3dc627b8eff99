"""kill -9 of worker and server at random moments: what becomes of the jobs that were accepted.

Jobs of three slow nodes are posted while, at random, the worker or the server is killed and the server started again on
the same folder. At the end every accepted job must stand in the history exactly once, with its output. A worker may be
killed under one job only once: the second time the job fails by design, and is counted apart.

    python benchmarks/server_kill.py [--jobs 50] [--kills 20] [--seed 1] [--json FILE]
"""

from __future__ import annotations

import argparse
import http.client
import json
import random
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import psutil
from server_process import PATIENCE, Server, base_folder

SLOW: Final = '''

import os
import time


@node("BenchSlow")
def slow(value: int, job: int) -> int:
    """`value` plus one, after 30 ms; each run is a line in a file."""
    time.sleep(0.03)
    with open(os.path.join(os.path.dirname(__file__), "..", "ran.txt"), "a") as file:
        file.write(f"{job}.{value}\\n")
    return value + 1
'''


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
        self._server = Server(base)
        self._server.first_answer("/health")
        self.accepted: dict[str, int] = {}
        self.kills: Counter[str] = Counter()
        self._hit: set[str] = set()

    def post(self, count: int) -> None:
        """Post jobs until so many are accepted; one whose answer is lost counts as not accepted."""
        while len(self.accepted) < min(count, self._jobs):
            job = len(self.accepted)
            connection = http.client.HTTPConnection("127.0.0.1", self._server.port, timeout=PATIENCE)
            connection.request("POST", "/prompt", json.dumps({"prompt": prompt(job)}))
            answer = connection.getresponse()
            body = json.loads(answer.read())
            if answer.status != 200:
                raise RuntimeError(f"{answer.status} {body}")
            self.accepted[body["prompt_id"]] = job
            connection.close()

    def kill_one(self) -> None:
        """After a random time, kill the worker or the server; the server comes back at once.

        No job loses two workers: it would fail, as it should.
        """
        time.sleep(self._draw.uniform(0.02, 0.4))
        workers = self._server.workers()
        running = {item[1] for item in self._server.get("/queue")["queue_running"]}
        if self._draw.random() < 0.5 and workers and self._hit.isdisjoint(running):
            self._hit |= running
            with suppress(psutil.NoSuchProcess):
                workers[0].kill()
                self.kills["worker"] += 1
        else:
            self._server.kill()
            self.kills["server"] += 1
            self._server = Server(self._base)
            self._server.first_answer("/health")

    def finish(self) -> dict[str, Any]:
        """Wait until all is done, and count."""
        end = time.monotonic() + 2 * PATIENCE
        while self._server.get("/prompt")["exec_info"]["queue_remaining"] and time.monotonic() < end:
            time.sleep(0.05)
        history = self._server.get("/history?max_items=100000")
        self._server.stop()
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
            "kills": dict(self.kills),
            "node_runs": ran.total(),
            "node_runs_needed": 3 * len(self.accepted),
        }


def main() -> None:
    """Run, print, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--jobs", type=int, default=50)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path, help="write the numbers to this file too")
    options = parser.parse_args()
    with base_folder() as base:
        (base / "custom_nodes" / "slow.py").write_text("from engine.api import node\n" + SLOW)
        trial = Trial(base, options.jobs, options.seed)
        for turn in range(options.kills):
            trial.post((turn + 1) * options.jobs // max(1, options.kills))
            trial.kill_one()
        trial.post(options.jobs)
        found = trial.finish()
    failed = found["accepted"] - found["with_right_output"]
    print(f"{found['accepted']} jobs accepted, kills: {found['kills']}")
    print(f"in history: {found['in_history']}, lost: {found['lost']}, with their output: {found['with_right_output']}")
    print(f"states: {found['states']}; without their output: {failed}")
    print(
        f"nodes that ran: {found['node_runs']} for {found['node_runs_needed']} needed (each once, were nothing killed)"
    )
    print("nothing lost" if not found["lost"] else "LOST")
    if options.json:
        options.json.write_text(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
