# ruff: noqa
"""V3 nodes, one for each rule; and V1 and V3 classes in one table."""

import os
from enum import Enum

import comfy_api.latest
import comfy_api.v0_0_1
import comfy_api.v0_0_2
from comfy_api.latest import ComfyAPI, ComfyExtension, InputImpl, Types, io, ui
from comfy_api.latest._io import ComfyNode, NodeOutput
from comfy_execution.graph_utils import GraphBuilder

assert comfy_api.v0_0_2.io.ComfyNode is comfy_api.v0_0_1.io.ComfyNode is ComfyNode
assert InputImpl and Types


def note(what):
    with open(os.environ["TEST_NOTES"], "a") as file:
        file.write(f"{what}\n")


class Way(Enum):
    FAST = "fast"
    SLOW = "slow"


class Grow(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        named = io.Autogrow.TemplateNames(io.Float.Input("x"), names=["left", "right"], min=0)
        numbered = io.Autogrow.TemplatePrefix(io.Int.Input("n"), prefix="n", min=2, max=5)
        return io.Schema(
            node_id="V3Grow",
            inputs=[
                io.Autogrow.Input("ns", template=numbered),
                io.Autogrow.Input("sides", template=named, optional=True),
            ],
            outputs=[io.Int.Output()],
            is_output_node=True,
        )

    @classmethod
    def execute(cls, ns, sides=None):
        return io.NodeOutput(sum(ns.values()), ui={"ns": [sorted(ns)], "sides": [sides]})


class Dynamic(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="V3Dynamic",
            inputs=[
                io.DynamicCombo.Input(
                    "size",
                    options=[
                        io.DynamicCombo.Option("fixed", [io.Int.Input("width", default=64)]),
                        io.DynamicCombo.Option("like", [io.String.Input("name")]),
                    ],
                )
            ],
            outputs=[],
            is_output_node=True,
        )

    @classmethod
    def execute(cls, size):
        return io.NodeOutput(ui={"size": [size]})


class Match(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        template = io.MatchType.Template("T", [io.Int, io.String])
        anything = io.MatchType.Template("U")
        return io.Schema(
            node_id="V3Match",
            inputs=[
                io.MatchType.Input("a", template=template),
                io.MatchType.Input("b", template=anything, optional=True),
            ],
            outputs=[
                io.MatchType.Output(template=template),
                io.MatchType.Output(template=anything, display_name="other"),
            ],
        )

    @classmethod
    def execute(cls, a, b=None):
        return io.NodeOutput(a, b)


class Multi(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="V3Multi",
            inputs=[io.MultiType.Input(io.Float.Input("value", default=1.5), types=[io.Int, io.String])],
            outputs=[io.AnyType.Output()],
        )

    @classmethod
    def execute(cls, value):
        return io.NodeOutput(value)


class Options(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="V3Options",
            display_name="All options",
            category="v3/more",
            description="Says what it got.",
            inputs=[
                io.Int.Input(
                    "n", default=1, min=0, max=9, step=1, display_mode=io.NumberDisplay.slider, tooltip="Tip."
                ),
                io.Combo.Input("way", options=Way, default=Way.SLOW),
                io.MultiCombo.Input("several", options=["a", "b", "c"], default=["a"]),
                io.Custom("MY_TYPE").Input("mine", optional=True, advanced=True, raw_link=False),
                io.Boolean.Input("linked", force_input=True, optional=True),
                io.Image.Input("picture", optional=True, lazy=True),
            ],
            outputs=[
                io.Int.Output("n", display_name="N", tooltip="The number."),
                io.String.Output(is_output_list=True),
            ],
            hidden=[io.Hidden.unique_id, io.Hidden.prompt, io.Hidden.extra_pnginfo, io.Hidden.dynprompt],
            is_output_node=True,
            is_deprecated=True,
            is_experimental=True,
            search_aliases=["x"],
            not_idempotent=False,
        )

    @classmethod
    def execute(cls, n, way, several, mine=None, linked=None, picture=None):
        hidden = cls.hidden
        told = [
            hidden.unique_id,
            sorted(hidden.prompt),
            hidden.extra_pnginfo,
            hidden.dynprompt.get_node(hidden.unique_id)["class_type"],
        ]
        return io.NodeOutput(n, [way, *several], ui={"told": told, "missing": [hidden.api_key_comfy_org]})


class Wanting(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="V3Wanting",
            inputs=[io.Boolean.Input("on"), io.AnyType.Input("yes", lazy=True), io.AnyType.Input("no", lazy=True)],
            outputs=[io.AnyType.Output()],
        )

    @classmethod
    def check_lazy_status(cls, on, yes=None, no=None):
        return [name for name, value in (("yes", yes), ("no", no)) if (name == "yes") == on and value is None]

    @classmethod
    def execute(cls, on, yes=None, no=None):
        return io.NodeOutput(yes if on else no)


class Changing(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(node_id="V3Changing", inputs=[io.String.Input("how")], outputs=[], is_output_node=True)

    @classmethod
    def fingerprint_inputs(cls, how):
        return float("nan") if how == "always" else how

    @classmethod
    def execute(cls, how):
        note(f"v3-{how}")
        return io.NodeOutput(ui={"how": [how]})


class Checking(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="V3Checking", inputs=[io.Int.Input("n", max=5), io.Int.Input("m", max=5)], is_output_node=True
        )

    @classmethod
    async def validate_inputs(cls, n):
        return True if n < 100 else f"{n} is no size"

    @classmethod
    def execute(cls, n, m):
        return {"ui": {"n": [n]}}


class Lists(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="V3Lists",
            inputs=[io.Int.Input("items"), io.Int.Input("by", default=2)],
            outputs=[io.Int.Output(is_output_list=True)],
            is_input_list=True,
            is_output_node=True,
        )

    @classmethod
    def execute(cls, items, by):
        return io.NodeOutput([one * by[0] for one in items], ui={"items": items, "by": by})


class Fresh(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(node_id="V3Fresh", not_idempotent=True, is_output_node=True)

    @classmethod
    def execute(cls):
        note("v3-fresh")
        return io.NodeOutput()


class Expanding(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="V3Expanding", inputs=[io.Int.Input("left")], outputs=[io.Int.Output()], enable_expand=True
        )

    @classmethod
    def execute(cls, left):
        if left == 0:
            return io.NodeOutput(42)
        graph = GraphBuilder()
        again = graph.node("V3Expanding", left=left - 1)
        return io.NodeOutput(again.out(0), expand=graph.finalize())


class Blocking(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="V3Blocking", inputs=[io.String.Input("why")], outputs=[io.Int.Output(), io.Int.Output()]
        )

    @classmethod
    def execute(cls, why):
        return io.NodeOutput(block_execution=why)


class Showing(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="V3Showing",
            inputs=[io.Image.Input("images"), io.Combo.Input("how", options=["preview", "mask", "text", "save"])],
            is_output_node=True,
        )

    @classmethod
    def execute(cls, images, how):
        if how == "preview":
            return io.NodeOutput(ui=ui.PreviewImage(images, cls=cls))
        if how == "mask":
            return io.NodeOutput(ui=ui.PreviewMask(images[..., 0], cls=cls))
        if how == "text":
            return io.NodeOutput(ui=ui.PreviewText("as text"))
        return io.NodeOutput(ui=ui.ImageSaveHelper.get_save_images_ui(images, "v3saved", cls=cls))


class Progressing(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(node_id="V3Progressing", is_output_node=True)

    @classmethod
    async def execute(cls):
        await ComfyAPI().execution.set_progress(2, 2)
        return io.NodeOutput(ui={"done": [True]})


class SharesId(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="V3SharesId",
            inputs=[io.Model.Input("model", optional=True), io.Int.Input("n")],
            outputs=[io.Int.Output("n"), io.Model.Output("model")],
        )

    @classmethod
    def execute(cls, n, model=None):
        return (n, model)


class TwoOfOneId(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(node_id="V3TwoOfOneId", inputs=[io.Int.Input("n"), io.Int.Input("n")])

    @classmethod
    def execute(cls, n):
        return io.NodeOutput()


class Inherits(SharesId):
    @classmethod
    def define_schema(cls):
        schema = super().define_schema()
        schema.node_id = "V3Inherits"
        schema.outputs = schema.outputs[:1]
        return schema


class Extension(ComfyExtension):
    async def on_load(self):
        note("v3-loaded")

    async def get_node_list(self):
        return [
            Grow, Dynamic, Match, Multi, Options, Wanting, Changing, Checking, Lists, Fresh, Expanding, Blocking, Showing,
            Progressing, SharesId, TwoOfOneId, Inherits, Fresh, "no class",
        ]  # fmt: skip


def comfy_entrypoint():
    return Extension()
