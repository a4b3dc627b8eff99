"""One run of a workflow in this process."""

from __future__ import annotations

import asyncio
import io
import uuid
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from engine.calls.errors import RunCancelledError, RunFailedError
from engine.calls.progress import Progress
from engine.calls.result import File, NodeRun, Output, Result
from engine.calls.run import Callback, Run, Told
from engine.execute import events
from engine.execute.cancel import CancelToken
from engine.execute.counting import NodeCount
from engine.graph.arguments import Call
from engine.graph.prompt import titles_of
from engine.graph.shown import Ui, by_display_node, shown_by
from engine.graph.signature import Output as SignatureOutput
from engine.graph.signature import Signature
from engine.graph.validate import Checked
from engine.local.runtime import Runtime

if TYPE_CHECKING:
    from engine.execute.result import RunResult


class LocalRun(Run):
    """A run in this process that has begun. `job` is its id."""

    def __init__(self, engine: Runtime, signature: Signature, made: Call, checked: Checked, *, previews: bool) -> None:
        self.job = str(uuid.uuid4())
        self._engine = engine
        self._signature = signature
        self._made = made
        self._token = CancelToken()
        told = Told()
        self._follower = _Follower(made.prompt, told)
        super().__init__(engine.start(self._work(checked, previews)), told, self._token.cancel)

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
        uis = by_display_node(result.ui, result.place)
        outputs = {one.name: self._output(one, uis.get(one.node, [])) for one in self._signature.outputs}
        nodes = {
            node: NodeRun(self._follower.title(outcome.display_node), outcome.status, outcome.seconds)
            for node, outcome in result.nodes.items()
        }
        counts = msgspec.to_builtins(result.counts)
        return Result(self.job, outputs, self._made.values, result.seconds, nodes, counts)

    def _output(self, one: SignatureOutput, uis: Sequence[Ui]) -> Output:
        shown = shown_by(uis)
        paths = (self._engine.app.paths.produced(file) for file in shown.files)
        files = tuple(File(path.name, path=path) for path in paths if path is not None)
        return Output(one.name, one.kind, files, shown.texts)


class _Follower:
    """Takes the events of a run and tells how far it is."""

    def __init__(self, prompt: dict[str, Any], tell: Callback) -> None:
        self.titles = titles_of(prompt)
        self._tell = tell
        self._count = NodeCount()
        self._steps: dict[str, tuple[float, float]] = {}

    def title(self, node: str) -> str:
        """What a node of the submitted graph is called."""
        return self.titles.get(node, node)

    def __call__(self, event: events.AnyEvent) -> None:
        """Take one event."""
        self._count.take(event)
        match event:
            case events.NodeStarted():
                self._report(event)
            case events.NodeProgress():
                self._steps[event.node] = event.value, event.total
                self._report(event)
            case events.NodePreview():
                self._report(event, _picture(event.image))
            case events.NodesCached() | events.NodeFinished() | events.NodeReused() | events.NodeSkipped():
                self._report()
            case events.NodeFailed() | events.NodeCollected():
                self._report()

    def _report(self, event: events.NodeEvent | None = None, data: bytes | None = None) -> None:
        done, nodes = self._count.done, self._count.total
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
