"""What one process after another runs of a graph over one base directory."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

from engine.graph.prompt import prompt_from_json


class Session:
    """One process's executor over a base directory; `ran` is what a run of `prompt` computed, in order of the graph."""

    def __init__(self, base: Path, prompt: dict[str, Any]) -> None:
        from engine.__main__ import make_app

        app = make_app(base)
        self.prompt = prompt
        self.cache = app.open_cache(True)
        self.executor = app.open_executor(app.load_library(), self.cache)

    def ran(self, **inputs: Any) -> list[str]:
        """`inputs`: NODE__INPUT=value, other than in the prompt."""
        prompt = deepcopy(self.prompt)
        for name, value in inputs.items():
            node, _, entry = name.partition("__")
            prompt[node]["inputs"][entry] = value
        result = self.executor.run_sync(prompt_from_json(prompt), ["shown"])
        assert result.status == "done", result.failures
        return [node for node in self.prompt if result.nodes[node].status in ("ran", "remade")]

    def close(self) -> None:
        self.executor.close()
        self.cache.close()
