"""Running one job: from the message that asks for it to the one that tells how it ended."""

from __future__ import annotations

import asyncio
import traceback
from typing import Any

import msgspec

from engine.execute.cancel import CancelToken
from engine.execute.events import Counts
from engine.execute.result import RunResult
from engine.execute.told import outcomes, shown
from engine.jobs.frames import Frames
from engine.jobs.messages import Device, JobFinished, JobStarted, RunJob
from engine.worker.events import JobSink
from engine.worker.parts import Engine
from engine.worker.plain import encoded_json, plain
from engine.worker.prompts import Prompts
from engine.worker.recent import Recent


async def run_job(
    engine: Engine,
    message: RunJob,
    token: CancelToken,
    frames: Frames,
    sink: JobSink,
    prompts: Prompts,
    recent: Recent,
) -> RunResult:
    """Run a job, tell its events, and remember what it gave.

    Raises what the executor raises, which is no node's failure.
    """
    frames.send(JobStarted(message.job))
    frames.flush()
    await asyncio.sleep(0)  # it is sent before a node can end the process: the server counts attempts by it
    sink.start()
    try:
        prompt = prompts.read(message.checked)
        result = await engine.executor.run(
            prompt,
            message.outputs,
            sink=sink,
            cancel=token,
            prompt_json=lambda: _decoded(message.prompt),
            workflow=(lambda: _decoded(message.workflow)) if message.workflow is not None else None,
            extra_pnginfo=lambda: _embedded(message),
            preview_method=message.preview_method,
            credentials=(lambda: _asks_credentials(message)) if b'"credentials"' in message.extra_data else None,
        )
        recent.remember(message.job, prompt, result.digests)
        return result
    finally:
        sink.end()


def finished(job: str, result: RunResult, models: list[str], device: Device | None) -> JobFinished:
    """How a job ended."""
    return JobFinished(
        job,
        result.status,
        outputs=encoded_json(shown(result)),
        nodes=encoded_json(outcomes(result)),
        counts=result.counts,
        seconds=result.seconds,
        models=models,
        device=device,
    )


def crashed(engine: Engine, job: str, error: BaseException) -> JobFinished:
    """A job that ended because of an error of the executor itself."""
    text = plain(engine.shortener.shorten("".join(traceback.format_exception(error))))
    return JobFinished(job, "failed", outputs=b"{}", nodes=b"{}", counts=Counts(), seconds=0.0, crash=text)


def never_ran(job: str) -> JobFinished:
    """A job that was cancelled before its turn came."""
    return JobFinished(job, "cancelled", outputs=b"{}", nodes=b"{}", counts=Counts(), seconds=0.0)


def _embedded(message: RunJob) -> Any:
    """What the client wants embedded in pictures; None when it is nothing, or of another shape."""
    extra = _decoded(message.extra_data)
    found = extra.get("extra_pnginfo") if isinstance(extra, dict) else None
    return found if isinstance(found, dict) else None


def _asks_credentials(message: RunJob) -> bool:
    extra = _decoded(message.extra_data)
    return isinstance(extra, dict) and extra.get("credentials") is True


def _decoded(data: bytes) -> Any:
    return msgspec.json.decode(data)
