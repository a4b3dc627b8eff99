"""What tests of nodes need: a context that remembers what a node told, and values for its lazy inputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from engine.authoring.context import Cancelled, PreviewMethod
from engine.authoring.inputs import Lazy
from engine.authoring.subgraph import Subgraph

__all__ = ["Cancelled", "RecordingContext", "given", "unwanted"]

T = TypeVar("T")


class RecordingContext:
    """A `Context` without an engine: the steps, previews, pictures, messages, warnings and files that a node told, in order."""

    def __init__(
        self,
        *,
        node_id: str = "1",
        prompt: Mapping[str, Any] | None = None,
        workflow: Mapping[str, Any] | None = None,
        models: Any = None,
        paths: Any = None,
        remote: Any = None,
        cancel_at: float | None = None,
    ) -> None:
        """`cancel_at`: the progress (value) at which the job counts as cancelled."""
        self.node_id = node_id
        self.prompt = prompt or {}
        self.workflow = workflow
        self.embedded: Mapping[str, Any] = {"prompt": self.prompt} | (
            {"workflow": workflow} if workflow is not None else {}
        )
        self.seal: Callable[[Path, str], None] | None = None
        self.models = models
        self.paths = paths
        self.remote = remote
        self.preview_method: PreviewMethod = "auto"
        self.steps: list[tuple[float, float]] = []
        self.previews: list[Any] = []
        self.texts: list[str] = []
        self.pictures: list[bytes] = []
        self.sent: list[tuple[str, Any]] = []
        self.warned: list[str] = []
        self.saved: list[Any] = []
        self._cancel_at = cancel_at
        self._cancelled = False

    def progress(self, value: float, total: float) -> None:
        """Note a step. Raises Cancelled at `cancel_at`."""
        self.steps.append((value, total))
        self._cancelled = self._cancelled or (self._cancel_at is not None and value >= self._cancel_at)
        self.check_cancelled()

    def preview(self, image: Any) -> None:
        """Note a picture."""
        self.previews.append(image() if callable(image) else image)

    def show_text(self, text: str | Callable[[], str]) -> None:
        """Note a text."""
        self.texts.append(text() if callable(text) else text)

    def send_picture(self, data: bytes) -> None:
        """Note a finished picture."""
        self.pictures.append(data)

    def send(self, event: str, data: Any) -> None:
        """Note a message."""
        self.sent.append((event, data))

    def warn(self, message: str) -> None:
        """Note a warning."""
        self.warned.append(message)

    def check_cancelled(self) -> None:
        """Raise Cancelled once progress has come to `cancel_at`."""
        if self._cancelled:
            raise Cancelled

    def save_images(self, images: Any, prefix: str, folder: str = "output") -> Sequence[Mapping[str, Any]]:
        """Note the pictures, and name a file for each."""
        self.saved.append(images)
        return [
            {"filename": f"{prefix}_{number:05}_.png", "subfolder": "", "type": folder} for number in range(len(images))
        ]

    def subgraph(self) -> Subgraph:
        """A new, empty subgraph."""
        return Subgraph()


def given(value: T) -> Lazy[T]:
    """A lazy input that is `value` when it is awaited."""

    async def fetch() -> T:
        return value

    return Lazy(fetch)


def unwanted() -> Lazy[Any]:
    """A lazy input that must not be awaited: raises AssertionError if it is."""

    async def fetch() -> Any:
        raise AssertionError("this input must not be awaited")

    return Lazy(fetch)
