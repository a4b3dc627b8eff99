"""What nodes see of the engine: context, hidden inputs, raw links, further inputs."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
import torch

from engine.api import Expand, In, WithUi
from engine.execute.services import Services
from engine.graph.prompt import Link, Node


def with_spec(lab: Any, name: str, **changes: Any) -> None:
    """Change the spec of a node as other front doors would have declared it."""
    old = lab.definitions[name]
    lab.add(type(old)(msgspec.structs.replace(old.spec, **changes), old.run, old.read, wants_ctx=old.wants_ctx))


def test_images_are_saved_through_the_services_with_prompt_and_workflow(make_lab, graph):
    saved = []

    def save(*arguments: Any) -> list[dict[str, str]]:
        saved.append(arguments)
        return [{"filename": "x_00001_.png", "subfolder": "", "type": "output"}]

    lab = make_lab(services=Services(save_images=save, paths="the paths"))

    @lab.node("Save", output=True)
    def save_node(ctx: Any, a: int) -> None:
        assert ctx.paths == "the paths"
        assert ctx.node_id == "s"
        return WithUi(ui={"images": ctx.save_images("pixels", "x")})

    lab.run(graph(s=("Save", {"a": 1})), "s", workflow={"nodes": []})
    assert saved == [("pixels", "x", "output", {"s": {"class_type": "Save", "inputs": {"a": 1}}}, {"nodes": []}, {})]
    assert lab.result.ui["s"]["images"][0]["filename"] == "x_00001_.png"


def test_images_of_no_numbers_are_told_of_as_they_are_saved(make_lab, graph):
    lab = make_lab(services=Services(save_images=lambda *_: []))

    @lab.node("Save", output=True)
    def save_node(ctx: Any, a: float) -> None:
        return WithUi(ui={"images": ctx.save_images(torch.full((1, 2, 2, 3), a), "x")})

    lab.run(graph(s=("Save", {"a": 0.0})), "s")
    assert lab.warnings() == [], "black on purpose"
    lab.run(graph(s=("Save", {"a": float("nan")})), "s")
    assert lab.warnings() == ["The picture holds NaN or infinity, and shows as black."]


def test_a_warning_of_a_node_is_told_with_the_node_and_does_not_stop_it(lab, graph):
    @lab.node("Careful")
    def careful(ctx: Any, a: int) -> int:
        ctx.warn("something is left out")
        return a + 1

    assert lab.run(graph(c=("Careful", {"a": 1})), "c") == "warned of c\nran c"
    assert (lab.value("c"), lab.warnings()) == (2, ["something is left out"])


def test_hidden_inputs_are_given_and_do_not_count_as_dependencies(lab, graph):
    @lab.node("Hidden")
    def hidden(a: int, prompt: dict | None = None, extra: dict | None = None) -> str:
        return f"{sorted(prompt)} {extra}"

    with_spec(lab, "Hidden", hidden={"prompt": "PROMPT", "extra": "EXTRA_PNGINFO"})
    lab.run(graph(h=("Hidden", {"a": 1})), "h", workflow={"w": 1})
    assert lab.value("h") == "['h'] {'workflow': {'w': 1}}"
    assert lab.run(graph(h=("Hidden", {"a": 1}), x=("Add", {"a": 1})), "h") == "reused h"


def test_the_dynamic_prompt_knows_nodes_of_the_graph_and_of_expansions(lab, graph):
    @lab.node("Inside")
    def inside(a: int, me: str = "", dynamic: object = None) -> str:
        return f"{dynamic.get_node(me)['inputs']} in {dynamic.get_parent_node_id(me)} of {dynamic.get_node('e')['class_type']}"

    with_spec(lab, "Inside", hidden={"me": "UNIQUE_ID", "dynamic": "DYNPROMPT"})

    @lab.node("Outer")
    def outer(a: int) -> Expand[str]:
        return Expand({"x": Node("Inside", {"a": a})}, Link("x", 0))

    lab.run(graph(e=("Outer", {"a": 3})), "e")
    assert lab.value("e") == "{'a': 3} in e of Outer"


def test_a_raw_link_is_handed_over_as_it_is_and_still_waited_for(lab, graph):
    @lab.node("Where")
    def where(link: Annotated[int, In(raw_link=True)]) -> str:
        return str(link)

    assert lab.run(graph(a=("Add", {"a": 1}), w=("Where", {"link": "@a:0"})), "w") == "ran a\nran w"
    assert lab.value("w") == "['a', 0]"


def test_undeclared_constants_are_dropped_unless_the_node_takes_further_inputs(lab, graph):
    @lab.node("Many")
    def many(**values: Any) -> str:
        return str(sorted(values.items()))

    assert lab.definitions["Many"].spec.open_inputs, "so its signature says"
    closed = msgspec.structs.replace(lab.definitions["Many"].spec, inputs=(), open_inputs=False)
    lab.definitions["Many"].spec = closed
    lab.add(lab.definitions["Many"])
    lab.run(graph(m=("Many", {"x": 1})), "m")
    assert lab.value("m") == "[]"
    with_spec(lab, "Many", open_inputs=True, version="2")
    lab.run(graph(a=("Add", {"a": 1}), m=("Many", {"x": 1, "y": "@a"})), "m")
    assert lab.value("m") == "[('x', 1), ('y', 1)]"


def test_aliases_run_as_the_node_they_stand_for(lab, graph):
    lab.catalogue.aliases["OldAdd"] = "Add"
    lab.run(graph(a=("Add", {"a": 1})), "a")
    assert lab.run(graph(a=("OldAdd", {"a": 1})), "a") == "reused a"
