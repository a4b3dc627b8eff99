"""What a call gave: outputs by name, the values that ran, what ran and what was reused, how it ended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, Final, Literal, TypeAlias
from urllib.parse import urlencode

import msgspec

from engine.graph.shown import Ui, by_display_node, shown_by
from engine.graph.signature import Kind, Output
from engine.jobs.records import Job, Outcome
from engine.media.types import TYPES, UNKNOWN

KEY: Final = "safelight_call"
"""Where `extra_data` of a job says which call it is."""

State: TypeAlias = Literal["queued", "running", "done", "failed", "cancelled"]

_MEDIA: Final = {
    **TYPES,
    ".glb": "model/gltf-binary",
    ".obj": "model/obj",
    ".stl": "model/stl",
    ".svg": "image/svg+xml",
}
_KINDS: Final[Mapping[str, Kind]] = {
    "image": "image",
    "video": "video",
    "audio": "audio",
    "model": "mesh",
    "text": "text",
}


class CallRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept with a job of a call, over restarts."""

    workflow: str
    values: dict[str, Any] = {}
    outputs: tuple[Output, ...] = ()
    notes: tuple[str, ...] = ()
    """What its caller should know, though it did not keep it from running."""


class ResultFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file of the output or temp folder, as `GET /view` takes it."""

    filename: str
    subfolder: str
    type: str
    media_type: str

    @property
    def url(self) -> str:
        """Where the server shows it: a path of the server, with its query."""
        return "/api/view?" + urlencode({"filename": self.filename, "subfolder": self.subfolder, "type": self.type})


class ResultOutput(msgspec.Struct, frozen=True, kw_only=True):
    """One output: its files, or its texts."""

    name: str
    kind: Kind
    files: tuple[ResultFile, ...] = ()
    texts: tuple[str, ...] = ()


class NodeTime(msgspec.Struct, frozen=True):
    """A node that ran, and for how long."""

    node: str
    seconds: float


class CallResult(msgspec.Struct, frozen=True, kw_only=True):
    """A call, ended or not. Times are Unix seconds."""

    job_id: str
    state: State
    workflow: str
    """Empty for a job that is not of a call: its outputs are named by their nodes, `node_7`."""
    values: dict[str, Any]
    """Every parameter with the value that ran, drawn seeds among them."""
    outputs: dict[str, ResultOutput]
    created: float
    started: float | None = None
    ended: float | None = None
    seconds: float | None = None
    """From the start of its last attempt to its end."""
    ran: tuple[NodeTime, ...] = ()
    reused: tuple[str, ...] = ()
    """Nodes whose results came from the cache."""
    notes: tuple[str, ...] = ()
    error: dict[str, Any] | None = None
    """Of a failed job: `exception_message`, `exception_type`, `node_id`, `node_type`, … as `execution_error` tells it."""
    waits_for: str = ""
    """Why it waits though a worker is idle."""

    @property
    def is_active(self) -> bool:
        """Whether it waits or runs."""
        return self.state in ("queued", "running")

    def files(self, kind: str = "") -> list[ResultFile]:
        """All files, in the order of the outputs; `kind` is the beginning of a media type, such as `image/`."""
        found = (file for output in self.outputs.values() for file in output.files)
        return [file for file in found if file.media_type.startswith(kind)]


def waiting_result(job: Job) -> CallResult:
    """Of a job that waits or runs. Its texts must be there (`JobStore.whole`)."""
    record = record_of(job)
    return CallResult(
        job_id=job.id,
        state="queued" if job.status == "queued" else "running",
        workflow=record.workflow,
        values=record.values,
        outputs={},
        created=job.created,
        started=job.started,
        notes=record.notes,
        waits_for=job.held,
    )


def ended_result(job: Job, outcome: Outcome) -> CallResult:
    """Of a job that has ended. Its texts must be there (`JobStore.whole`)."""
    record = record_of(job)
    nodes: dict[str, dict[str, Any]] = msgspec.json.decode(outcome.nodes)
    shown: dict[str, dict[str, Any]] = msgspec.json.decode(outcome.outputs)
    places: dict[str, dict[str, Any]] = msgspec.json.decode(outcome.meta)
    ran = [NodeTime(id, told.get("seconds", 0.0)) for id, told in nodes.items() if told.get("status") == "ran"]
    return CallResult(
        job_id=job.id,
        state=outcome.status,
        workflow=record.workflow,
        values=record.values,
        outputs=_outputs(record.outputs, shown, places),
        created=job.created,
        started=job.started,
        ended=outcome.ended,
        seconds=outcome.ended - job.started if job.started is not None else None,
        ran=tuple(ran),
        reused=tuple(id for id, told in nodes.items() if told.get("status") in ("reused", "remade")),
        notes=record.notes,
        error=msgspec.json.decode(outcome.error) if outcome.error is not None else None,
    )


class _Extra(msgspec.Struct):
    safelight_call: CallRecord | None = None


_EXTRA: Final = msgspec.json.Decoder(_Extra)


def record_of(job: Job) -> CallRecord:
    """Which call a job is; an empty record for one that is none."""
    try:
        found = _EXTRA.decode(job.extra_data).safelight_call
    except msgspec.DecodeError:  # a client wrote something else under the name
        found = None
    return found or CallRecord(workflow="")


def _outputs(
    named: tuple[Output, ...], shown: Mapping[str, Mapping[str, Any]], places: Mapping[str, Mapping[str, Any]]
) -> dict[str, ResultOutput]:
    by_node = by_display_node(shown, lambda node: str(places.get(node, {}).get("display_node") or node))
    names = named or tuple(Output(name=f"node_{node}", node=node, kind="file") for node in by_node)
    return {one.name: _output(one, by_node.get(one.node, []), bool(named)) for one in names}


def _output(one: Output, uis: Sequence[Ui], is_named: bool) -> ResultOutput:
    shown = shown_by(uis)
    files = tuple(map(_file, shown.files))
    kind = one.kind if is_named else _kind(files, shown.texts)
    return ResultOutput(name=one.name, kind=kind, files=files, texts=shown.texts)


def _file(value: Mapping[str, Any]) -> ResultFile:
    suffix = Path(value["filename"]).suffix.lower()
    return ResultFile(
        filename=value["filename"],
        subfolder=str(PurePosixPath(str(value.get("subfolder") or ""))) if value.get("subfolder") else "",
        type=str(value.get("type") or "output"),
        media_type=_MEDIA.get(suffix, UNKNOWN),
    )


def _kind(files: Sequence[ResultFile], texts: Sequence[str]) -> Kind:
    if files:
        return _KINDS.get(files[0].media_type.partition("/")[0], "file")
    return "text" if texts else "file"
