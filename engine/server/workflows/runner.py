"""Calling saved workflows: the one service behind every way of calling them.

    started = await runs.start("text_to_image", {"prompt": "red apple", "seed": 1})
    result = await runs.wait(started.job_id)

A call is a job like any other: it is on disk before `start` returns, it runs again when a process dies, and it is in the
history. Whose job it is says the request that is being handled. The contract is in docs/workflow_api.md.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from engine.graph.arguments import Call, call, check_arguments
from engine.graph.problems import GraphError, Problem
from engine.graph.schema import Files
from engine.graph.signature import Signature, media_kind
from engine.jobs.dispatch import Dispatcher
from engine.jobs.records import Job
from engine.jobs.store import JobStore
from engine.jobs.store_errors import StoreError
from engine.paths import Paths
from engine.server.acceptance import Acceptance
from engine.server.checks import GraphRefused
from engine.server.graph_source import Posted
from engine.server.principals import LOCAL, Principal, asking
from engine.server.refusals import Refusal
from engine.server.submission import Wish
from engine.server.watching import Began, Ended, Listener, Watches
from engine.server.workflows.files import CallFiles, FileProblemError, text_of
from engine.server.workflows.library import SavedWorkflow, WorkflowLibrary
from engine.server.workflows.readiness import Readinesses
from engine.server.workflows.refused import WrongArguments, not_runnable, sentence
from engine.server.workflows.results import KEY, CallRecord, CallResult, ResultFile, ended_result, waiting_result


class Started(msgspec.Struct, frozen=True, kw_only=True):
    """A call that was taken in."""

    job_id: str
    workflow: str
    values: dict[str, Any]
    """Every parameter with the value that runs, drawn seeds among them."""
    notes: tuple[str, ...] = ()


class RunService:
    """Starts calls, waits for them, and tells what they gave."""

    def __init__(
        self,
        library: WorkflowLibrary,
        acceptance: Acceptance,
        dispatcher: Dispatcher,
        store: JobStore,
        watches: Watches,
        files: CallFiles,
        paths: Paths,
    ) -> None:
        self.library = library
        self.readiness = Readinesses(acceptance.files)
        self._acceptance = acceptance
        self._dispatcher = dispatcher
        self._store = store
        self._watches = watches
        self._files = files
        self._paths = paths
        dispatcher.on_removed = watches.removed

    # -- to the queue

    async def start(
        self,
        workflow: str | SavedWorkflow,
        arguments: Mapping[str, Any],
        *,
        client_id: str | None = None,
        job_id: str | None = None,
        as_text: bool = False,
        options: Mapping[str, Any] | None = None,
        listener: Listener | None = None,
    ) -> Started:
        """Call a workflow, by its name or as `library.get` gave it.

        When this returns, the job is on disk, and runs even when nobody waits for it.
        `arguments`: parameter → value; files as `engine.server.workflows.files` says, bytes too. What is not given has the
        workflow's value. `as_text`: values are texts, from a form or a command line.
        `client_id`: the websocket client that hears of the job. `job_id`: one of the caller's own, to hold on to before.
        `options`: further fields of a POST /prompt body: `front`, `number`, `extra_data` (such as `preview_method`).
        `listener` hears of the job from its beginning (`engine.server.watching`).

        Raises WrongArguments (422, all problems at once); Refusal 404 for an unknown workflow, 409 for one that cannot be
        read, lacks nodes or models, or for a `job_id` that is taken; 503 when the server ends; 507 when its disk is full.
        """
        self._acceptance.refuse_when_ending()
        if isinstance(workflow, str):
            workflow = await self.library.get(workflow)
        bound = await self._bound(workflow, arguments, as_text)
        made = call(workflow.prompt, workflow.workflow, workflow.signature, bound, workflow.catalogue)
        id = job_id or str(uuid.uuid4())
        fields = {**(options or {}), "prompt_id": id, **({"client_id": client_id} if client_id else {})}
        job, wish = await self._checked(workflow, made, fields)
        forget = self._watches.watch(id, listener) if listener is not None else None
        try:
            await self._acceptance.accept(job, wish)
        except BaseException:
            if forget is not None:
                forget()
            raise
        return Started(job_id=id, workflow=workflow.name, values=made.values, notes=_notes(workflow))

    async def _bound(self, workflow: SavedWorkflow, arguments: Mapping[str, Any], as_text: bool) -> dict[str, Any]:
        """The values as the nodes get them. Raises WrongArguments."""
        signature = workflow.signature
        given, problems = await self._with_files(signature, arguments)
        wrong = {one.input_name for one in problems}
        try:
            bound = check_arguments(signature, given, workflow.catalogue, self.choices, as_text=as_text)
        except GraphError as error:
            problems += [one for one in error.problems if one.input_name not in wrong]
        if problems:
            raise WrongArguments(workflow.name, problems)
        return bound

    async def _with_files(
        self, signature: Signature, arguments: Mapping[str, Any]
    ) -> tuple[dict[str, Any], list[Problem]]:
        """The arguments with the files that came along kept, and what is wrong with files."""
        given = dict(arguments)
        problems: list[Problem] = []
        for one in signature.parameters:
            value = given.get(one.name)
            try:
                if value is not None and media_kind(one.spec) is not None:
                    given[one.name] = await self._files.take(one, value)
                elif isinstance(value, bytes):
                    given[one.name] = text_of(one, value)
            except FileProblemError as error:
                problems.append(error.problem)
                del given[one.name]
        return given, problems

    def choices(self, files: Files) -> tuple[str, ...]:
        """The files that an input may name now: for `engine.graph.signature_schema` too."""
        return tuple(self.names(files.folder, files.kind))

    def names(self, folder: str, kind: str = "") -> Sequence[str]:
        """The files of a folder, of a kind: the same tuple until they change."""
        return self._acceptance.files.names(folder, kind)

    async def _checked(self, workflow: SavedWorkflow, made: Call, fields: dict[str, Any]) -> tuple[Job, Wish]:
        """The job, with the record of its call in it. Raises Refusal 409 for a workflow that cannot run here."""
        extra = fields.pop("extra_data", None)
        signature = workflow.signature
        record = CallRecord(
            workflow=workflow.name, values=made.values, outputs=signature.outputs, notes=_notes(workflow)
        )
        extra_data = {**(extra if isinstance(extra, dict) else {}), KEY: record}
        posted = Posted(made.prompt, made.workflow, extra_data, fields, list(workflow.problems))
        try:
            job, wish, errors = await self._acceptance.check(posted, workflow.catalogue)
        except GraphRefused as refused:
            raise not_runnable(workflow, refused.body()) from None
        lost = [one.name for one in signature.outputs if one.node not in job.outputs]
        if lost:
            raise not_runnable(workflow, {"node_errors": errors})
        return job, wish

    # -- from the queue

    async def knows(self, job_id: str) -> bool:
        """Whether there is such a job, and it may be seen: it waits, runs or is in the history."""
        try:
            await self.result(job_id)
        except Refusal:
            return False
        return True

    async def result(self, job_id: str) -> CallResult:
        """How a job stands: what it gave, once it has ended. Raises Refusal 404 for an id of no job that may be seen."""
        return await self._result(job_id, asking())

    async def _result(self, job_id: str, whose: Principal) -> CallResult:
        active = self._active(job_id, whose)
        if active is not None:
            try:
                return waiting_result(await self._store.whole(active))
            except StoreError:  # it is long, and was taken out just now
                pass
        entry = await self._store.history_entry(job_id)
        if entry is None or not whose.owns(entry.job.owner):
            raise _unknown(job_id)
        return ended_result(entry.job, entry.outcome)

    async def wait(self, job_id: str, seconds: float | None = None) -> CallResult:
        """What a job gave, once it has ended; after `seconds`, how it stands. It goes on when the caller is cancelled.

        Raises Refusal 404 for an id of no job, 409 when it is taken out of the queue, 503 when the server ends first.
        """
        if self._active(job_id) is None:
            return await self.result(job_id)
        ending = self._watches.ending(job_id)
        try:
            async with asyncio.timeout(seconds):
                ended = await ending
        except TimeoutError:
            return await self.result(job_id)
        finally:
            ending.cancel()
        return await self.result_of(job_id, ended)

    async def result_of(self, job_id: str, ended: Ended) -> CallResult:
        """What a job gave whose end was heard, by somebody who may. Raises as `wait`."""
        if ended.status == "removed":
            raise Refusal(409, "job_cancelled", "The job was taken out of the queue before it began.", job_id=job_id)
        if ended.status == "lost":
            message = (
                "The server is ending. The job is kept and runs when the server is back: ask for it by its id then."
            )
            raise Refusal(503, "server_ends", message, job_id=job_id)
        if ended.job is None or ended.outcome is None or ended.job.long:
            return await self._result(job_id, LOCAL)
        return ended_result(ended.job, ended.outcome)

    def watch(self, job_id: str, listener: Listener) -> Callable[[], None]:
        """Tell `listener` of a job that waits or runs, `started` first when it runs already; the answer ends that.

        Raises Refusal 404 when it does neither: its `result` is there, then, or it never was.
        """
        active = self._active(job_id)
        if active is None:
            raise _unknown(job_id)
        if active.status == "running":
            listener(Began(active.attempts))
        return self._watches.watch(job_id, listener)

    def cancel(self, job_id: str) -> bool:
        """End a job that waits or runs; False when it does neither (any more)."""
        return self._active(job_id) is not None and self._dispatcher.cancel(job_id)

    def is_active(self, job_id: str) -> bool:
        """Whether a job waits or runs, or its end is just being written, and it may be seen."""
        return self._active(job_id) is not None

    def path(self, file: ResultFile) -> Path | None:
        """Where a file of a result is; None when it was deleted. Looks at the disk."""
        entry = {"filename": file.filename, "subfolder": file.subfolder, "type": file.type}
        path = self._paths.produced(entry)
        return path if path is not None and path.is_file() else None

    async def read(self, file: ResultFile) -> bytes:
        """The bytes of a file of a result. Raises Refusal 410 when it was deleted meanwhile."""
        path = await asyncio.to_thread(self.path, file)
        if path is None:
            raise Refusal(410, "file_gone", f"The file {file.filename!r} was deleted since the job ended.")
        return await asyncio.to_thread(path.read_bytes)

    def _active(self, job_id: str, whose: Principal | None = None) -> Job | None:
        """A job that has not ended on disk, if whoever asks (or `whose`) may see it."""
        job = self._dispatcher.get(job_id) or self._dispatcher.ending.get(job_id)
        return job if job is not None and (whose or asking()).owns(job.owner) else None


def _notes(workflow: SavedWorkflow) -> tuple[str, ...]:
    """What is to be known of it, though it does not keep it from running."""
    return tuple(sentence(one) for one in (*workflow.signature.problems, *workflow.problems) if not one.stops)


def _unknown(job_id: str) -> Refusal:
    return Refusal(
        404, "unknown_job", f"There is no job {job_id[:80]!r}: it never was, or was deleted from the history."
    )
