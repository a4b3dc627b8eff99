"""The audit log: who made which job, what was refused, and what admins did, as JSON lines in the user folder.

A line has `time` (UTC), `principal`, `address`, `forwarded_for` (what a proxy says, which a client may make up), `action`,
`target` and `outcome`. It has no token, no query, no body and nothing of a prompt. Files are of mode 600, rotated, and bounded
together; refusals that repeat within a minute are one line with `times`, so that nobody pushes out what was written by being
refused.
"""

from __future__ import annotations

import itertools
import logging
import os
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Final, NamedTuple

import msgspec
from aiohttp import web

from engine.jobs.records import Job
from engine.server.principals import LOCAL, Principal, addresses, asked_from, asking, known_principal, scope_of

FILE_NAME: Final = "audit.jsonl"
MOST_BYTES: Final = 4 * 1024 * 1024
"""Of one file, from which on the next is begun."""
FILES: Final = 5
"""That one, and the older `audit.jsonl.1` … `.4`."""
FOLD_SECONDS: Final = 60.0
REFUSALS: Final = frozenset({401, 403, 429})
"""What is refused because of who asks; other problems are of what was asked."""
MOST_WAITING: Final = 10_000
"""Lines that wait for the disk; more of them are lost, which the next line tells (`lost`)."""
_MOST_FOLDED: Final = 1_000
_LONGEST: Final = 300

log = logging.getLogger("safelight.audit")


class _Kind(NamedTuple):
    principal: str
    address: str
    action: str
    outcome: str


class Audit:
    """Writes on a thread of its own. `note` and what calls it are for the event loop's thread."""

    def __init__(self, path: Path, *, most_bytes: int = MOST_BYTES, files: int = FILES) -> None:
        self.path = path
        self._most_bytes = most_bytes
        self._files = files
        self._waiting: SimpleQueue[bytes | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._folded: dict[_Kind, tuple[float, int]] = {}
        """Kind of refusal → when its line was written, and how many came since."""
        self._lost = 0
        self._failing = False

    # -- what is noted

    def job(self, job: Job) -> None:
        """A job was accepted of whoever asks. Where nobody is asked for a token, there is nobody to note."""
        principal = asking()
        if principal is not LOCAL:
            address, forwarded = asked_from()
            self.note(principal.name, address, "run", job.id, "accepted", forwarded_for=forwarded)

    def request(self, request: web.Request, status: int, type: str = "") -> None:
        """A request was answered: noted when it was refused because of who asks, or changed or showed what is the admin's."""
        principal = known_principal(request)
        if status not in REFUSALS and (principal is None or not self._concerns(principal, request)):
            return  # almost all requests
        outcome = f"{status} {type}".rstrip()
        name = "nobody" if principal is None else principal.name
        address, forwarded = addresses(request)
        if status in REFUSALS:
            self._refused(_Kind(name, address, _action(request), outcome), _target(request), forwarded)
        else:
            self.note(name, address, _action(request), _target(request), outcome, forwarded_for=forwarded)

    def _concerns(self, principal: Principal, request: web.Request) -> bool:
        return principal is not LOCAL and principal.is_admin and scope_of(request.method) != "read"

    def _refused(self, kind: _Kind, target: str, forwarded: str) -> None:
        now = time.monotonic()
        began, times = self._folded.get(kind, (-FOLD_SECONDS, 0))
        if now - began < FOLD_SECONDS:
            self._folded[kind] = (began, times + 1)
            return
        if len(self._folded) >= _MOST_FOLDED:
            self._unfold()
        self._told_again(kind, times)
        self._folded[kind] = (now, 0)
        self.note(*kind[:3], target, kind.outcome, forwarded_for=forwarded)

    def _unfold(self) -> None:
        folded, self._folded = self._folded, {}
        for kind, (_, times) in folded.items():
            self._told_again(kind, times)

    def _told_again(self, kind: _Kind, times: int) -> None:
        if times:
            self.note(*kind[:3], "", kind.outcome, times=times)

    def note(self, principal: str, address: str, action: str, target: str, outcome: str, **more: Any) -> None:
        """Write a line soon."""
        if self._waiting.qsize() >= MOST_WAITING:
            self._lost += 1
            return
        if self._lost:
            more["lost"], self._lost = self._lost, 0
        line = {
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "principal": principal,
            "address": address,
            "action": action,
            "target": target[:_LONGEST],
            "outcome": outcome,
            **{name: value for name, value in more.items() if value},
        }
        if self._thread is None:
            self._thread = threading.Thread(target=self._write_all, name="audit", daemon=True)
            self._thread.start()
        self._waiting.put(msgspec.json.encode(line) + b"\n")

    def close(self) -> None:
        """Write what waits, and end. Blocks."""
        self._unfold()
        if self._thread is not None:
            self._waiting.put(None)
            self._thread.join(5)
            self._thread = None

    # -- the thread

    def _write_all(self) -> None:
        ended = False
        while not ended:
            lines = [self._waiting.get()]
            try:
                while len(lines) < 1000:
                    lines.append(self._waiting.get_nowait())
            except Empty:
                pass
            ended = None in lines
            self._write(b"".join(line for line in lines if line is not None))

    def _write(self, data: bytes) -> None:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            if self.path.exists() and self.path.stat().st_size + len(data) > self._most_bytes:
                self._rotate()
            file = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            try:
                os.write(file, data)
            finally:
                os.close(file)
            self._failing = False
        except OSError as error:
            if not self._failing:
                log.error("The audit log %s cannot be written: %s", self.path, error)
            self._failing = True

    def _rotate(self) -> None:
        """`audit.jsonl` becomes `.1`, that `.2`, and the oldest is dropped."""
        names = [self.path, *(self.path.with_name(f"{self.path.name}.{number}") for number in range(1, self._files))]
        for newer, older in reversed([*itertools.pairwise(names)]):
            if newer.exists():
                newer.replace(older)


def _action(request: web.Request) -> str:
    resource = request.match_info.route.resource
    return f"{request.method} {resource.canonical if resource is not None else '(no route)'}"


def _target(request: web.Request) -> str:
    """The path without the query, which may hold a token; percent-encoded, so that it stays one line."""
    return request.rel_url.raw_path


AUDIT: web.AppKey[Audit] = web.AppKey("audit", Audit)
