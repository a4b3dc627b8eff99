"""Names of operations, bodies as forms, and the forms of the page: whatever a workflow is called and says."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest

from engine.server.workflows.forms import forms_of
from engine.server.workflows.operations import form_schema
from engine.server.workflows.told import operations_of


def test_operations_have_names_that_programs_take_and_no_two_the_same():
    names = ["text_to_image", "a/b", "a b", "a_b_2", "été", "日本"]
    assert list(operations_of(names).values()) == [
        "run_text_to_image",
        "run_a_b",
        "run_a_b_2",
        "run_a_b_2_2",
        "run_t",
        "run_workflow",
    ]


def test_files_of_a_form_are_files():
    schema = {
        "type": "object",
        "properties": {
            "image": {"type": "string", "format": "uri-reference", "x-safelight-media": "image", "title": "Photo"},
            "steps": {"type": "integer", "minimum": 1},
        },
        "required": ["image"],
    }
    assert form_schema(schema) == {
        "type": "object",
        "properties": {
            "image": {"type": "string", "format": "binary", "title": "Photo"},
            "steps": {"type": "integer", "minimum": 1},
        },
        "required": ["image"],
    }


class Fields(HTMLParser):
    """The fields of a page by name, its tags, and its text."""

    def __init__(self, text):
        super().__init__()
        self.fields = {}
        self.tags = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.tags.append(tag)
        if "name" in found:
            self.fields[found["name"]] = (tag, found)


def operation(name, properties, doc=""):
    return {
        "name": name,
        "path": "/api/v1/workflows/x/run",
        "operation": {"operationId": "run_x", "description": doc},
        "schema": {"type": "object", "properties": properties, "required": ["image"]},
    }


@pytest.mark.parametrize("evil", ["<script>evil()</script>", "' onclick='evil()", '"><img src=x onerror=evil()>'])
def test_nothing_that_a_workflow_says_is_markup(evil):
    properties = {
        evil: {"type": "string", "default": f"</textarea>{evil}", "title": evil, "description": evil},
        "choice": {"enum": [evil, "b"], "default": evil},
    }
    found = Fields(forms_of([operation(evil, properties, evil)]).partition('<script>"use strict"')[0])
    assert found.tags.count("script") == 0
    assert "img" not in found.tags
    assert all("onclick" not in attributes for _, attributes in found.fields.values())
    assert set(found.fields) == {evil, "choice"}


def test_each_field_is_of_the_kind_of_its_parameter():
    properties = {
        "image": {"type": "string", "x-safelight-media": "image"},
        "steps": {"type": "integer", "minimum": 1, "maximum": 50, "default": 20},
        "cfg": {"type": "number", "default": 4.5},
        "seed": {"anyOf": [{"type": "integer"}, {"const": "random"}], "default": 1},
        "prompt": {"type": "string", "default": "an apple"},
        "sampler": {"type": "string", "enum": ["euler", "heun"], "default": "heun"},
        "tiled": {"type": "boolean", "default": False},
    }
    page = forms_of([operation("x", properties)])
    fields = Fields(page).fields
    kinds = {name: (tag, attributes.get("type")) for name, (tag, attributes) in fields.items() if name in properties}
    assert kinds == {
        "image": ("input", "file"),
        "steps": ("input", "number"),
        "cfg": ("input", "number"),
        "seed": ("input", None),
        "prompt": ("textarea", None),
        "sampler": ("select", None),
        "tiled": ("select", None),
    }
    assert {"required", "accept"} <= set(fields["image"][1])
    assert (fields["steps"][1]["min"], fields["steps"][1]["max"], fields["steps"][1]["value"]) == ("1", "50", "20")
    assert "<option selected>heun</option>" in page
    assert "<option selected>false</option>" in page


def test_without_workflows_there_is_no_form():
    assert forms_of([]) == ""
