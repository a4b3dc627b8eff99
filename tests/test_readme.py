"""What the README shows works."""

from __future__ import annotations

import re
from pathlib import Path

from engine.authoring.decorator import definition_of

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_node_of_the_readme_runs_and_declares_what_the_text_says() -> None:
    import torch

    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    scope: dict[str, object] = {"__name__": "readme_node"}
    exec(compile(code, "README.md", "exec"), scope)
    definition = definition_of(scope["posterize"])
    assert definition is not None
    assert definition.spec.inputs[1].le == 64
    tones = definition.run(torch.linspace(0, 1, 12).reshape(1, 2, 2, 3), levels=3)
    assert set(tones.flatten().tolist()) == {0.0, 0.5, 1.0}


def test_every_file_folder_and_workflow_the_readme_names_is_there() -> None:
    named = re.findall(r"`((?:workflows|engine|nodes|benchmarks|recipes)/[\w./]*)`", README)
    named += re.findall(r"\]\((docs/[\w./]+)\)", README)
    assert len(named) > 12
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_the_workflow_table_lists_every_workflow() -> None:
    listed = set(re.findall(r"\| `workflows/(\w+)\.json` \|", README))
    assert listed == {path.stem for path in (ROOT / "workflows").glob("*.json")}
