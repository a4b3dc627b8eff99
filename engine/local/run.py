"""One run of a workflow in this process, and how it is waited for from threads and from loops."""

from __future__ import annotations

import asyncio
import contextlib
import io
import queue
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from typing import TYPE_CHECKING, Any, Final

import msgspec

from engine.calls.errors import RunCancelledError, RunFailedError, RunTimeoutError
from engine.calls.progress import Progress
from engine.calls.result import File, NodeRun, Output, Result
from engine.execute import events
from engine.execute.cancel import CancelToken
from engine.graph.arguments import Call
from engine.graph.signature import Signature
from engine.graph.validate import Checked
from engine.local.engine import Engine

if TYPE_CHECKING:
    from engine.execute.result import RunResult

Callback = Callable[[Progress], None]

_END: Final = None
_MOST_WAITING: Final = 256
_PATIENCE: Final = 0.1
"""Seconds between two looks whether Ctrl-C was pressed: a wait without an end hears of it on no system but Linux."""


class Run:
    """A run that has begun. `job` is its id."""

    def __init__(self, engine: Engine, signature: Signature, made: Call, checked: Checked, *, previews: bool) -> None:
        self.job = str(uuid.uuid4())
        self._engine = engine
        self._signature = signature
        self._made = made
        self._token = CancelToken()
        self._told = _Told()
        self._follower = _Follower(made.prompt, self._told)
        self._future: Future[Result] = engine.start(self._work(checked, previews))

    def cancel(self) -> None:
        """Stop it: the node that runs ends at its next step, and no other begins. What is finished is kept."""
        self._token.cancel()

    @property
    def done(self) -> bool:
        """Whether it is over."""
        return self._future.done()

    def wait(self, progress: Callback | None = None, timeout: float | None = None) -> Result:
        """Its result, once it is over; see `Workflow.run`."""
        told: queue.SimpleQueue[Progress | None] = queue.SimpleQueue()
        if progress is not None:
            self._told.listen(told.put)
        self._future.add_done_callback(lambda _: told.put(_END))
        end = time.monotonic() + timeout if timeout is not None else None
        try:
            while True:
                with contextlib.suppress(queue.Empty):
                    event = told.get(timeout=_PATIENCE)
                    if event is _END:
                        return self._result()
                    if progress is not None:
                        progress(event)
                if end is not None and time.monotonic() > end:
                    raise self._late(timeout)
        except BaseException:
            self._stop()
            raise

    async def await_result(self, progress: Callback | None = None, timeout: float | None = None) -> Result:
        """As `wait`, on a loop."""
        loop = asyncio.get_running_loop()
        raised: list[BaseException] = []

        def tell(event: Progress) -> None:
            try:
                if progress is not None and not raised:
                    progress(event)
            except BaseException as error:
                raised.append(error)
                self.cancel()

        def pass_on(event: Progress) -> None:
            loop.call_soon_threadsafe(tell, event)

        if progress is not None:
            self._told.listen(pass_on)
        waiting = asyncio.wrap_future(self._future)
        try:
            done, _ = await asyncio.wait({waiting}, timeout=timeout)
            if not done:
                raise self._late(timeout)
            await asyncio.sleep(0)  # what was told before the end comes before it
        except BaseException:
            self.cancel()
            await asyncio.wait({waiting})
            waiting.cancelled() or waiting.exception()  # it is known
            raise
        if raised:
            waiting.cancelled() or waiting.exception()
            raise raised[0]
        return self._result()

    def _late(self, timeout: float | None) -> RunTimeoutError:
        return RunTimeoutError(f"The run took longer than {timeout} s, and was cancelled.")

    def _result(self) -> Result:
        try:
            return self._future.result()
        except CancelledError:
            raise RunCancelledError("The run was cancelled.") from None

    def _stop(self) -> None:
        """Cancel it and wait until it has stopped."""
        if not self._future.done():
            self.cancel()
            with contextlib.suppress(CancelledError):
                self._future.exception()

    async def _work(self, checked: Checked, previews: bool) -> Result:
        executor = await asyncio.to_thread(self._engine.executor)
        result = await executor.run(
            checked.prompt,
            checked.outputs,
            sink=self._follower,
            cancel=self._token,
            prompt_json=self._made.prompt,
            workflow=self._made.workflow,
            preview_method="auto" if previews else "none",
        )
        made = self._as_result(result)
        if result.status == "cancelled":
            raise RunCancelledError("The run was cancelled.")
        if result.status == "failed":
            failures = [msgspec.to_builtins(one) for one in result.failures]
            raise RunFailedError(_failure_text(result.failures, self._follower.titles), failures, made)
        return made

    def _as_result(self, result: RunResult) -> Result:
        outputs = {
            one.name: self._output(one.name, one.kind, result.ui.get(one.node, {})) for one in self._signature.outputs
        }
        nodes = {
            node: NodeRun(self._follower.title(outcome.display_node), outcome.status, outcome.seconds)
            for node, outcome in result.nodes.items()
        }
        counts = msgspec.to_builtins(result.counts)
        return Result(self.job, outputs, self._made.values, result.seconds, nodes, counts)

    def _output(self, name: str, kind: str, shown: dict[str, Any]) -> Output:
        files, texts = [], []
        for items in shown.values():
            for item in items if isinstance(items, list | tuple) else [items]:
                if isinstance(item, dict) and "filename" in item:
                    path = self._engine.app.paths.produced(item)
                    if path is not None:
                        files.append(File(path.name, path=path))
                elif isinstance(item, str):
                    texts.append(item)
        return Output(name, kind, tuple(files), tuple(texts))


class _Told:
    """Passes on how far a run is, from the threads that tell it; what is told before anybody listens waits, the latest of it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._listener: Callback | None = None
        self._waiting: deque[Progress] = deque(maxlen=_MOST_WAITING)

    def __call__(self, progress: Progress) -> None:
        with self._lock:
            if self._listener is None:
                self._waiting.append(progress)
            else:
                self._listener(progress)

    def listen(self, listener: Callback) -> None:
        """Give all that waits, and all that comes, to `listener`, which must be quick."""
        with self._lock:
            self._listener = listener
            while self._waiting:
                listener(self._waiting.popleft())


class _Follower:
    """Takes the events of a run and tells how far it is."""

    def __init__(self, prompt: dict[str, Any], tell: Callback) -> None:
        self.titles = {
            node: str((entry.get("_meta") or {}).get("title") or entry.get("class_type", node))
            for node, entry in prompt.items()
        }
        self._tell = tell
        self._total = 0
        self._over: set[str] = set()
        self._steps: dict[str, tuple[float, float]] = {}

    def title(self, node: str) -> str:
        """What a node of the submitted graph is called."""
        return self.titles.get(node, node)

    def __call__(self, event: events.AnyEvent) -> None:
        """Take one event."""
        match event:
            case events.RunStarted():
                self._total = event.nodes_total
            case events.NodesCached():
                self._over.update(event.nodes)
                self._report()
            case events.NodeStarted():
                self._report(event)
            case events.NodeProgress():
                self._steps[event.node] = event.value, event.total
                self._report(event)
            case events.NodePreview():
                self._report(event, _picture(event.image))
            case events.NodeExpanded():
                self._total += len(event.nodes)
            case events.NodeFinished() | events.NodeReused() | events.NodeSkipped() | events.NodeFailed():
                self._over.add(event.node)
                self._report()

    def _report(self, event: events.NodeEvent | None = None, data: bytes | None = None) -> None:
        done = len(self._over)
        nodes = max(self._total, done)
        if event is None:
            self._tell(Progress(done=done, nodes=nodes))
            return
        node = event.display_node
        value, total = self._steps.get(event.node, (0.0, 0.0))
        self._tell(Progress(node, self.title(node), value, total, done, nodes, data))


def _picture(image: Any) -> bytes:
    from PIL import Image

    held = io.BytesIO()
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).convert("RGB").save(held, "JPEG", quality=90)
    return held.getvalue()


def _failure_text(failures: list[events.NodeFailed], titles: dict[str, str]) -> str:
    lines = []
    for one in failures:
        place = f', input "{one.input}"' if one.input else ""
        lines.append(f"{titles.get(one.display_node, one.class_type)} (node {one.node}){place} failed: {one.message}")
        lines += [
            f"  {label}: {text}"
            for label, text in (("expected", one.expected), ("received", one.got), ("hint", one.hint))
            if text
        ]
    return "\n".join(lines)
