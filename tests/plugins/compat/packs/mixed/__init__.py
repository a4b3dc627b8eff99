# ruff: noqa
"""A table that holds classes of both kinds, beside an entry point that then counts for nothing."""

from comfy_api.latest import ComfyExtension, io


class Third(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="MixedOther",
            display_name="Other",
            inputs=[io.Int.Input("n")],
            outputs=[io.Int.Output()],
            is_output_node=True,
        )

    @classmethod
    def execute(cls, n):
        return io.NodeOutput(n, ui={"n": [n], "module": [cls.RELATIVE_PYTHON_MODULE]})


class First:
    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"n": ("INT", {"default": 1})}}

    RETURN_TYPES = ()
    FUNCTION = "go"
    OUTPUT_NODE = True

    def go(self, n):
        return {"ui": {"n": [n], "direct": list(Third.EXECUTE_NORMALIZED(n=n).result)}}


class Extension(ComfyExtension):
    async def get_node_list(self):
        return [Third]


async def comfy_entrypoint():
    return Extension()


NODE_CLASS_MAPPINGS = {"MixedThird": Third, "MixedFirst": First}
NODE_DISPLAY_NAME_MAPPINGS = {"MixedThird": "The third kind"}
