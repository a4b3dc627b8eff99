"""What server and worker say to each other: msgspec Structs in msgpack frames, each an u32 (big-endian) length and a body.

A worker connects, says `Hello`, then `CatalogueReady` once every node pack has been read, and `Ready` once torch is loaded.
It takes `RunJob` from `Hello` on, one at a time.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

from engine.execute.events import AnyEvent, Counts
from engine.graph.schema import NodeSpec

# -- server to worker


class RunJob(msgspec.Struct, tag=True, gc=False):
    """Run a job. JSON is passed on as bytes (`Job.checked`, `Job.prompt`; `workflow` is embedded in saved pictures)."""

    job: str
    checked: bytes
    outputs: tuple[str, ...]
    prompt: bytes
    workflow: bytes | None = None
    extra_data: bytes = b"{}"
    client_id: str | None = None
    preview_method: Literal["auto", "none", "latent2rgb", "taesd"] = "auto"


class CancelJob(msgspec.Struct, tag=True, gc=False):
    """Stop a job as soon as possible; it ends as `cancelled`. Ignored when the job has ended."""

    job: str


class FreeMemory(msgspec.Struct, tag=True, gc=False):
    """Drop loaded models from memory, and (`free_memory`) cached values from RAM. Done between jobs."""

    unload_models: bool = False
    free_memory: bool = False


class CheckPrompt(msgspec.Struct, tag=True, gc=False):
    """Check a prompt where the packs' own checks can run. Answered by `CheckedPrompt` with the same `request`.

    `posted` is JSON of all that was posted, for packs that want to see or change it before it is checked.
    """

    request: int
    prompt: bytes
    targets: list[str] | None = None
    posted: bytes | None = None


class RefreshNodes(msgspec.Struct, tag=True, gc=False):
    """Ask the nodes whose choices may have changed anew. Answered by `NodesRefreshed` with the same `request`.

    `state` is that of the last answer: when it is still true, the nodes are not told again.
    """

    request: int
    state: str = ""


class Inspect(msgspec.Struct, tag=True, gc=False):
    """Describe a value that a node of a job gave; answered by `Inspected` with the same `request`, also while jobs run.

    `checked` and `outputs` are those of the job: they are sent again when the worker no longer knows what it gave.
    `item` chooses among the values of an output that is a list. `picture`: as a small picture, too.
    """

    request: int
    job: str
    node: str
    slot: int
    item: int = 0
    picture: bool = False
    checked: bytes | None = None
    outputs: tuple[str, ...] = ()


class Shutdown(msgspec.Struct, tag=True, gc=False):
    """Cancel what runs, write everything, and end the process."""


ToWorker: TypeAlias = RunJob | CancelJob | FreeMemory | CheckPrompt | RefreshNodes | Inspect | Shutdown

# -- worker to server


class Device(msgspec.Struct, gc=False):
    """One device, as `GET /system_stats` lists it. Memory in bytes."""

    name: str
    type: str
    index: int | None = None
    vram_total: int = 0
    vram_free: int = 0
    torch_vram_total: int = 0
    torch_vram_free: int = 0


class Hello(msgspec.Struct, tag=True, gc=False):
    """The first message of a worker: which one it is, and the secret that it was started with."""

    worker: int
    secret: str
    pid: int


class CatalogueReady(msgspec.Struct, tag=True, gc=False):
    """Every node pack has been read, and the stored catalogue (see `engine.plugins.opening`) is true."""


class Ready(msgspec.Struct, tag=True, gc=False):
    """Torch is loaded. `devices` are all that it sees, this worker's first."""

    torch_version: str
    devices: list[Device]


class JobStarted(msgspec.Struct, tag=True, gc=False):
    """A job begins to run."""

    job: str


class JobRefused(msgspec.Struct, tag=True, gc=False):
    """A job cannot run in this process, which lacks a pack of its nodes; it has not begun. `reason`: a sentence or more."""

    job: str
    reason: str


class JobEvents(msgspec.Struct, tag=True, gc=False):
    """Events of a job in their order (never a `NodePreview`): gathered for some milliseconds, so that frames stay few."""

    job: str
    events: list[AnyEvent]


class JobPreview(msgspec.Struct, tag=True, gc=False):
    """An intermediate picture, as a file."""

    job: str
    node: str
    display_node: str
    parent: str | None
    format: Literal["jpeg", "png"]
    data: bytes


class JobFinished(msgspec.Struct, tag=True, gc=False):
    """A job has ended, after its last `JobEvents`.

    `outputs` is JSON: node id → what it showed. `nodes` is JSON: node id → `{status, seconds, display_node}`. `crash` tells an
    error of the executor itself. `models` are `folder/name` of the model files now held in memory.
    """

    job: str
    status: Literal["done", "failed", "cancelled"]
    outputs: bytes
    nodes: bytes
    counts: Counts
    seconds: float
    models: list[str] = []
    device: Device | None = None
    crash: str = ""


class CheckedPrompt(msgspec.Struct, tag=True, gc=False):
    """Answers `CheckPrompt` with JSON: the checked prompt, `engine.graph.problems.Problem`s, node → outputs that it spoils.

    `posted` is what packs made of what was posted; None when they left it as it was.
    """

    request: int
    checked: bytes
    outputs: tuple[str, ...]
    problems: bytes
    dependents: bytes
    posted: bytes | None = None


class NodesRefreshed(msgspec.Struct, tag=True, gc=False):
    """Answers `RefreshNodes`: the nodes whose choices may change, as they are now; none when nothing changed."""

    request: int
    state: str
    specs: list[NodeSpec]


class PacksOpened(msgspec.Struct, tag=True, gc=False):
    """Every pack that does more than declare nodes has been imported.

    Their routes (method or `*`, regular expression of paths) are answered at `port` of this machine, where requests must carry
    `secret`. `web` names folders of files for the editor, `problems` are (pack, what is wrong with it). `folders` are the
    model folders that packs have registered or changed, with the places of their files and the suffixes that count.
    `names` are further choices for inputs of the built-in nodes, such as samplers.
    """

    port: int = 0
    secret: str = ""
    routes: list[tuple[str, str]] = []
    hears_prompts: bool = False
    web: dict[str, str] = {}
    problems: list[tuple[str, str]] = []
    folders: dict[str, tuple[list[str], list[str]]] = {}
    names: dict[str, list[str]] = {}


class PackMessage(msgspec.Struct, tag=True, gc=False):
    """A pack's message to a client, or to all. `data` is JSON, or with `number` the body of a binary message of that number."""

    event: str
    data: bytes
    client_id: str | None = None
    number: int | None = None


class Inspected(msgspec.Struct, tag=True, gc=False):
    """Answers `Inspect`.

    `unknown_job`: send the graph along. `not_run`: the node gave nothing, or nothing that can be found again. `gone`: the
    value is no longer in the cache. `description` is JSON of a `ValueDescription`; `file` a WebP, empty if there is none.
    """

    request: int
    result: Literal["found", "unknown_job", "not_run", "no_slot", "gone"]
    description: bytes = b"{}"
    file: bytes = b""


class DeviceState(msgspec.Struct, tag=True, gc=False):
    """Memory of this worker's device and the models it holds, told after `FreeMemory` and now and then while idle."""

    device: Device
    models: list[str] = []


FromWorker: TypeAlias = (
    Hello
    | CatalogueReady
    | Ready
    | JobStarted
    | JobRefused
    | JobEvents
    | JobPreview
    | JobFinished
    | CheckedPrompt
    | Inspected
    | DeviceState
    | NodesRefreshed
    | PacksOpened
    | PackMessage
)
