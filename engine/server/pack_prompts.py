"""Posted graphs that packs have a word in: they are checked by a worker."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from engine.graph.problems import Problem
from engine.graph.prompt import prompt_from_json
from engine.graph.schema import Catalogue
from engine.jobs.inspections import NoWorkerError
from engine.jobs.messages import CheckedPrompt
from engine.server.checks import CheckedGraph, encode, graph_of
from engine.server.graph_source import Posted
from engine.server.packs import Packs
from engine.server.refusals import Refusal


class PackPrompts:
    """Has graphs checked where the code of packs is."""

    def __init__(self, packs: Packs) -> None:
        self._packs = packs

    async def concern(self, posted: Posted, catalogue: Catalogue) -> bool:
        """Whether a pack wants to see what is posted, or has nodes in it whose inputs only its code can judge."""
        await self._packs.opened()
        if self._packs.hears_prompts:
            return True
        left_out = self._packs.left_out
        if not catalogue.judged and not left_out:
            return False
        nodes = (node for node in posted.prompt.values() if isinstance(node, Mapping))
        kinds = {kind for node in nodes if isinstance(kind := node.get("class_type"), str)}
        if not left_out.isdisjoint(kinds):
            await self._packs.refresh(catalogue)
            return True
        specs = (catalogue.spec(kind) for kind in kinds)
        return any(spec is not None and spec.name in catalogue.judged for spec in specs)

    async def check(self, posted: Posted, catalogue: Catalogue, targets: Any) -> tuple[Posted, CheckedGraph]:
        """What packs made of it, checked. Raises GraphRefused, and Refusal 503 when no worker answers."""
        whole = None
        if self._packs.hears_prompts:
            whole = encode({**posted.envelope, "prompt": posted.prompt, "extra_data": posted.extra_data})
        try:
            found = await self._packs.calls.check(encode(posted.prompt), targets, whole)
        except NoWorkerError as error:
            raise Refusal(
                503, "no_worker", f"Nodes of packs are in the graph, which a worker checks. {error}"
            ) from None
        posted = _heard(posted, found)
        problems = msgspec.json.decode(found.problems, type=list[Problem])
        prompt = prompt_from_json(msgspec.json.decode(found.checked))
        dependents = msgspec.json.decode(found.dependents, type=dict[str, list[str]])
        graph = graph_of(posted, encode(posted.prompt), catalogue, prompt, found.outputs, problems, dependents)
        return posted, graph._replace(checked=found.checked)


def _heard(posted: Posted, found: CheckedPrompt) -> Posted:
    """What was posted, as packs changed it."""
    if found.posted is None:
        return posted
    changed = msgspec.json.decode(found.posted)
    prompt, extra = changed.pop("prompt", None), changed.pop("extra_data", None)
    return posted._replace(
        prompt=prompt if isinstance(prompt, dict) else posted.prompt,
        extra_data=extra if isinstance(extra, dict) else posted.extra_data,
        envelope=changed,
    )
