# ruff: noqa
from comfy_api.latest import ComfyExtension, io, ui


class Sum(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="V3Sum",
            display_name="Sum of two",
            category="v3",
            inputs=[
                io.Int.Input("a", default=1, min=0, max=10),
                io.Float.Input("b", default=0.5, optional=True),
                io.Combo.Input("how", options=["plus", "minus"], default="plus"),
            ],
            outputs=[io.Float.Output(display_name="sum")],
            hidden=[io.Hidden.unique_id],
            is_output_node=True,
        )

    @classmethod
    def validate_inputs(cls, a):
        return True if a < 100 else "too large"

    @classmethod
    def execute(cls, a, how, b=0.0):
        value = a + b if how == "plus" else a - b
        return io.NodeOutput(value, ui={"sum": [value], "id": [cls.hidden.unique_id]})


class Later(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="V3Later",
            inputs=[io.AnyType.Input("value"), io.Boolean.Input("block", default=False)],
            outputs=[io.AnyType.Output()],
        )

    @classmethod
    async def execute(cls, value, block):
        return io.NodeOutput(block_execution="blocked here") if block else io.NodeOutput(value)


class Bad(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        raise ValueError("no schema")


class Extension(ComfyExtension):
    async def get_node_list(self):
        return [Sum, Later, Bad]


async def comfy_entrypoint():
    return Extension()
