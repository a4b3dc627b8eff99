"""What the class protocol costs: V1 nodes against native ones, and object_info with 2,000 of them.

    python benchmarks/packs.py

Goals: running V1 nodes takes at most 1.3 times as long as native ones; object_info of 2,000 nodes is answered within 50 ms
by a server whose worker has read the packs, whether their choices come from functions or not.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import tempfile
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
from server_process import Server, base_folder, fetched, running

from engine.api import node
from engine.authoring.decorator import definition_of
from engine.authoring.definition import NodeDefinition
from engine.cache.facade import Cache
from engine.execute.executor import Executor
from engine.graph.prompt import Link, Node
from engine.graph.schema import Catalogue
from engine.paths import Paths
from engine.plugins.adapters import class_nodes
from engine.server.routes.object_info import ObjectInfo

NODES = 1_000
ROUNDS = 31
ASKED = 11

PACK = """
def many(number, choices):
    class Many:
        @classmethod
        def INPUT_TYPES(cls):
            return {"required": {f"input_{n}": choices() for n in range(8)}}

        RETURN_TYPES = ("INT",)
        FUNCTION = "go"

        def go(self, **given):
            return (1,)

    return Many


fixed = {f"Fixed{n}": many(n, lambda: ("INT", {"default": 1, "min": 0, "max": 9})) for n in range(FIXED)}
offering = {f"Offering{n}": many(n, lambda: (sorted(["b", "a"]),)) for n in range(OFFERING)}
NODE_CLASS_MAPPINGS = fixed | offering
"""


@node("NativeAdd")
def native_add(a: int, b: int = 1) -> int:
    """Add."""
    return a + b


class ClassAdd:
    """Add."""

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:  # noqa: N802
        """The inputs."""
        return {"required": {"a": ("INT", {"default": 0}), "b": ("INT", {"default": 1})}}

    RETURN_TYPES = ("INT",)
    FUNCTION = "add"

    def add(self, a: int, b: int) -> tuple[int]:
        """Add."""
        return (a + b,)


class Offering(ClassAdd):
    """Has choices that may change."""

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:  # noqa: N802
        """The inputs."""
        return {"required": {f"input_{n}": (sorted(["b", "a"]),) for n in range(8)}}


def main() -> None:
    """Measure and print both."""
    native = definition_of(native_add)
    assert native is not None
    definitions = {one.spec.name: one for one in [native, *_class_nodes({"ClassAdd": ClassAdd})]}
    times: dict[str, list[float]] = {name: [] for name in definitions}
    for number in range(ROUNDS):
        for name in definitions:
            times[name].append(_run(definitions, name, number))
    native_ms, class_ms = (1e3 * statistics.median(times[name]) for name in ("NativeAdd", "ClassAdd"))
    print(f"{NODES} runs: native {native_ms:.1f} ms, V1 {class_ms:.1f} ms, ratio {class_ms / native_ms:.2f}")
    _object_info()
    _served(2_000, 0)
    _served(0, 2_000)


def _served(fixed: int, offering: int) -> None:
    """GET /object_info of a server with a pack of so many nodes whose inputs stay, and whose choices come from functions."""
    with base_folder() as base:
        pack = base / "custom_nodes" / "many.py"
        pack.parent.mkdir(exist_ok=True)
        pack.write_text(f"FIXED, OFFERING = {fixed}, {offering}\n{PACK}")
        with running(base) as server:
            times = [_asked(server) for _ in range(ASKED)]
    middle = 1e3 * statistics.median(times)
    print(f"GET /object_info, {fixed} + {offering} nodes: median {middle:.1f} ms, first {1e3 * times[0]:.1f} ms")


def _asked(server: Server) -> float:
    start = time.perf_counter()
    body = fetched(server.port, "/object_info")
    seconds = time.perf_counter() - start
    assert body is not None
    assert len(msgspec.json.decode(body)) > 2_000
    return seconds


def _class_nodes(classes: dict[str, Any]) -> list[NodeDefinition]:
    module = ModuleType("custom_nodes.measured")
    vars(module)["NODE_CLASS_MAPPINGS"] = classes
    return class_nodes(module, [])


def _run(definitions: dict[str, NodeDefinition], name: str, number: int) -> float:
    """Seconds for a chain of nodes that all run."""
    cache = Cache(None)
    executor = Executor(definitions.__getitem__, Catalogue(one.spec for one in definitions.values()), cache)
    prompt = {"0": Node(name, {"a": number, "b": 1})}
    for index in range(1, NODES):
        prompt[str(index)] = Node(name, {"a": Link(str(index - 1), 0), "b": 1})
    start = time.perf_counter()
    result = executor.run_sync(prompt, [str(NODES - 1)])
    seconds = time.perf_counter() - start
    assert result.counts.ran == NODES
    executor.close()
    cache.close()
    return seconds


def _object_info() -> None:
    made = _class_nodes({f"Offering{n}": Offering for n in range(2_000)})
    catalogue = Catalogue(one.spec for one in made)

    async def there() -> Catalogue:
        return catalogue

    with tempfile.TemporaryDirectory() as base:
        info = ObjectInfo(there, Paths(Path(base)))
        asyncio.run(_time_body(info))
    for what in ("first", "again"):
        start = time.perf_counter()
        for one in made:
            assert one.respec is not None
            one.respec()
        print(f"asking 2,000 nodes for their choices anew, {what}: {1e3 * (time.perf_counter() - start):.1f} ms")


async def _time_body(info: ObjectInfo) -> None:
    for what in ("first", "again", "again"):
        start = time.perf_counter()
        await info.body()
        print(f"object_info of 2,000 nodes, {what}: {1e3 * (time.perf_counter() - start):.1f} ms")


if __name__ == "__main__":
    sys.exit(main())
