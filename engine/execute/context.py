"""What a node sees of the engine: the implementation of `engine.authoring.context.Context`."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from engine.authoring.context import PreviewMethod
from engine.authoring.subgraph import Subgraph
from engine.cache.digests import is_tensor
from engine.cache.memory import Stored
from engine.execute.events import NodeMessage, NodePicture, NodePreview, NodeProgress, NodeText, Warned
from engine.execute.run import Run
from engine.execute.sealed import seal_of
from engine.execute.state import NodeState, StoredInput
from engine.execute.values import fetch_stored
from engine.graph.loops import Loops
from engine.graph.prompt import Link
from engine.media.faults import picture_faults

PROGRESS_SECONDS = 0.05
"""Progress is reported at most this often, but for the last step."""

PREVIEW_SECONDS = 0.12
"""Previews of a node are made at most this often."""

PREVIEW_SHARE = 0.2
"""Previews are made so seldom that they take at most this part of the node's time."""


TEXT_SECONDS = 0.2
"""Texts of a node are shown at most this often."""

LONGEST_SHOWN = 4_000
"""Characters of a text that are shown while it grows: its end."""


class NodeContext:
    """Context of one node in one run."""

    __slots__ = ("_next_preview", "_next_text", "_reported", "_run", "_state", "node_id")

    def __init__(self, run: Run, state: NodeState) -> None:
        self._run = run
        self._state = state
        self._reported = 0.0
        self._next_preview = 0.0
        self._next_text = 0.0
        self.node_id = state.id

    @property
    def prompt(self) -> Mapping[str, Any]:
        """The prompt form of the graph that runs, as JSON."""
        return self._run.documents.prompt

    @property
    def workflow(self) -> Mapping[str, Any] | None:
        """The saved workflow it came from, if the client sent it."""
        return self._run.documents.workflow

    @property
    def embedded(self) -> Mapping[str, Any]:
        """What saved files carry of both."""
        provenance = self._run.services.provenance
        if provenance is not None and not provenance.embed_workflow:
            return {}
        return {"prompt": self.prompt} | ({"workflow": self.workflow} if self.workflow is not None else {})

    @property
    def seal(self) -> Any:
        """What is done to a whole file before it takes its name; None for nothing."""
        return seal_of(self._run, self._state, self.warn)

    @property
    def models(self) -> Any:
        """The model manager of this device."""
        return self._run.services.models

    @property
    def paths(self) -> Any:
        """Where files are."""
        return self._run.services.paths

    @property
    def remote(self) -> Any:
        """The services that the settings name."""
        return self._run.services.remote

    def progress(self, value: float, total: float) -> None:
        """Report `value` of `total` done. Raises Cancelled when the job was cancelled."""
        self._run.cancel.check()
        now = time.perf_counter()
        if now - self._reported < PROGRESS_SECONDS and value < total:
            return
        self._reported = now
        state = self._state
        event = NodeProgress(node=state.id, display_node=state.display, parent=state.parent, value=value, total=total)
        self._run.emit(event)

    @property
    def preview_method(self) -> PreviewMethod:
        """How intermediate pictures are wanted."""
        return self._run.preview_method

    def preview(self, image: Any) -> None:
        """Show an intermediate picture: uint8 RGB array (H, W, 3), a PIL image, or a function that makes one.

        The function is called only when previews are wanted, and takes at most PREVIEW_SHARE of the time.
        """
        self._run.cancel.check()
        if callable(image):
            image = self._made(image)
        if image is not None:
            state = self._state
            self._run.emit(NodePreview(node=state.id, display_node=state.display, parent=state.parent, image=image))

    def _made(self, make: Callable[[], Any]) -> Any:
        """What `make` returns, or None when it is not the time."""
        started = time.perf_counter()
        if started < self._next_preview or self._run.preview_method == "none" or not self._run.telling.watched:
            return None
        try:
            image = make()
        except Exception as error:  # a picture to look at is not worth the node's work
            self._next_preview = math.inf
            message = f"No previews: {type(error).__name__}: {error}"
            self.warn(message)
            return None
        seconds = time.perf_counter() - started
        self._next_preview = started + max(PREVIEW_SECONDS, seconds / PREVIEW_SHARE)
        return image

    def show_text(self, text: str | Callable[[], str]) -> None:
        """Show a text on the node while it works, a few times a second at most; a function is called only when it is shown."""
        self._run.cancel.check()
        now = time.perf_counter()
        if now < self._next_text or not self._run.telling.watched:
            return
        self._next_text = now + TEXT_SECONDS
        state = self._state
        told = text() if callable(text) else text
        self._run.emit(
            NodeText(node=state.id, display_node=state.display, parent=state.parent, text=told[-LONGEST_SHOWN:])
        )

    def send_picture(self, data: bytes) -> None:
        """Send a finished picture, as a PNG file, to the client that submitted the job."""
        self._run.cancel.check()
        state = self._state
        self._run.emit(NodePicture(node=state.id, display_node=state.display, parent=state.parent, data=data))

    def send(self, event: str, data: Any) -> None:
        """Send a message of the node's own to the client that submitted the job; `data` is JSON."""
        state = self._state
        told = NodeMessage(node=state.id, display_node=state.display, parent=state.parent, event=event, data=data)
        self._run.emit(told)

    def warn(self, message: str) -> None:
        """Tell the person something that does not stop the run."""
        self._run.emit(Warned(message=message, node=self._state.id))

    def check_cancelled(self) -> None:
        """Raise Cancelled when the job was cancelled."""
        self._run.cancel.check()

    def save_images(self, images: Any, prefix: str, folder: str = "output") -> Sequence[Mapping[str, Any]]:
        """Write images (B, H, W, C; 0..1) with the workflow, and what else the client wants embedded, inside.

        Gives one `{filename, subfolder, type}` per image, and warns of images that hold numbers that are none.

        Raises RuntimeError in a program that was built without a place to save to.
        """
        save = self._run.services.save_images
        if save is None:
            raise RuntimeError("This program cannot save images: its Services were built without `save_images`.")
        more = {name: value for name, value in (self._run.documents.extra_pnginfo or {}).items() if name != "workflow"}
        changed: dict[str, Any] = {} if self.embedded else {"embed": False}
        if folder == "output" and (seal := self.seal) is not None:
            changed["seal"] = seal
        saved = save(images, prefix, folder, self.prompt, self.workflow, more, **changed)
        for fault in picture_faults(images) if is_tensor(images) else ():
            self.warn(fault)
        return saved

    @property
    def loops(self) -> Loops:
        """The loops of the graph that this node is in; those of the submitted graph are worked out once."""
        run = self._run
        if self.node_id not in run.prompt:
            return Loops(run.prompt | {name: inner.node for name, inner in run.expanded.items()})
        if run.loops is None:
            run.loops = Loops(run.prompt)
        return run.loops

    @property
    def room(self) -> int:
        """How many nodes the expansions of this run may still add."""
        return max(0, self._run.executor.expansion_limits.nodes - self._run.growth.nodes)

    def given(self, name: str) -> Any:
        """What the graph that runs has at the input `name`: a `Link` by the ids of the run, a constant, or None."""
        return self._state.node.inputs.get(name)

    def subgraph(self) -> Subgraph:
        """A new, empty subgraph to build and return in `Expand`."""
        return Subgraph()


class DynamicPrompt:
    """The hidden input DYNPROMPT: the nodes of the submitted graph and those that expansions added."""

    __slots__ = ("_run",)

    def __init__(self, run: Run) -> None:
        self._run = run

    def get_node(self, node_id: str) -> dict[str, Any]:
        """The node as JSON, with what else the client said of it (`_meta` has its title).

        Inputs of expanded nodes that are no JSON are copies of the values. Raises KeyError when there is no such node, and
        RuntimeError when such a value is gone.
        """
        node = self._run.prompt.get(node_id) or self._run.expanded[node_id].node
        inputs = {name: self._input(node_id, name, value) for name, value in node.inputs.items()}
        told = self._run.documents.prompt.get(node_id, {})
        return {**told, "class_type": node.class_type, "inputs": inputs}

    def _input(self, node_id: str, name: str, value: Any) -> Any:
        if type(value) is Link:
            return list(value)
        copies = self._run.cache.copies
        if type(value) is not StoredInput:
            return copies.of(value)
        held = fetch_stored(self._run, self._run.states[value.owner], value)
        if held is None:
            raise RuntimeError(
                f"Input {name!r} of node {node_id} is no longer in memory. Raise `ram_gib` under [cache] in safelight.toml."
            )
        return copies.of(held.value if isinstance(held, Stored) else [entry.value for entry in held])

    def has_node(self, node_id: str) -> bool:
        """Whether there is such a node."""
        return node_id in self._run.prompt or node_id in self._run.expanded

    def get_parent_node_id(self, node_id: str) -> str | None:
        """The node that expanded into this one; None for nodes of the submitted graph."""
        return self._run.expanded[node_id].parent if node_id in self._run.expanded else None

    def get_display_node_id(self, node_id: str) -> str:
        """The node of the submitted graph that this one belongs to."""
        return self._run.expanded[node_id].display if node_id in self._run.expanded else node_id

    def all_node_ids(self) -> set[str]:
        """Every id."""
        return {*self._run.prompt, *self._run.expanded}


def hidden_inputs(run: Run, state: NodeState) -> dict[str, Any]:
    """The hidden parameters that the node type asks for."""
    found: dict[str, Any] = {}
    for name, kind in state.facts.spec.hidden.items():
        if kind == "UNIQUE_ID":
            found[name] = state.id
        elif kind == "PROMPT":
            found[name] = run.documents.prompt
        elif kind == "EXTRA_PNGINFO":
            found[name] = run.documents.extra_pnginfo
        elif kind == "DYNPROMPT":
            found[name] = DynamicPrompt(run)
    return found
