"""What saved workflows hold for nodes of the field comes out at the input that it was put in: which inputs have widgets, and which not."""

from __future__ import annotations

from typing import Any

import pytest

from engine.graph.workflow import workflow_to_prompt

SAVED = [
    (
        "TextGenerate",
        ["a", 2048, "on", 0.6, 64, 0.8, 0.05, 1.05, 7, 0.5, True, False, "off"],
        {
            "prompt": "a",
            "max_length": 2048,
            "sampling_mode.repetition_penalty": 1.05,
            "sampling_mode.seed": 7,
            "sampling_mode.presence_penalty": 0.5,
            "thinking": True,
            "use_default_template": False,
            "mtp": "off",
        },
    ),
    ("SAM3_Detect", [0.25, 3, True], {"threshold": 0.25, "refine_iterations": 3, "individual_masks": True}),
]


@pytest.mark.parametrize(("kind", "values", "wanted"), SAVED)
def test_every_saved_value_is_that_of_its_input(builtin_catalogue: Any, kind: str, values: Any, wanted: Any) -> None:
    workflow = {"nodes": [{"id": 1, "type": kind, "widgets_values": values}], "links": [], "version": 0.4}
    inputs = workflow_to_prompt(workflow, builtin_catalogue).prompt["1"]["inputs"]
    assert {name: inputs.get(name) for name in wanted} == wanted
    assert "bboxes" not in inputs
    assert "system_prompt" not in inputs
