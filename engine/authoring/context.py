"""Context: all that a node may see of the engine around it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

from engine.authoring.subgraph import Subgraph

if TYPE_CHECKING:
    from pathlib import Path

    from engine.models.manager import ModelManager
    from engine.paths import Paths
    from engine.remote.services import RemoteServices

PreviewMethod: TypeAlias = Literal["auto", "none", "latent2rgb", "taesd"]
"""`latent2rgb` maps latent pixels to colours; `taesd` decodes with a tiny decoder if one is there; `auto` takes the best."""


class Cancelled(BaseException):
    """The job was cancelled. Not an `Exception`, so that a node's own `except Exception` does not swallow it."""


class Context(Protocol):
    """Handed to a node as its first parameter `ctx`.

    Reading a clock, a file or a global behind its back is what makes a cache lie: take files as inputs.
    """

    node_id: str
    prompt: Mapping[str, Any]
    """The prompt form of the graph that runs, as JSON."""
    workflow: Mapping[str, Any] | None
    """The saved workflow it came from, if the client sent it."""
    embedded: Mapping[str, Any]
    """What saved files carry: `prompt`, and `workflow` if there is one; empty where the settings leave them out."""
    seal: Callable[[Path, str], None] | None
    """What is done to a whole file in the output folder before it takes its name: (file, suffix). None for nothing."""
    models: ModelManager
    """The model manager of this device: `checkpoint(name)`, `use(handle)`, …"""
    paths: Paths
    """Where files are: `input`, `output`, `temp`, `find(folder, name)`."""
    remote: RemoteServices
    """The services elsewhere that the settings name: `get(name)`."""
    preview_method: PreviewMethod
    """How whoever watches wants intermediate pictures to be made."""

    def progress(self, value: float, total: float) -> None:
        """Report `value` of `total` done. Raises Cancelled when the job was cancelled."""
        ...

    def preview(self, image: Any) -> None:
        """Show an intermediate picture: uint8 RGB array (H, W, 3), or a PIL image.

        Give a function of no arguments that returns one, and it is called only when somebody watches, and seldom enough to
        take little of the time. Should it fail, the node goes on without.
        """
        ...

    def show_text(self, text: str | Callable[[], str]) -> None:
        """Show a text on the node while it works, in the place of the one before: only the end of a long one.

        Give a function that returns it, and it is called only when somebody watches, and a few times a second at most.
        """
        ...

    def send_picture(self, data: bytes) -> None:
        """Send a finished picture (the bytes of a PNG file) to the client of the job, in place of a file in a folder."""
        ...

    def send(self, event: str, data: Any) -> None:
        """Send a message of your own to the client of the job: `event` begins with the pack's name, `data` is JSON."""
        ...

    def warn(self, message: str) -> None:
        """Tell the person something that does not stop the run: one sentence that says what is left out and what to do."""
        ...

    def check_cancelled(self) -> None:
        """Raise Cancelled when the job was cancelled; cheap enough for every iteration of a loop."""
        ...

    def save_images(self, images: Any, prefix: str, folder: str = "output") -> Sequence[Mapping[str, Any]]:
        """Write images (B, H, W, C; 0..1) as PNG files that carry the workflow.

        Returns one `{filename, subfolder, type}` per image, for `WithUi(ui={"images": …})`.
        """
        ...

    def subgraph(self) -> Subgraph:
        """A new, empty subgraph to build and return in `Expand`."""
        ...
