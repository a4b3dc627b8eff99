"""Checking prompts where the packs' own code can run."""

from __future__ import annotations

import msgspec

from engine.graph.prompt import prompt_to_json
from engine.graph.schema import Files
from engine.graph.validate import check
from engine.jobs.messages import CheckedPrompt, CheckPrompt
from engine.worker.parts import Engine
from engine.worker.plain import encoded_json


def checked_prompt(engine: Engine, message: CheckPrompt) -> CheckedPrompt:
    """The answer to `message`. Blocking: it lists folders."""

    def choices(files: Files) -> list[str]:
        return engine.paths.folder_files(files.folder)

    data = msgspec.json.decode(message.prompt)
    found = check(data, engine.library.catalogue, choices=choices, targets=message.targets)
    return CheckedPrompt(
        message.request,
        checked=encoded_json(prompt_to_json(found.prompt)),
        outputs=found.outputs,
        problems=encoded_json(found.problems),
        dependents=encoded_json(found.dependents),
    )
