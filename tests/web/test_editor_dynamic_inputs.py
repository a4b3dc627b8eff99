"""V3 nodes whose inputs depend on a choice, grow as they are linked, or agree on a type, as a person uses them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

PACK = '''
"""Nodes with inputs that come and go."""

import json

from comfy_api.latest import ComfyExtension, io


class Mode(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        way = io.DynamicCombo.Input("way", options=[
            io.DynamicCombo.Option("left", []),
            io.DynamicCombo.Option("by", [io.Int.Input("pixels", default=3)]),
        ])
        return io.Schema(
            node_id="TestMode",
            display_name="Mode of the Tests",
            inputs=[
                io.DynamicCombo.Input("mode", options=[
                    io.DynamicCombo.Option("plain", []),
                    io.DynamicCombo.Option("blur", [
                        io.Float.Input("strength", default=0.5, step=0.1),
                        io.Combo.Input("edge", options=["wrap", "clamp"]),
                        io.String.Input("mask", optional=True, force_input=True),
                    ]),
                    io.DynamicCombo.Option("shift", [way]),
                ]),
                io.String.Input("last", default="end"),
            ],
            is_output_node=True,
        )

    @classmethod
    def execute(cls, mode, last):
        return io.NodeOutput(ui={"text": [json.dumps({"mode": mode, "last": last}, sort_keys=True)]})


class Join(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        word = io.String.Input("word", force_input=True)
        return io.Schema(
            node_id="TestJoin",
            display_name="Join of the Tests",
            inputs=[io.Autogrow.Input("words", template=io.Autogrow.TemplatePrefix(word, prefix="word", min=1, max=3))],
            is_output_node=True,
        )

    @classmethod
    def execute(cls, words):
        return io.NodeOutput(ui={"text": [json.dumps(words, sort_keys=True)]})


class Pass(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        template = io.MatchType.Template("T", [io.Int, io.String])
        return io.Schema(
            node_id="TestPass",
            display_name="Pass of the Tests",
            inputs=[io.MatchType.Input("a", template=template), io.MatchType.Input("b", template=template, optional=True)],
            outputs=[io.MatchType.Output(template=template, display_name="same")],
        )

    @classmethod
    def execute(cls, a, b=None):
        return io.NodeOutput(a)


class Words(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="TestWords",
            display_name="Words of the Tests",
            inputs=[io.String.Input("text", default="one")],
            outputs=[io.String.Output(display_name="text"), io.Int.Output(display_name="length")],
        )

    @classmethod
    def execute(cls, text):
        return io.NodeOutput(text, len(text))


class Extension(ComfyExtension):
    async def get_node_list(self):
        return [Mode, Join, Pass, Words]


def comfy_entrypoint():
    return Extension()
'''

MODE = {"nodes": [{"id": 1, "type": "TestMode", "pos": [80, 80]}], "links": [], "version": 0.4}
MANY = {
    "nodes": [
        {"id": 1, "type": "TestWords", "pos": [60, 60]},
        {"id": 2, "type": "TestWords", "pos": [60, 260], "widgets_values": ["two"]},
        {"id": 3, "type": "TestJoin", "pos": [800, 60]},
        {"id": 4, "type": "TestPass", "pos": [420, 260]},
    ],
    "links": [],
    "version": 0.4,
}


@pytest.fixture(scope="module")
def dynamic_home(tmp_path_factory: pytest.TempPathFactory, home_on: Any) -> Iterator[Any]:
    base = tmp_path_factory.mktemp("editor-dynamic-inputs")
    folder = base / "custom_nodes" / "dynamic_pack"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text(PACK)
    with home_on(base) as home:
        yield home


@pytest.fixture
def editor(dynamic_home: Any, visit: Callable[..., Any], open_editor: Any) -> Iterator[Any]:
    """The editor on that server."""
    opened = open_editor(visit(dynamic_home.url))
    yield opened
    opened.healthy()


def choose(editor: Any, name: str, option: str) -> None:
    editor.widget(1, name).get_by_role("combobox").click()
    editor.page.get_by_role("option", name=option, exact=True).click()


def slots(editor: Any, kind: str) -> list[str]:
    [node] = editor.nodes(kind)
    return [slot["name"] for slot in node.get("inputs", [])]


def shows(editor: Any, node: int, text: str) -> None:
    editor.node(node).get_by_text(text).wait_for()


def test_a_choice_shows_its_inputs_and_what_is_set_there_reaches_the_node(editor: Any) -> None:
    editor.load(MODE, "Mode")
    editor.widget(1, "mode").wait_for()
    assert editor.page.locator("[data-widget]").count() == 2
    choose(editor, "mode", "blur")
    strength = editor.widget(1, "mode.strength")
    strength.wait_for()
    assert "strength" in strength.inner_text()
    assert "mode." not in strength.inner_text()
    editor.socket(1, "Input", "mode.mask").wait_for()
    choose(editor, "mode.edge", "clamp")
    editor.shot("editor-dynamic-choice")
    assert editor.nodes("TestMode")[0]["widgets_values"] == ["blur", 0.5, "clamp", "end"]
    editor.run()
    shows(editor, 1, '{"last": "end", "mode": {"edge": "clamp", "mode": "blur", "strength": 0.5}}')


def test_a_choice_within_a_choice_runs_and_is_undone_in_one_step(editor: Any) -> None:
    editor.load(MODE, "Nested")
    choose(editor, "mode", "shift")
    choose(editor, "mode.way", "by")
    editor.widget(1, "mode.way.pixels").wait_for()
    editor.run()
    shows(editor, 1, '{"last": "end", "mode": {"mode": "shift", "way": {"pixels": 3, "way": "by"}}}')
    editor.command("edit.undo")
    editor.widget(1, "mode.way.pixels").wait_for(state="detached")
    editor.command("edit.undo")
    editor.widget(1, "mode.way").wait_for(state="detached")
    assert editor.value(1, "mode") in (None, "plain")
    editor.command("edit.redo")
    editor.widget(1, "mode.way").wait_for()


def test_what_was_chosen_comes_back_from_the_file_and_is_the_prompt_that_the_server_makes(
    editor: Any, dynamic_home: Any
) -> None:
    editor.load(MODE, "Saved")
    choose(editor, "mode", "blur")
    choose(editor, "mode.edge", "clamp")
    saved = editor.workflow()
    editor.load(saved, "Again")
    editor.widget(1, "mode.edge").wait_for()
    assert editor.value(1, "mode.edge") == "clamp"
    assert editor.workflow()["nodes"] == saved["nodes"]
    convert = "(workflow) => fetch('api/v1/convert', {method: 'POST', headers: {'content-type': 'application/json'}, body: JSON.stringify(workflow)}).then((answer) => answer.json())"
    made = editor.page.evaluate(convert, saved)
    inputs = made.get("prompt", made)["1"]["inputs"]
    assert inputs == {"mode": "blur", "mode.strength": 0.5, "mode.edge": "clamp", "last": "end"}


def test_inputs_grow_by_linking_and_go_with_the_last_link(editor: Any) -> None:
    editor.load(MANY, "Many")
    assert slots(editor, "TestJoin") == []
    editor.drag(editor.socket(1, "Output", "text"), editor.socket(3, "Input", "words.word0"))
    editor.socket(3, "Input", "words.word1").wait_for()
    editor.drag(editor.socket(2, "Output", "text"), editor.socket(3, "Input", "words.word1"))
    editor.socket(3, "Input", "words.word2").wait_for()
    editor.shot("editor-dynamic-growing")
    editor.run()
    shows(editor, 3, '{"word0": "one", "word1": "two"}')
    editor.drag(editor.socket(3, "Input", "words.word1"), (600, 700))
    editor.page.keyboard.press("Escape")
    editor.socket(3, "Input", "words.word2").wait_for(state="detached")
    editor.socket(3, "Input", "words.word1").wait_for()
    assert slots(editor, "TestJoin") == ["words.word0"]


def test_sockets_that_agree_take_the_type_that_is_linked(editor: Any) -> None:
    editor.load(MANY, "Agree")
    editor.drag(editor.socket(1, "Output", "length"), editor.socket(4, "Input", "a"))
    editor.page.get_by_role("button", name="Output same, INT,").wait_for()
    editor.drag(editor.socket(2, "Output", "text"), editor.socket(4, "Input", "b"))
    editor.drag(editor.socket(2, "Output", "length"), editor.socket(4, "Input", "b"))
    assert len(editor.links()) == 2
    assert {link[4] for link in editor.links()} == {"INT"}
    editor.command("edit.undo")
    editor.command("edit.undo")
    editor.page.get_by_role("button", name="Output same, INT,STRING,").wait_for()
