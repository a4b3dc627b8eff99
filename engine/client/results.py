"""Results and events of a server in the form in which all calls give them."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from engine.calls.errors import RunCancelledError, RunFailedError
from engine.calls.progress import Progress
from engine.calls.result import File, NodeRun, Output, Result


def result_of(told: Mapping[str, Any], url: str) -> Result:
    """The result that a server tells. `url` is where the server is."""
    outputs = {
        name: Output(
            name,
            str(one.get("kind") or "file"),
            tuple(_file(file, url) for file in one.get("files") or ()),
            tuple(one.get("texts") or ()),
        )
        for name, one in (told.get("outputs") or {}).items()
    }
    ran = {one["node"]: NodeRun(one["node"], "ran", float(one.get("seconds") or 0)) for one in told.get("ran") or ()}
    reused = {node: NodeRun(node, "reused", 0.0) for node in told.get("reused") or ()}
    counts = {"ran": len(ran), "reused": len(reused)}
    return Result(
        str(told.get("job_id")),
        outputs,
        told.get("values") or {},
        float(told.get("seconds") or 0),
        ran | reused,
        counts,
    )


def ended(told: Mapping[str, Any], result: Result) -> Result:
    """`result`, if the job ended well. Raises RunFailedError, RunCancelledError."""
    if told.get("state") == "cancelled":
        raise RunCancelledError("The run was cancelled.")
    if told.get("state") == "failed":
        error = told.get("error") or {}
        node, kind = error.get("node_id"), error.get("node_type")
        place = f"{kind or 'A node'} (node {node}) failed: " if node else ""
        raise RunFailedError(f"{place}{error.get('message') or 'the job failed.'}", [error] if error else [], result)
    return result


def _file(told: Mapping[str, Any], url: str) -> File:
    names = {name: str(told.get(name) or "") for name in ("filename", "subfolder", "type")}
    data = base64.b64decode(told["base64"]) if "base64" in told else None
    return File(names["filename"], url=f"{url}/api/view?{urlencode(names)}", data=data)


class Follower:
    """Makes events of a job's stream to `Progress`."""

    def __init__(self) -> None:
        self._titles: dict[str, str] = {}
        self._latest = Progress()

    def progress(self, name: str, data: Mapping[str, Any]) -> Progress | None:
        """What an event tells of how far the job is; None for one that tells nothing of it."""
        node = str(data.get("node") or "")
        if name == "preview":
            old = self._latest if self._latest.node == node else Progress(node, self._title(node))
            facts = (old.value, old.total, self._latest.done, self._latest.nodes)
            return Progress(node, self._title(node), *facts, base64.b64decode(data.get("base64") or ""))
        done, nodes = int(data.get("done") or 0), int(data.get("total") or 0)
        if name == "progress":
            value, total = float(data.get("value") or 0), float(data.get("max") or 0)
            self._latest = Progress(node, self._title(node), value, total, done, nodes)
        elif name == "node":
            if data.get("class_type"):
                self._titles[node] = str(data["class_type"])
            is_running = data.get("state") == "running"
            place = (node, self._title(node)) if is_running else ("", "")
            self._latest = Progress(*place, done=done, nodes=nodes)
        else:
            return None
        return self._latest

    def _title(self, node: str) -> str:
        return self._titles.get(node, node)
