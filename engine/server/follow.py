"""From what happens to a job to what its client hears, and to its entry of the history."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Mapping, Sequence
from functools import cached_property
from itertools import groupby
from typing import Any, Final, Literal, cast

import msgspec

from engine.execute.events import (
    AnyEvent,
    NodeCollected,
    NodeEvent,
    NodeExpanded,
    NodeFailed,
    NodeFinished,
    NodeMessage,
    NodePicture,
    NodeProgress,
    NodeReused,
    NodesCached,
    NodeSkipped,
    NodeStarted,
    NodeText,
    Warned,
)
from engine.jobs.dispatch import preview_method_of
from engine.jobs.messages import JobFinished, JobPreview
from engine.jobs.records import Job, Outcome
from engine.server import wire
from engine.server.hub import Hub
from engine.server.progress import ProgressCounter

STATES_EVERY: Final = 0.05
"""Seconds between two `progress_state` messages, at least."""

MOST_PLACES: Final = 2_000
"""Nodes that showed something whose places are kept for the history, besides those of the submitted graph."""

MOST_ERRORS: Final = 100
"""Changed nodes in one `progress_state` from which on errors of expanded nodes are not among them."""

MEDIA: Final = {
    "images": "images",
    "gifs": "video",
    "video": "video",
    "videos": "video",
    "audio": "audio",
    "3d": "model",
}
"""Key of what a node showed → the media type that job lists tell."""

encode = msgspec.json.Encoder().encode


class JobFollower:
    """Follows one job: tells its client through the hub, and gathers what the history keeps."""

    def __init__(self, job: Job, hub: Hub, class_types: Mapping[str, str] | None = None) -> None:
        self.job = job
        self.current: str | None = None
        """The message that named the node which runs now, for a client that comes back."""
        self.progress = ProgressCounter()
        """How far the present attempt is."""
        self._hub = hub
        self._class_types = class_types
        self._messages: list[tuple[str, dict[str, Any]]] = []
        self._executed: list[str] = []
        self._meta: dict[str, dict[str, Any]] = {}
        self._states: dict[str, dict[str, Any]] = {}
        self._changed: set[str] = set()
        self._running_inner: set[str] = set()
        """Expanded nodes of which the client was told that they run."""
        self._flush: asyncio.TimerHandle | None = None
        self._flushed = 0.0
        self._failure: dict[str, Any] | None = None
        self._late: dict[str, Any] | None = None
        self._outcome: Outcome | None = None

    # -- engine.jobs.dispatch.Follower

    def started(self) -> None:
        self._forget_attempt()
        self._note("execution_start", {"prompt_id": self.job.id, "timestamp": _now()})
        self._hub.watches.began(self.job)

    def events(self, events: Sequence[AnyEvent]) -> None:
        self.progress.feed(events)
        for kind, group in groupby(events, type):
            if kind is NodeReused:
                self._reused_late(cast("list[NodeReused]", list(group)))
                continue
            tell = _TELL.get(kind)
            if tell is not None:
                for event in group:
                    tell(self, event)
        self._tell_states_soon()
        self._hub.watches.events(self.job.id, events)

    def preview(self, preview: JobPreview) -> None:
        self.progress.preview = preview
        self._hub.watches.preview(preview)
        client = self._hub.client(self.job.client_id, self.job.owner)
        if client is not None and (client.wants_previews or self._previews_wanted):
            client.send_preview(preview, self._place(preview.node, preview.display_node, preview.parent))

    def retried(self, reason: str) -> None:
        self._forget_attempt()
        self._tell(f"{reason} The job waits for another attempt.")

    def held(self, reason: str) -> None:
        self._forget_attempt()
        self._tell(f"{reason} The job waits until it is there.")

    def ended(
        self, status: Literal["done", "failed", "cancelled"], finished: JobFinished | None, reason: str
    ) -> Outcome:
        self._tell_states()
        now = time.time()
        if status == "failed" and self._failure is None:
            self._failure = self._crash(reason)
        outputs = finished.outputs if finished is not None else b"{}"
        data = self._last_data(status, now)
        self._messages.append((f"execution_{_ENDS[status]}", data))
        shown = msgspec.json.decode(outputs) if outputs != b"{}" else {}
        self._outcome = Outcome(
            status=status,
            ended=now,
            outputs=outputs,
            meta=encode({node: self._meta.get(node) or self._place(node, node, None, bare=True) for node in shown}),
            messages=encode(self._messages),
            nodes=finished.nodes if finished is not None else b"{}",
            error=encode(self._failure) if status == "failed" else None,
            preview=_preview_of(shown),
            outputs_count=sum(len(files) for _, files, _ in _files(shown)),
        )
        return self._outcome

    def recorded(self) -> None:
        self._say(*self._messages[-1])
        self._say("executing", {"node": None, "display_node": None, "prompt_id": self.job.id})
        if self._outcome is not None:
            self._hub.watches.ended(self.job, self._outcome)

    @cached_property
    def _previews_wanted(self) -> bool:
        """Whether the job itself asks for intermediate pictures: then its client is one that knows what to do with them."""
        return preview_method_of(self.job.extra_data) not in (None, "none")

    # -- for a client that comes back

    def resume(self) -> None:
        """Tell the client, which was away, where the job stands."""
        for type, data in self._messages:
            self._say(type, data)
        if self._states:
            nodes = dict(self._states)
            self._told(nodes)
            self._changed.intersection_update(self._states)
            self._say("progress_state", {"prompt_id": self.job.id, "nodes": nodes})
        if self.current is not None:
            self._say("executing", {"node": self.current, "display_node": self.current, "prompt_id": self.job.id})

    # -- one event each

    def _cached(self, event: NodesCached) -> None:
        known = [node for node in event.nodes if node not in event.inner]
        self._note("execution_cached", {"nodes": known, "prompt_id": self.job.id, "timestamp": _now()})
        self._executed.extend(known)
        for node, shown in event.ui.items():
            display = event.inner.get(node, node)
            if display != node:
                self._keep_place(node, display, None)
            self._say("executed", {"node": node, "display_node": display, "output": shown, "prompt_id": self.job.id})

    def _node_started(self, event: NodeStarted) -> None:
        self._executing(event)
        self._state(event, "running")

    def _progress(self, event: NodeProgress) -> None:
        value, total = wire.number(event.value), wire.number(event.total)
        self._say("progress", {"value": value, "max": total, "prompt_id": self.job.id, "node": event.display_node})
        self._state(event, "running", value, total)

    def _picture(self, event: NodePicture) -> None:
        client = self._hub.client(self.job.client_id, self.job.owner)
        if client is None:
            return
        if self.current != event.node:  # others run beside it: clients take a picture for that of the node named last
            self._executing(event)
        client.send_result(event.data, self._place(event.node, event.display_node, event.parent))

    def _text(self, event: NodeText) -> None:
        client = self._hub.client(self.job.client_id, self.job.owner)
        if client is not None:
            node = event.display_node.encode()
            client.send_text(len(node).to_bytes(4, "big") + node + event.text.encode("utf-8", "replace"), self.job.id)

    def _message(self, event: NodeMessage) -> None:
        self._say(event.event, event.data)

    def _reused_late(self, events: list[NodeReused]) -> None:
        """Nodes that turned out unchanged: named like those of the start, each once, so that whoever counts comes to the end.

        Nodes of expansions are left out, as clients know only those that they sent.
        """
        known = [event.node for event in events if event.parent is None]
        if known:
            self._cached_late(known)
        self._executed.extend(known)
        for event in events:
            self._state(event, "finished", 1, 1)
            if event.ui is not None:
                self._shown(event, event.ui)

    def _cached_late(self, nodes: list[str]) -> None:
        data = {"nodes": nodes, "prompt_id": self.job.id, "timestamp": _now()}
        if self._late is None:
            self._late = {**data, "nodes": []}
            self._messages.append(("execution_cached", self._late))  # one entry of the history holds them all
        self._late["nodes"].extend(nodes)
        self._say("execution_cached", data)

    def _finished(self, event: NodeFinished) -> None:
        if event.parent is None:  # clients know no others, and a loop has any number of them
            self._executed.append(event.node)
        self._state(event, "finished", 1, 1)
        if event.ui is not None:
            self._shown(event, event.ui)

    def _skipped(self, event: NodeSkipped) -> None:
        if event.node in self._states:
            self._state(event, "finished", 1, 1)

    def _expanded(self, event: NodeExpanded) -> None:
        """What it expanded into is shown on it; so are expansions of that, which need no word of their own."""
        if event.parent is None:
            self._state(event, "running")

    def _collected(self, event: NodeCollected) -> None:
        self._state(event, "finished", 1, 1)

    def _failed(self, event: NodeFailed) -> None:
        self._state(event, "error")
        if self._failure is None:
            self._failure = self._error(event)

    def _warned(self, event: Warned) -> None:
        self._say("notification", {"value": event.message})

    # -- messages

    def _executing(self, event: NodeEvent) -> None:
        self.current = event.node
        self._say("executing", {"node": event.node, "display_node": event.display_node, "prompt_id": self.job.id})

    def _shown(self, event: NodeEvent, ui: Mapping[str, Any]) -> None:
        self._keep_place(event.node, event.display_node, event.parent)
        self._say(
            "executed",
            {"node": event.node, "display_node": event.display_node, "output": ui, "prompt_id": self.job.id},
        )

    def _keep_place(self, node: str, display: str, parent: str | None) -> None:
        """For `meta` of the history. The worker joins what many expanded nodes showed, so those need no place."""
        if len(self._meta) < MOST_PLACES or parent is None:
            self._meta[node] = self._place(node, display, parent, bare=True)

    def _error(self, event: NodeFailed) -> dict[str, Any]:
        facts = [event.message]
        facts += [f"Expected: {event.expected}"] if event.expected else []
        facts += [f"Got: {event.got}"] if event.got else []
        facts += [event.hint] if event.hint else []
        return {
            "prompt_id": self.job.id,
            "node_id": event.display_node,
            "node_type": event.class_type,
            "executed": list(self._executed),
            "exception_message": "\n".join(facts),
            "exception_type": event.exception_type or "Error",
            "traceback": [_without_folders(line) for line in event.traceback.splitlines(keepends=True)],
            "current_inputs": {name: [text] for name, text in event.current_inputs.items()},
            "current_outputs": [],
            "input_name": event.input,
            "hint": event.hint,
        }

    def _crash(self, reason: str) -> dict[str, Any]:
        """No node failed, but what ran it: its node is the one that ran last."""
        node = self.current or next(iter(self.job.outputs), "")
        return {
            "prompt_id": self.job.id,
            "node_id": node.split(".")[0],
            "node_type": self._type_of(node),
            "executed": list(self._executed),
            "exception_message": reason or "The job failed.",
            "exception_type": "WorkerLost",
            "traceback": [],
            "current_inputs": {},
            "current_outputs": [],
        }

    def _last_data(self, status: str, now: float) -> dict[str, Any]:
        data: dict[str, Any] = {"prompt_id": self.job.id, "timestamp": int(now * 1000)}
        if status == "failed":
            return {**(self._failure or {}), **data}
        if status == "cancelled":
            node = self.current or ""
            return {**data, "node_id": node, "node_type": self._type_of(node), "executed": list(self._executed)}
        return data

    def _type_of(self, node: str) -> str:
        if self._class_types is None:
            prompt = msgspec.json.decode(self.job.prompt)
            self._class_types = {one: entry.get("class_type", "") for one, entry in prompt.items()}
        return self._class_types.get(node, "")

    def _note(self, type: str, data: dict[str, Any]) -> None:
        """Tell the client, and keep it for the history."""
        self._messages.append((type, data))
        self._say(type, data)

    def _tell(self, message: str) -> None:
        """A sentence for people."""
        self._say("notification", {"value": message})
        self._hub.watches.told(self.job.id, message)

    def _say(self, type: str, data: Mapping[str, Any]) -> None:
        client = self._hub.client(self.job.client_id, self.job.owner)
        if client is not None:
            client.send(type, data)

    # -- progress_state

    def _place(self, node: str, display: str, parent: str | None, *, bare: bool = False) -> dict[str, Any]:
        if bare:
            return {"node_id": node, "display_node": display, "parent_node": parent, "real_node_id": node}
        return {
            "node_id": node,
            "prompt_id": self.job.id,
            "display_node_id": display,
            "parent_node_id": parent,
            "real_node_id": node,
        }

    def _state(self, event: NodeEvent, state: str, value: float = 0, maximum: float = 1) -> None:
        known = self._states.get(event.node)
        if event.parent is not None and self._passes_over(event.node, state):
            self._states.pop(event.node, None)
            self._changed.discard(event.node)
            return
        if known is None:
            place = self._place(event.node, event.display_node, event.parent)
            known = self._states[event.node] = {"value": value, "max": maximum, "state": state, **place}
        else:
            known["value"], known["max"], known["state"] = value, maximum, state
        self._changed.add(event.node)

    def _tell_states_soon(self) -> None:
        if not self._changed or self._flush is not None or self._hub.client(self.job.client_id, self.job.owner) is None:
            return
        loop = asyncio.get_running_loop()
        wait = self._flushed + STATES_EVERY - loop.time()
        if wait <= 0:
            self._tell_states()
        else:
            self._flush = loop.call_later(wait, self._tell_states)

    def _tell_states(self) -> None:
        if self._flush is not None:
            self._flush.cancel()
            self._flush = None
        if self._changed:
            nodes = {node: self._states[node] for node in self._changed}
            self._told(nodes)
            self._changed = set()
            self._flushed = asyncio.get_running_loop().time()
            self._say("progress_state", {"prompt_id": self.job.id, "nodes": nodes})

    def _passes_over(self, node: str, state: str) -> bool:
        """Whether an expanded node began and ended between two messages, so that the next one need not name it."""
        if node in self._running_inner:
            return False
        return state == "finished" or (state == "error" and len(self._changed) > MOST_ERRORS)

    def _told(self, nodes: Mapping[str, Mapping[str, Any]]) -> None:
        """The client knows these states. An expanded node is remembered while it runs: a loop has any number of them."""
        for node, state in nodes.items():
            if state["parent_node_id"] is None:
                continue
            if state["state"] == "running":
                self._running_inner.add(node)
            else:
                self._running_inner.discard(node)
                del self._states[node]

    def _forget_attempt(self) -> None:
        """What an earlier attempt did counts no more."""
        self.progress = ProgressCounter()
        self._messages.clear()
        self._executed.clear()
        self._states.clear()
        self._changed.clear()
        self._running_inner.clear()
        self._failure = self._late = self.current = None


_TELL: Final[Mapping[type, Any]] = {
    NodesCached: JobFollower._cached,
    NodeStarted: JobFollower._node_started,
    NodeProgress: JobFollower._progress,
    NodePicture: JobFollower._picture,
    NodeText: JobFollower._text,
    NodeMessage: JobFollower._message,
    NodeFinished: JobFollower._finished,
    NodeSkipped: JobFollower._skipped,
    NodeExpanded: JobFollower._expanded,
    NodeCollected: JobFollower._collected,
    NodeFailed: JobFollower._failed,
    Warned: JobFollower._warned,
}

_ENDS: Final = {"done": "success", "failed": "error", "cancelled": "interrupted"}


def _now() -> int:
    return int(time.time() * 1000)


_FILE: Final = re.compile(
    r'(File ")[^"]*[/\\](?=(?:site-packages|custom_nodes|engine|nodes|python3?\.?\d*)[/\\][^"]*")'
)


def _without_folders(line: str) -> str:
    """A line of a traceback without the folders above the package: where this machine keeps things is not told."""
    return _FILE.sub(r"\1", line)


def _files(shown: Mapping[str, Any]) -> list[tuple[str, list[dict[str, Any]], str]]:
    """(node, files, media type) of everything shown that is a file."""
    found: list[tuple[str, list[dict[str, Any]], str]] = []
    for node, output in shown.items():
        for key, values in output.items() if isinstance(output, dict) else ():
            files = (
                [one for one in values if isinstance(one, dict) and "filename" in one]
                if isinstance(values, list)
                else []
            )
            if files:
                found.append((node, files, MEDIA.get(str(key), str(key))))
    return found


def _preview_of(shown: Mapping[str, Any]) -> bytes | None:
    """The file that stands for the job: the last saved one, else the last temporary one."""
    files = [(one, node, media) for node, entries, media in _files(shown) for one in entries]
    if not files:
        return None
    saved = [entry for entry in files if entry[0].get("type") == "output"]
    file, node, media = (saved or files)[-1]
    kept = {key: file.get(key, "") for key in ("filename", "subfolder", "type")}
    return encode({**kept, "nodeId": node, "mediaType": media})
