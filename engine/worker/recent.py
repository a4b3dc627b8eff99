"""What the last jobs gave, by node: so that a value can be asked for after the run."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final, NamedTuple

from engine.execute.recall import Recalled
from engine.graph.prompt import Prompt

JOBS: Final = 50
"""How many jobs are remembered: digests only, some hundred bytes for each node."""

NODES: Final = 100_000
"""How many nodes they may have in all, those of loops included; the last job is remembered whatever it has."""


class Given(NamedTuple):
    """The graph of a job, and the digests of what its nodes gave."""

    prompt: Prompt
    outputs: Recalled


class Recent:
    """Job → what it gave, for the last jobs that ran or were asked for. Belongs to the event loop."""

    def __init__(self) -> None:
        self._jobs: OrderedDict[str, Given] = OrderedDict()
        self._nodes = 0

    def remember(self, job: str, prompt: Prompt, outputs: Recalled) -> None:
        """Keep what a job gave in place of what is known of it."""
        known = self._jobs.pop(job, None)
        self._nodes += len(outputs) - (len(known.outputs) if known is not None else 0)
        self._jobs[job] = Given(prompt, outputs)
        while len(self._jobs) > JOBS or (self._nodes > NODES and len(self._jobs) > 1):
            _, oldest = self._jobs.popitem(last=False)
            self._nodes -= len(oldest.outputs)

    def get(self, job: str) -> Given | None:
        """What is known of a job, which now counts as asked for just now."""
        found = self._jobs.get(job)
        if found is not None:
            self._jobs.move_to_end(job)
        return found
