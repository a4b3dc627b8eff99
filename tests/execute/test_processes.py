"""Across processes: what is reused needs neither torch nor the nodes' modules."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

PROGRAM = textwrap.dedent(
    """
    import sys
    from pathlib import Path
    from typing import Any

    from engine.api import WithUi, node
    from engine.authoring.decorator import definition_of
    from engine.cache.facade import Cache
    from engine.execute.executor import Executor
    from engine.graph.prompt import Link, Node
    from engine.graph.schema import Catalogue

    @node("Noise")
    def noise(seed: int) -> object:
        import torch
        return torch.randn(1, 8, 8, generator=torch.Generator().manual_seed(seed))

    @node("Condition")
    def condition(text: str) -> object:
        import torch
        return [[torch.ones(1, 4, 8), {"pooled_output": torch.zeros(1, 8), "text": text}]]

    @node("Sample")
    def sample(noise: object, positive: object, steps: int) -> object:
        return noise * steps + positive[0][0].mean()

    @node("Save", output=True)
    def save(image: object) -> None:
        return WithUi(ui={"text": [f"{float(image.sum()):.6f}"]})

    definitions = {d.spec.name: d for d in map(definition_of, (noise, condition, sample, save))}
    cache = Cache(Path(sys.argv[1]))
    executor = Executor(definitions.__getitem__, Catalogue([d.spec for d in definitions.values()]), cache)
    prompt = {
        "n": Node("Noise", {"seed": 1}),
        "c": Node("Condition", {"text": "red apple"}),
        "s": Node("Sample", {"noise": Link("n", 0), "positive": Link("c", 0), "steps": int(sys.argv[2])}),
        "o": Node("Save", {"image": Link("s", 0)}),
    }
    result = executor.run_sync(prompt, ["o"])
    names = sorted(name for name, outcome in result.nodes.items() if outcome.status in ("ran", "remade"))
    print(result.status, ",".join(names), result.ui["o"]["text"][0], "torch" in sys.modules)
    executor.close()
    cache.close()
    """
)


def run(folder: Path, steps: int) -> list[str]:
    command = [sys.executable, "-c", PROGRAM, str(folder), str(steps)]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout.split(" ")


def test_another_process_reuses_everything_without_importing_torch(tmp_path):
    status, ran, text, torch = run(tmp_path, 3)
    assert (status, ran, torch.strip()) == ("done", "c,n,o,s", "True")
    assert run(tmp_path, 3) == ["done", "", text, "False\n"]


def test_another_process_takes_tensors_and_conditioning_from_disk(tmp_path):
    run(tmp_path, 3)
    status, ran, text, _ = run(tmp_path, 4)
    assert (status, ran) == ("done", "o,s")
    assert run(tmp_path / "fresh", 4)[2] == text
