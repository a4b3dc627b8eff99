"""What nodes showed, as files and texts of the nodes that people know."""

from __future__ import annotations

from engine.graph.shown import by_display_node, shown_by


def test_what_expanded_nodes_showed_is_that_of_the_node_that_was_submitted():
    ui = {"1": {"text": ["a"]}, "1.0.2": {"text": ["b"]}, "3": {"text": ["c"]}}
    found = by_display_node(ui, lambda node: node.split(".")[0])
    assert {node: shown_by(uis).texts for node, uis in found.items()} == {"1": ("a", "b"), "3": ("c",)}


def test_files_come_once_in_their_order_and_what_is_neither_file_nor_text_is_passed_over():
    a, b = {"filename": "a.png", "subfolder": "x", "type": "output"}, {"filename": "a.png", "type": "temp"}
    odd = {
        "animated": (True,),
        "images": [a, {"filename": 5}, None],
        "text": [1, 2.5, ["x"], {"y": 1}],
        "other": "word",
    }
    found = shown_by([odd, {"gifs": [b, {**a}], "note": ["not shown as text"]}])
    assert found.files == (a, b)
    assert found.texts == ("1", "2.5")
