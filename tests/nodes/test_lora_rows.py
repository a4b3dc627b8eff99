"""Several LoRAs in rows: as the loaders do one after the other; and rows as inputs of a prompt."""

from __future__ import annotations

import pytest

from engine.authoring.groups import gathered
from engine.graph.dynamic import ROWS, growable, grown
from engine.graph.schema import Files
from engine.graph.validate import check
from engine.graph.widgets import named_values
from engine.server.routes.object_info_form import node_form
from nodes.loaders import checkpoint_loader, lora_loader, lora_loader_model_only
from nodes.lora_rows import load_lora_model, load_lora_text_encoder

KOHYA, DIFFUSERS = "kohya.safetensors", "diffusers.safetensors"


def test_rows_are_put_on_in_their_order_and_some_are_skipped(bench):
    model, clip, _ = checkpoint_loader(bench, "tiny.safetensors")
    rows = {
        "10": {"lora_name": KOHYA, "strength": 0.25, "enabled": True},
        "0": {"lora_name": KOHYA, "strength": 0.5, "enabled": True},
        "1": {"lora_name": DIFFUSERS, "strength": 0.5, "enabled": False},
        "2": {"lora_name": DIFFUSERS, "strength": -0.3},
        "3": {"lora_name": KOHYA, "strength": 0.0, "enabled": True},
        "4": {"lora_name": "", "strength": 1.0, "enabled": True},
    }
    expected = model
    for name, strength in ((KOHYA, 0.5), (DIFFUSERS, -0.3), (KOHYA, 0.25)):
        expected = lora_loader_model_only(bench, expected, name, strength)
    assert load_lora_model(bench, model, rows) == expected
    del rows["2"]
    once = lora_loader(bench, model, clip, KOHYA, 0.0, 0.5).CLIP
    assert load_lora_text_encoder(bench, clip, rows) == lora_loader(bench, model, once, KOHYA, 0.0, 0.25).CLIP
    assert load_lora_model(bench, model, {"0": {"lora_name": KOHYA, "strength": 0.0}}) is model


@pytest.mark.parametrize("count", [0, 21])
def test_no_rows_and_too_many_are_told(bench, count):
    model, _, _ = checkpoint_loader(bench, "tiny.safetensors")
    with pytest.raises(ValueError, match=f"expected 1 to 20 rows, got {count}"):
        load_lora_model(bench, model, {str(number): {"lora_name": KOHYA} for number in range(count)})


def test_rows_are_inputs_of_their_own(builtin_catalogue):
    group = builtin_catalogue.spec("LoadLoraModel").input("loras")
    assert group.type == ROWS
    every = growable(group)
    assert len(every) == 60
    assert [(one.name, one.required) for one in every[:4]] == [
        ("loras.0.lora_name", True),
        ("loras.0.strength", True),
        ("loras.0.enabled", True),
        ("loras.1.lora_name", False),
    ]
    assert every[0].choices == Files("loras")
    saved = [{"name": "model"}, {"name": "loras.2.strength"}]
    assert [one.name for one in grown(group, saved)] == [one.name for one in every[:9]]
    assert [one.name for one in grown(group, [])] == [one.name for one in every[:3]]


def test_editors_are_told_of_the_fields_of_a_row_and_their_files(builtin_catalogue):
    form = node_form(builtin_catalogue.spec("LoadLoraModel"), "LoadLoraModel", lambda files: [files.folder])  # type: ignore[arg-type,return-value]
    kind, options = form["input"]["optional"]["loras"]
    assert (kind, options["min"], options["max"]) == ("COMFY_DYNAMICGROUP_V3", 1, 20)
    fields = options["template"]["required"]
    assert list(fields) == ["lora_name", "strength", "enabled"]
    assert fields["lora_name"][0] == ["loras"]
    assert "files" not in fields["lora_name"][1]


def test_a_prompt_names_rows_and_what_is_no_file_or_row_is_told(builtin_catalogue):
    def problems(**inputs):
        loader = {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "a"}}
        rows = {"class_type": "LoadLoraModel", "inputs": {"model": ["model", 0], **inputs}}
        show = {"class_type": "PreviewAny", "inputs": {"source": ["rows", 0]}}
        listed = {"checkpoints": ["a"], "loras": ["one", "two"]}
        prompt = {"model": loader, "rows": rows, "show": show}
        found = check(prompt, builtin_catalogue, choices=lambda files: listed[files.folder])
        return [(one.type, one.input_name) for one in found.problems], found.prompt

    given = {"loras.0.lora_name": "one", "loras.0.strength": 1, "loras.0.enabled": True, "loras.1.lora_name": "two"}
    told, prompt = problems(**given)
    assert told == []
    assert gathered({name: value for name, value in prompt["rows"].inputs.items() if name != "model"}, ("loras",)) == {
        "loras": {"0": {"lora_name": "one", "strength": 1.0, "enabled": True}, "1": {"lora_name": "two"}}
    }
    assert problems(**{**given, "loras.1.lora_name": "three"})[0] == [("value_not_in_list", "loras.1.lora_name")]
    assert problems(**{**given, "loras.1.strength": 200.0})[0][0][1] == "loras.1.strength"
    assert {name for _, name in problems()[0]} == {"loras.0.lora_name", "loras.0.strength", "loras.0.enabled"}


def test_a_saved_node_has_the_rows_that_it_lists(builtin_catalogue):
    fields = ("lora_name", "strength", "enabled")
    names = [f"loras.{row}.{field}" for row in range(2) for field in fields]
    values = ["one", 1.0, True, "two", 0.5, False]
    saved = {
        "type": "LoadLoraModel",
        "inputs": [{"name": "model"}, *({"name": name, "widget": {"name": name}} for name in names)],
        "widgets_values": values,
    }
    assert named_values(saved, builtin_catalogue.spec("LoadLoraModel")) == dict(zip(names, values, strict=True))
