"""Checking prompts where the packs' own code can run."""

from __future__ import annotations

import asyncio
import inspect
import os
from collections.abc import Container, Mapping
from typing import Any

import msgspec

from engine.graph.prompt import NodeId, prompt_to_json
from engine.graph.schema import Files, NodeSpec
from engine.graph.validate import check
from engine.jobs.messages import CheckedPrompt, CheckPrompt, NodesRefreshed, RefreshNodes
from engine.plugins.library import Library
from engine.plugins.loader import NodeLoadError
from engine.worker.packs import heard_prompt
from engine.worker.parts import Engine
from engine.worker.plain import encoded_json


class PackChecks:
    """The checks of packs (`VALIDATE_INPUTS`); see `engine.graph.validate.CustomCheck`."""

    def __init__(self, library: Library) -> None:
        self._library = library

    def owns(self, spec: NodeSpec) -> Container[str]:
        """The inputs that the node's own code checks."""
        try:
            return self._library.definition(spec.name).owned_inputs
        except NodeLoadError:
            return ()

    def takes(self, spec: NodeSpec, name: str) -> bool:
        """Whether the node's own code wants a constant that it does not declare."""
        try:
            takes = self._library.definition(spec.name).takes
            return takes is None or bool(takes(name))
        except Exception:  # of the pack's own container, or the pack cannot be imported
            return False

    def __call__(
        self, node_id: NodeId, spec: NodeSpec, constants: Mapping[str, Any], received_types: Mapping[str, str]
    ) -> str | bool | None:
        """What the node's code says of its inputs: links have no value yet. Raises what it raises."""
        check = self._library.definition(spec.name).validate
        if check is None:
            return None
        answer = check(**{**dict.fromkeys(received_types), **constants, "input_types": dict(received_types)})
        if inspect.isawaitable(answer):
            answer = asyncio.run(_awaited(answer))
        if isinstance(answer, str | bool) or answer is None:
            return answer
        return bool(answer) if getattr(answer, "shape", None) == () else f"VALIDATE_INPUTS gave {answer!r:.200}."


def checked_prompt(engine: Engine, message: CheckPrompt) -> CheckedPrompt:
    """The answer to `message`. Blocking: it lists folders and calls packs."""

    def choices(files: Files) -> list[str]:
        return engine.paths.folder_files(files.folder, files.kind)

    posted = heard_prompt(message.posted)
    data = msgspec.json.decode(message.prompt) if posted is None else posted.get("prompt")
    _refresh(engine.library, data)
    found = check(
        data, engine.library.catalogue, choices=choices, targets=message.targets, custom=PackChecks(engine.library)
    )
    return CheckedPrompt(
        message.request,
        checked=encoded_json(prompt_to_json(found.prompt)),
        outputs=found.outputs,
        problems=encoded_json(found.problems),
        dependents=encoded_json(found.dependents),
        posted=encoded_json(posted) if posted is not None else None,
    )


def refreshed_nodes(engine: Engine, message: RefreshNodes) -> NodesRefreshed:
    """The answer to `message`. Blocking."""
    engine.library.refresh()
    catalogue = engine.library.catalogue
    state = f"{os.getpid()} {catalogue.changes}"
    specs = [spec for spec in catalogue if spec.dynamic] if state != message.state else []
    return NodesRefreshed(message.request, state, specs)


def _refresh(library: Library, prompt: Any) -> None:
    """Ask the nodes of a prompt for their choices anew."""
    nodes = prompt.values() if isinstance(prompt, Mapping) else ()
    kinds = {node.get("class_type") for node in nodes if isinstance(node, Mapping)}
    library.refresh(kind for kind in kinds if isinstance(kind, str))


async def _awaited(answer: Any) -> Any:
    return await answer
